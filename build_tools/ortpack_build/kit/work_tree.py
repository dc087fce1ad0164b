"""The work folder of a build: ONNX Runtime's sources, CMake's build tree of them, and ninja that runs in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING

from ortpack_build.base import process
from ortpack_build.base.errors import SourceError, ToolError
from ortpack_build.kit import ninja

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ortpack_build.base.context import Context
    from ortpack_build.base.report import Reporter, Step
    from ortpack_build.kit.inputs import KitBuild
    from ortpack_build.kit.settings import Group
    from ortpack_build.toolchain import Compilers

if sys.platform != "win32":
    import fcntl

ORT = "onnxruntime"
_SAY_EVERY = 30.0  # seconds between lines where no bar is drawn
_CONFIGURED = "configured"
# The launcher's own variables go to it as they are; nothing else of the environment reaches the compilers.
_PASSED = ("PATH", "HOME", "TMPDIR", "LANG", "USER")
_PASSED_PREFIXES = ("CCACHE_", "SCCACHE_", "AWS_", "REDIS_")


@contextlib.contextmanager
def exclusive(path: Path, report: Reporter) -> Iterator[tuple[int, ...]]:
    """Hold the lock of a work folder, and give its file descriptor for programs to inherit.

    A ninja that outlives its killed builder then still holds the lock, so that no other builder starts beside it.
    """
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


class Tree:
    """A work folder with ONNX Runtime's sources and CMake's build tree, which an earlier build may have begun.

    Only the holder of the folder's lock, see `exclusive`, may use it.
    """

    def __init__(self, build: KitBuild, context: Context, *, work: Path) -> None:
        """Lay compilers for the kit into the work folder, and choose the variables that programs in it are given.

        Args:
            build: the kit to be compiled.
            context: its cache keeps what the toolchain makes once for all builds.
            work: an existing folder.
        """
        self.inputs = build.inputs
        self.programs = build.programs
        self.jobs = build.jobs
        self.work = work
        self.report = context.report
        self.source = work / "src"
        self.build = work / "build"
        self.target = self.inputs.kits.target(self.inputs.target)
        (work / "tool").mkdir(exist_ok=True)
        toolchain = self.inputs.toolchain
        shared = context.cache.root / "toolchain"
        self.compilers: Compilers = toolchain.install(work / "tool", root=work, shared=shared)
        self.environ = {
            name: value
            for name, value in context.environ.items()
            if name in _PASSED or name.startswith(_PASSED_PREFIXES)
        }
        self.environ |= {"LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "315532800", **self.compilers.environ}
        if self.programs.launcher is not None:
            identity = ",".join(f"{name}={value}" for name, value in sorted(toolchain.identity.items()))
            # The compiler is a wrapper whose own bytes say nothing; file names must not tell work folders apart.
            self.environ |= {
                "CCACHE_BASEDIR": str(work),
                "CCACHE_NOHASHDIR": "1",
                "CCACHE_COMPILERCHECK": f"string:{identity}",
                "SCCACHE_BASEDIRS": str(work),
            }
            self.environ.setdefault("CCACHE_COMPILERTYPE", "gcc" if identity.startswith("name=gcc") else "clang")

    def prepare(self, held: Sequence[int]) -> None:
        """Lay the sources out and run CMake, unless that was done here before.

        Args:
            held: file descriptors that CMake keeps open, so that it is known to run should this process be killed.

        Raises:
            ToolError: CMake failed; says why.
        """
        self._lay_out()
        self._configure(held)

    def _lay_out(self) -> None:
        if (self.work / "laid-out").exists():
            return
        shutil.rmtree(self.source, ignore_errors=True)
        # Hard links where the file system has them: the tree is half a gigabyte.
        shutil.copytree(self.inputs.tree.path, self.source, symlinks=True, copy_function=_link_or_copy)
        (self.work / "laid-out").touch()

    def _configure(self, held: Sequence[int]) -> None:
        stamp = self.work / _CONFIGURED
        # CMake wrote the folder's path into its files: a tree that was moved has to be configured anew.
        if stamp.exists() and stamp.read_text(encoding="utf-8") == str(self.work):
            return
        groups = self.work / "groups.cmake"
        groups.write_text(groups_cmake(self.inputs.groups), encoding="utf-8")
        options = dict(self.inputs.options)
        options |= {"CMAKE_MAKE_PROGRAM": str(self.programs.ninja), "CMAKE_PROJECT_onnxruntime_INCLUDE": str(groups)}
        for language, program in (("C", self.compilers.c), ("CXX", self.compilers.cxx), ("ASM", self.compilers.c)):
            options[f"CMAKE_{language}_COMPILER"] = str(program)
        options |= {"CMAKE_AR": str(self.compilers.ar), "CMAKE_RANLIB": str(self.compilers.ranlib)}
        if self.programs.launcher is not None:
            options |= {f"CMAKE_{language}_COMPILER_LAUNCHER": str(self.programs.launcher) for language in ("C", "CXX")}
        options["ONNX_CUSTOM_PROTOC_EXECUTABLE"] = str(self.programs.protoc)
        for component in self.inputs.pinned.components:
            if component.option:
                options[component.option] = str(self.source / component.name)
        command = [str(self.programs.cmake), "-G", "Ninja", "-S", str(self.source / ORT / "cmake")]
        command += ["-B", str(self.build)]
        command += [f"-D{name}={value}" for name, value in {**options, **self.compilers.options}.items()]
        shutil.rmtree(self.build, ignore_errors=True)
        log = self.work / "configure.log"
        with self.report.step("Configuring"):
            done = process.run(command, environ=self.environ, log=log, held=held)
        if done.code != 0:
            raise ToolError(
                f"CMake failed:\n{_cmake_errors(log.read_text(encoding='utf-8', errors='replace'))}\n",
                hint=f"Everything that it said is in {log}.",
            )
        stamp.write_text(str(self.work), encoding="utf-8")

    def archives(self) -> tuple[str, ...]:
        """List the static libraries that the build would link the shared library of, in the order of that link."""
        library = self.target.library.format(ort=self.inputs.tree.ort)
        names = [name for name in self.ninja_inputs(library) if name.endswith(".a")]
        if not names:
            raise SourceError(f"ONNX Runtime's build has no {library} to ask for its parts.")
        return tuple(dict.fromkeys(names))

    def ninja_inputs(self, output: str) -> tuple[str, ...]:
        """List the files that ninja makes a file of, in order; none if it does not know the file."""
        command = [str(self.programs.ninja), "-C", str(self.build), "-t", "query", output]
        done = process.run(command, environ=self.environ)
        lines = done.output.partition("  outputs:")[0].splitlines()
        return tuple(line.strip().lstrip("| ") for line in lines if line.startswith("    "))

    def _missing(self, names: Sequence[str]) -> list[str]:
        """List the files that are still to be made for `names`; none if ninja does not say."""
        command = [str(self.programs.ninja), "-C", str(self.build), "-t", "inputs", *names]
        done = process.run(command, environ=self.environ)
        return [name for name in done.output.splitlines() if not (self.build / name).exists()]

    def compile(self, names: Sequence[str], step: Step, held: Sequence[int]) -> None:
        """Have ninja make these files of the build folder.

        Raises:
            ToolError: a command failed; says which, and its errors.
            StorageError: the disk is full.
        """
        said = time.monotonic()
        effort = self.inputs.kits.effort_of

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
            pace=ninja.Pace(whole=sum(map(effort, self._missing(names))), effort=effort),
            log=self.work / "compile.log",
            held=held,
        )
        # ninja that a signal told to end exits with 0.
        if missing := [name for name in names if not (self.build / name).is_file()]:
            raise ToolError(
                f"Compiling ended before it was done: {missing[0]} is not there.",
                hint="The same command goes on from here.",
            )


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
    """Write the CMake code that ONNX Runtime's project includes, which gives the files of each group their flags."""
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
