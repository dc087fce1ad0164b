"""Compiling a kit: CMake and ninja in a work folder that survives a killed build, then the kit's own folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from ortpack_build.errors import BuildError, SourceError, ToolError
from ortpack_build.hashing import sha256
from ortpack_build.kernels import spares
from ortpack_build.kernels.index import read_index
from ortpack_build.kit import ninja
from ortpack_build.kit.kit import Kit, KitJson, Recipe, read, seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ortpack_build.cache import Cache
    from ortpack_build.kit.model import Flavour, Group, Instead, Kits
    from ortpack_build.report import Reporter, Step
    from ortpack_build.sources import Sources, SourceTree
    from ortpack_build.toolchain import Compilers, Toolchain

if sys.platform != "win32":
    import fcntl

_RECIPE = 3  # raise it when the same inputs make another kit
_SAY_EVERY = 30.0  # seconds between lines where no bar is drawn
_ORT = "onnxruntime"
_CONFIGURED = "configured"
# The launcher's own variables go to it as they are; nothing else of the environment reaches the compilers.
_PASSED = ("PATH", "HOME", "TMPDIR", "LANG", "USER")
_PASSED_PREFIXES = ("CCACHE_", "SCCACHE_", "AWS_", "REDIS_")


@dataclass(frozen=True, kw_only=True)
class Programs:
    """What a build runs besides the compilers."""

    cmake: Path
    ninja: Path
    protoc: Path
    launcher: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Order:
    """A kit to be made. What it is decides its key; the programs in `how` don't.

    Attributes:
        target: name of a target of kits.toml.
        flavour: name of a flavour of kits.toml.
        kits: kits.toml.
        pinned, tree: the sources, as data and as folder.
        toolchain: the compilers.
        tools: name and version of the tools that have a say in the result.
        exceptions: whether errors are exceptions, or end the process.
    """

    target: str
    flavour: Flavour
    kits: Kits
    pinned: Sources
    tree: SourceTree
    toolchain: Toolchain
    tools: Mapping[str, str]
    exceptions: bool = True

    @property
    def options(self) -> dict[str, str]:
        """CMake's options that are the same wherever the kit is made."""
        flags = " ".join((*self.kits.flags.c, *self.kits.processor(self.target).flags))
        release = " ".join(self.kits.flags.release)
        return {
            **self.kits.options,
            **self.kits.flavours[self.flavour].options,
            **({} if self.exceptions else self.kits.without_exceptions(self.flavour).options),
            "CMAKE_C_FLAGS": flags,
            "CMAKE_CXX_FLAGS": " ".join((flags, *self.kits.flags.cxx)),
            "CMAKE_C_FLAGS_RELEASE": release,
            "CMAKE_CXX_FLAGS_RELEASE": release,
        }

    @property
    def instead(self) -> tuple[Instead, ...]:
        """Functions that a library of the kit has shorter ones for."""
        more = () if self.exceptions else self.kits.without_exceptions(self.flavour).instead
        return (*self.kits.link.instead, *more)

    @property
    def groups(self) -> tuple[Group, ...]:
        """Files of ORT's own that get more flags, in the order in which they are added."""
        more = () if self.exceptions else self.kits.without_exceptions(self.flavour).groups
        return (*self.kits.groups, *more)

    @property
    def key(self) -> str:
        """Hash of all that goes into the kit."""
        inputs = [
            _RECIPE,
            self.target,
            self.flavour,
            self.kits.target(self.target),
            self.groups,
            self.kits.link,
            self.kits.headers,
            self.options,
            *((self.instead,) if not self.exceptions else ()),
            self.tree.key,
            dict(self.toolchain.identity),
            dict(self.tools),
        ]
        return sha256(msgspec.json.encode(inputs, order="deterministic"))


def make(
    order: Order, programs: Programs, *, jobs: int, cache: Cache, report: Reporter, environ: Mapping[str, str]
) -> Kit:
    """The kit, from the cache or compiled into it.

    A build that was killed or failed goes on where it was. Builders of one kit wait for each other.

    Raises:
        ToolError: CMake or a compiler failed; says which command and its errors.
        StorageError: the disk is full.
        SourceError: the kernel tables are not as expected.
    """
    key = order.key
    work, shared = cache.path("work", key), cache.root / "toolchain"

    def into(folder: Path) -> None:
        kind = order.flavour if order.exceptions else f"{order.flavour}, no exceptions"
        with report.step(f"Compiling ONNX Runtime {order.tree.ort} ({kind}) for {order.target}") as step:
            work.mkdir(parents=True, exist_ok=True)
            with _alone(work / "running", report) as held:
                build = _Build(order, programs, jobs=jobs, work=work, shared=shared, environ=environ, report=report)
                build.run(folder, step, held)
        shutil.rmtree(work, ignore_errors=True)

    found: Kit | None = None

    def whole(folder: Path) -> bool:
        nonlocal found
        try:
            found = read(folder)
        except BuildError as error:
            report.warning(f"{error} It is made anew.")
            return False
        return True

    entry = cache.get("kits", key, into, check=whole)
    return found or read(entry)


@contextlib.contextmanager
def _alone(path: Path, report: Reporter) -> Iterator[tuple[int, ...]]:
    """A lock whose descriptor ninja inherits: a ninja that outlived its killed builder still holds it."""
    if sys.platform == "win32":  # no inherited locks; kits are not compiled there
        yield ()
        return
    held = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report.note("Waiting for compilers that a killed build left running")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield (held,)
    finally:
        os.close(held)


class _Build:
    """One build of a kit, in a work folder that may hold what an earlier one did."""

    def __init__(
        self,
        order: Order,
        programs: Programs,
        *,
        jobs: int,
        work: Path,
        shared: Path,
        environ: Mapping[str, str],
        report: Reporter,
    ) -> None:
        self.order = order
        self.programs = programs
        self.jobs = jobs
        self.work = work
        self.report = report
        self.source = work / "src"
        self.build = work / "build"
        self.line = order.kits.target(order.target)
        (work / "tool").mkdir(exist_ok=True)
        self.compilers: Compilers = order.toolchain.install(work / "tool", root=work, shared=shared)
        self.environ = {
            name: value for name, value in environ.items() if name in _PASSED or name.startswith(_PASSED_PREFIXES)
        }
        self.environ |= {"LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "315532800", **self.compilers.environ}
        if programs.launcher is not None:
            identity = ",".join(f"{name}={value}" for name, value in sorted(order.toolchain.identity.items()))
            # The compiler is a wrapper whose own bytes say nothing; file names must not tell work folders apart.
            self.environ |= {
                "CCACHE_BASEDIR": str(work),
                "CCACHE_NOHASHDIR": "1",
                "CCACHE_COMPILERCHECK": f"string:{identity}",
                "SCCACHE_BASEDIRS": str(work),
            }
            self.environ.setdefault("CCACHE_COMPILERTYPE", "gcc" if identity.startswith("name=gcc") else "clang")

    def run(self, folder: Path, step: Step, held: Sequence[int]) -> None:
        """Compile, and put the kit into `folder`."""
        self._lay_out()
        self._configure()
        names = self._archive_names()
        self._compile(names, step, held)
        self._collect(names, folder)
        step.detail(f"{sum(f.stat().st_size for f in folder.rglob('*') if f.is_file()) / 1e6:.0f} MB")

    def _lay_out(self) -> None:
        # Hard links where the file system has them: the tree is half a gigabyte.
        if (self.work / "laid-out").exists():
            return
        shutil.rmtree(self.source, ignore_errors=True)
        shutil.copytree(self.order.tree.path, self.source, symlinks=True, copy_function=_link_or_copy)
        (self.work / "laid-out").touch()

    def _configure(self) -> None:
        stamp = self.work / _CONFIGURED
        if stamp.exists():
            return
        groups = self.work / "groups.cmake"
        groups.write_text(groups_cmake(self.order.groups), encoding="utf-8")
        options = dict(self.order.options)
        options |= {"CMAKE_MAKE_PROGRAM": str(self.programs.ninja), "CMAKE_PROJECT_onnxruntime_INCLUDE": str(groups)}
        for language, program in (("C", self.compilers.c), ("CXX", self.compilers.cxx), ("ASM", self.compilers.c)):
            options[f"CMAKE_{language}_COMPILER"] = str(program)
        options |= {"CMAKE_AR": str(self.compilers.ar), "CMAKE_RANLIB": str(self.compilers.ranlib)}
        if self.programs.launcher is not None:
            options |= {f"CMAKE_{language}_COMPILER_LAUNCHER": str(self.programs.launcher) for language in ("C", "CXX")}
        options["ONNX_CUSTOM_PROTOC_EXECUTABLE"] = str(self.programs.protoc)
        for component in self.order.pinned.components:
            if component.option:
                options[component.option] = str(self.source / component.name)
        command = [str(self.programs.cmake), "-G", "Ninja", "-S", str(self.source / _ORT / "cmake")]
        command += ["-B", str(self.build)]
        command += [f"-D{name}={value}" for name, value in {**options, **self.compilers.options}.items()]
        shutil.rmtree(self.build, ignore_errors=True)
        log = self.work / "configure.log"
        with self.report.step("Configuring"), log.open("wb") as output:
            done = subprocess.run(
                command, env=self.environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
            )
        if done.returncode != 0:
            raise ToolError(
                f"CMake failed:\n{_cmake_errors(log.read_text(encoding='utf-8', errors='replace'))}\n",
                hint=f"Everything that it said is in {log}.",
            )
        stamp.touch()

    def _archive_names(self) -> tuple[str, ...]:
        """The static libraries that the shared library would be made of, in the order of its link."""
        library = self.line.library.format(ort=self.order.tree.ort)
        command = [str(self.programs.ninja), "-C", str(self.build), "-t", "query", library]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False)
        inputs = done.stdout.partition("outputs:")[0].splitlines()
        names = [line.strip().lstrip("| ") for line in inputs if line.rstrip().endswith(".a")]
        if done.returncode != 0 or not names:
            raise SourceError(f"ONNX Runtime's build has no {library} to ask for its parts: {done.stderr.strip()}")
        return tuple(dict.fromkeys(names))

    def _missing(self, names: Sequence[str]) -> list[str]:
        """The files that are still to be made for `names`, as far as ninja knows; none if it does not say."""
        command = [str(self.programs.ninja), "-C", str(self.build), "-t", "inputs", *names]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False)
        return [name for name in done.stdout.splitlines() if not (self.build / name).exists()]

    def _compile(self, names: Sequence[str], step: Step, held: Sequence[int]) -> None:
        said = time.monotonic()

        def on_progress(progress: ninja.Progress) -> None:
            nonlocal said
            step.advance(progress.done, progress.total, str(progress))
            if not self.report.live and time.monotonic() - said >= _SAY_EVERY:
                said = time.monotonic()
                self.report.note(str(progress))

        ninja.run(
            [str(self.programs.ninja), "-C", str(self.build), "-j", str(self.jobs), *names],
            environ=self.environ,
            on_progress=on_progress,
            effort=self.order.kits.effort_of,
            whole=sum(map(self.order.kits.effort_of, self._missing(names))),
            log=self.work / "compile.log",
            held=held,
        )
        # ninja that is told to end says that all went well.
        if missing := [name for name in names if not (self.build / name).is_file()]:
            raise ToolError(
                f"Compiling ended before it was done: {missing[0]} is not there.",
                hint="The same command goes on from here.",
            )

    def _collect(self, names: Sequence[str], folder: Path) -> None:
        (folder / "lib").mkdir()
        archives = []
        for name in names:
            target = folder / "lib" / name.rpartition("/")[2]
            if target.exists():
                raise SourceError(f"Two static libraries are called {target.name}.")
            shutil.copyfile(self.build / name, target)
            archives.append(target)
        self._refuse_paths(archives)
        kernels = read_index(archives, self.order.tree.tables)
        self._copy_texts(folder)
        order, flavour = self.order, self.order.kits.flavours[self.order.flavour]
        about = KitJson(
            schema=1,
            key=order.key,
            target=order.target,
            flavour=order.flavour,
            ort_version=order.tree.ort,
            sources=order.tree.key,
            origin=order.tree.origin,
            toolchain=dict(order.toolchain.identity),
            tag=order.toolchain.tag,
            flags={group.name: group.flags for group in order.groups},
            options=order.options,
            exceptions=order.exceptions,
            model_formats=flavour.model_formats,
            tables=order.tree.tables,
            recipe=Recipe(
                archives=tuple(archive.name for archive in archives),
                roots=order.kits.link.roots,
                flags=order.kits.link.flags,
                instead=order.instead,
                spares=spares.find(self.source / _ORT, archives),
                libraries=self.line.libraries,
                library=self.line.library.format(ort=order.tree.ort),
            ),
            files={},
        )
        seal(folder, about, kernels)

    def _refuse_paths(self, archives: Sequence[Path]) -> None:
        needle = os.fsencode(self.work)
        for archive in archives:
            if needle in archive.read_bytes():
                raise SourceError(f"{archive.name} holds the path of the folder that it was compiled in.")

    def _copy_texts(self, folder: Path) -> None:
        ort = self.source / _ORT
        (folder / "include").mkdir()
        for pattern in self.order.kits.headers:
            for header in sorted(ort.glob(pattern)):
                shutil.copyfile(header, folder / "include" / header.name)
        (folder / "licenses").mkdir()
        for component in self.order.pinned.components:
            for name in component.licenses:
                text = self.source / component.name / name
                if not text.is_file():
                    raise SourceError(f"{component.name} lacks its licence, {name}.")
                shutil.copyfile(text, folder / "licenses" / f"{component.name}-{text.name}")


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _cmake_errors(log: str) -> str:
    lines = log.splitlines()
    first = next((index for index, line in enumerate(lines) if line.startswith("CMake Error")), max(0, len(lines) - 20))
    return "\n".join(lines[first : first + 30])


def groups_cmake(groups: Sequence[Group]) -> str:
    """CMake code, included by ORT's project, that gives the file groups their flags once all targets are known."""
    chosen = []
    for group in groups:
        pattern = group.files.replace("\\", "\\\\").replace('"', '\\"')
        chosen.append(
            f'      if(path MATCHES "{pattern}")\n        set(flags {" ".join(group.flags)})\n      endif()\n'
        )
    add = '      set_property(SOURCE "${source}" APPEND PROPERTY COMPILE_OPTIONS ${flags})\n'
    blocks = "".join(f"      set(flags)\n{block}{add}" for block in chosen)
    return (
        "function(ortpack_file_groups)\n"
        "  get_property(targets DIRECTORY PROPERTY BUILDSYSTEM_TARGETS)\n"
        "  foreach(target IN LISTS targets)\n"
        "    get_target_property(sources ${target} SOURCES)\n"
        "    foreach(source IN LISTS sources)\n"
        '      get_filename_component(path "${source}" ABSOLUTE)\n'
        f"{blocks}"
        "    endforeach()\n"
        "  endforeach()\n"
        "endfunction()\n"
        "cmake_language(DEFER DIRECTORY ${CMAKE_SOURCE_DIR} CALL ortpack_file_groups)\n"
    )
