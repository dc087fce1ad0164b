"""Programs of another target, run here: in a root with the target's own Python, below an emulator.

A root is a folder of Debian's packages, fetched with apt and unpacked without running anything of them. The emulator
looks for files in it first, and finds everything else of this machine where it always is.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import unquote

import msgspec
from msgspec import Meta, field

from ortpack_build.base.archive import extract_all
from ortpack_build.base.data_file import Model, Sha256, read, shipped_folder
from ortpack_build.base.errors import FetchError, ToolError, UsageError, nearest
from ortpack_build.base.hashing import sha256, sha256_of
from ortpack_build.catalog import host
from ortpack_build.origin import pip_wheel
from ortpack_build.origin.source import apt, deb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ortpack_build.base.context import Context
    from ortpack_build.catalog.model import Target

_APT = "Use a machine whose apt knows a mirror of Debian, with its keys (debian-archive-keyring)."
_FORMAT = 1  # of a root; part of its key
_MERGED = ("bin", "lib", "lib64", "sbin")  # links into usr/, which Debian's base-files makes


class Pip(Model, frozen=True):
    """The wheel of pip that installs in a root."""

    version: Annotated[str, Meta(description="Its version")]
    file: Annotated[str, Meta(description="The wheel's file name")]
    sha256: Sha256


class Rootless(Model, frozen=True):
    """The environment variables of an emulator that needs no root."""

    set: Annotated[dict[str, str], Meta(description="Variable → what it is set to")] = field(default_factory=dict)
    unset: Annotated[tuple[str, ...], Meta(description="Variables of the user's that it must not see")] = ()

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The emulator's environment: `environ` with these changes."""
        return {name: value for name, value in environ.items() if name not in self.unset} | self.set


class RootEntry(Model, frozen=True):
    """A root that can be made."""

    architecture: Annotated[str, Meta(description="Debian's name of it")]
    packages: Annotated[tuple[str, ...], Meta(min_length=1, description="Of Debian, or @ and a group's name")]
    python: Annotated[str | None, Meta(description="Path of the interpreter in the root")] = None
    libraries: Annotated[tuple[str, ...], Meta(description="More folders with libraries")] = ()
    include: Annotated[tuple[str, ...], Meta(description="Folders with headers of Python and NumPy")] = ()
    files: Annotated[dict[str, str], Meta(description="Path in the root → text")] = field(default_factory=dict)
    headers_of: Annotated[str | None, Meta(description="Target whose root has the headers, if not this one")] = None


class Emulation(Model, frozen=True):
    """emulation/emulation.toml: how programs of another target are run on this machine."""

    schema: Literal[1]
    suite: Annotated[str, Meta(description="Release of Debian")]
    programs: Annotated[tuple[str, ...], Meta(min_length=1, description="What {emulator} may be called")]
    arguments: Annotated[tuple[str, ...], Meta(description="Of the emulator; {root} is the root's folder")]
    install: Annotated[str, Meta(description="What brings the emulator")]
    drop: Annotated[tuple[str, ...], Meta(description="Patterns of what is left out")]
    pip: Annotated[Pip, Meta(description="What installs in a root")]
    roots: Annotated[dict[str, RootEntry], Meta(description="Target → how its root is made")]
    groups: Annotated[dict[str, tuple[str, ...]], Meta(description="Packages that several roots have, by a name for @")]
    headers: Annotated[dict[str, str], Meta(description="What has headers in a root → Debian's package with them")]
    loaders: Annotated[dict[str, str], Meta(description="Target → the dynamic loader in its root")] = field(
        default_factory=dict
    )
    rootless: Annotated[dict[str, Rootless], Meta(description="Emulators that need no root → their environment")] = (
        field(default_factory=dict)
    )

    def needs_root(self, target: Target) -> bool:
        """Whether a target's programs are run in a root: all are but those whose emulator brings its own."""
        return target.emulator not in self.rootless

    def root(self, target: str) -> RootEntry:
        """How the root of a target is made.

        Raises:
            UsageError: no root is made for it.
        """
        if target not in self.roots:
            raise UsageError(f"No root is made for {target}.", hint=nearest(target, self.roots))
        return self.roots[target]

    def python(self, target: Target) -> str | None:
        """The path of the interpreter in a target's root; None if the root has none.

        Raises:
            UsageError: the target has no emulator, or no root.
        """
        self.check_emulated(target)
        return self.root(target.name).python

    def check_emulated(self, target: Target) -> str:
        """The name of the target's emulator.

        Raises:
            UsageError: it has none.
        """
        if target.emulator is None:
            raise UsageError(f"Nothing here emulates {target.name}.", hint=f"Emulated are: {', '.join(self.roots)}.")
        return target.emulator

    def wanted(self, entry: RootEntry) -> tuple[str, ...]:
        """The packages of a root, with those of its groups.

        Raises:
            KeyError: there is no such group.
        """
        groups = ((self.groups[name[1:]] if name.startswith("@") else (name,)) for name in entry.packages)
        return tuple(sorted({name for group in groups for name in group}))


@dataclass(frozen=True, kw_only=True)
class Root:
    """A root in the cache: a folder that programs of a target take for /.

    Attributes:
        path: the folder.
        python: the target's interpreter in it, if it has one.
        pip: a folder that `python` runs as pip.
        libraries: folders that are searched for libraries, on top of the usual ones.
        include: folders with headers of Python and NumPy.
        pycache: a folder beside the root where its Python keeps bytecode; Python checks that against the sources, so
            it may be kept.
    """

    path: Path
    python: Path | None
    pip: Path
    pycache: Path
    libraries: tuple[Path, ...]
    include: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """An emulated machine: a root, and the emulator that runs its programs.

    Attributes:
        emulator: the program; the root's own dynamic loader where the processor is this machine's.
        arguments: of the emulator, before the program that it is to run.
        root: the folder that the programs take for /.
    """

    emulator: Path
    arguments: tuple[str, ...]
    root: Root

    def command(self, program: Path) -> list[str]:
        """The command that runs a program of the target; the program's arguments follow it."""
        libraries = os.pathsep.join(map(str, self.root.libraries))
        environ = ["-E", f"LD_LIBRARY_PATH={libraries}"] if libraries else []
        return [str(self.emulator), *self.arguments, *environ, str(program)]

    def python(self, program: Path | None = None) -> list[str]:
        """The command that runs the root's Python, or an environment's, isolated from the user's settings.

        Args:
            program: the Python of an environment that was made with the root's; the root's own if None.

        Raises:
            UsageError: the root has no Python.
        """
        program = program or self.root.python
        if program is None:
            raise UsageError("The root of this target has no Python.")
        # Compiling each module at every start takes seconds below an emulator.
        return [*self.command(program), "-X", f"pycache_prefix={self.root.pycache}", "-I"]


def load() -> Emulation:
    """Read the shipped data.

    Raises:
        ManifestError: it has a mistake.
    """
    return read(shipped_folder() / "emulation" / "emulation.toml", Emulation)


def emulator(target: Target, data: Emulation, *, environ: Mapping[str, str]) -> Path:
    """Find the emulator of a target on the PATH of `environ`.

    Raises:
        UsageError: the target has no emulator.
        ToolError: it is not on this machine.
    """
    emulated_by = data.check_emulated(target)
    names = [name.format(emulator=emulated_by) for name in data.programs]
    found = [shutil.which(name, path=environ.get("PATH", os.defpath)) for name in names]
    program = next(filter(None, found), None)
    if program is None:
        raise ToolError(
            f"{' or '.join(names)}, which runs programs of {target.name}, is not on this machine.",
            hint=f"Install it: {data.install}",
        )
    return Path(program)


def machine(target: Target, context: Context) -> Machine:
    """The emulated machine of a target; its root is made if the cache has none.

    Raises:
        UsageError: the target has no emulator or no root.
        ToolError: the emulator is not on this machine.
        FetchError: a package can't be had.
    """
    data = load()
    if target.name in data.loaders and target.arch == host.detect().arch:
        root = obtain(target.name, context)
        return Machine(emulator=root.path / data.loaders[target.name], arguments=(), root=root)
    program = emulator(target, data, environ=context.environ)  # an error before anything is fetched
    root = obtain(target.name, context)
    arguments = tuple(argument.format(root=root.path) for argument in data.arguments)
    return Machine(emulator=program, arguments=arguments, root=root)


def obtain(target: str, context: Context) -> Root:
    """The root of a target, made if the cache has none. `root.json` beside it lists the packages in it.

    Raises:
        UsageError: no root is made for the target.
        FetchError: a package can't be had.
        ArchiveError: a package is damaged or unsafe.
    """
    data = load()
    entry = data.root(target)
    parts = (_FORMAT, data.suite, entry, data.wanted(entry), data.drop, data.pip)
    key = sha256(msgspec.json.encode(parts, order="deterministic"))
    made = context.cache.get("roots", key, lambda folder: _make(folder, target, data, context))
    path = made / "root"
    return Root(
        path=path,
        python=path / entry.python if entry.python else None,
        pip=made / "pip" / "pip",
        pycache=made / "pycache",
        libraries=tuple(path / name for name in entry.libraries),
        include=tuple(path / name for name in entry.include),
    )


def headers(target: str, context: Context) -> Root:
    """The root with the headers for extension modules of a target.

    Raises:
        UsageError: there is none for the target.
        FetchError: a package can't be had.
    """
    return obtain(load().root(target).headers_of or target, context)


def versions(root: Root) -> dict[str, str]:
    """The versions of the headers in a root, by what they are of, for instance python → 3.13.5 of Debian trixie."""
    about = json.loads((root.path.parent / "root.json").read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for name, package in load().headers.items():
        file = next(file for file in about["packages"] if file.startswith(f"{package}_"))
        _, version, architecture = file.removesuffix(".deb").split("_")
        found[name] = f"{unquote(version)} of Debian {about['suite']}, {architecture}"
    return found


def _make(folder: Path, target: str, data: Emulation, context: Context) -> None:
    """Make a root: fetch its packages, unpack them without running anything of theirs, and put pip beside them."""
    entry, root = data.root(target), folder / "root"
    (root / "usr").mkdir(parents=True)
    for name in _MERGED:
        (root / name).symlink_to(f"usr/{name}")
    packages = data.wanted(entry)
    with tempfile.TemporaryDirectory(prefix="ortpack-apt-") as temporary:
        work, into = Path(temporary), Path(temporary) / "files"
        into.mkdir()
        with context.report.step(
            f"Fetching {len(packages)} packages of Debian {data.suite} ({entry.architecture})"
        ) as step:
            wanted = apt.Wanted(binaries=packages)
            try:
                complaints = apt.download(
                    wanted, suite=data.suite, architecture=entry.architecture, work=work, into=into
                )
            except FetchError as error:
                raise FetchError(str(error), hint=_APT) from error
            files = sorted(into.glob("*.deb"))
            if missing := set(packages) - {file.name.partition("_")[0] for file in files}:
                raise FetchError(f"apt did not give {', '.join(sorted(missing))}. {complaints}".strip())
            step.detail(f"{sum(file.stat().st_size for file in files) / 1e6:.1f} MB")
        with context.report.step(f"Unpacking the root of {target}") as step:
            for file in files:
                _unpack(file, root, work)
            for pattern in data.drop:
                for path in root.glob(pattern):
                    shutil.rmtree(path)
            step.detail(f"{sum(p.lstat().st_size for p in root.rglob('*') if not p.is_dir()) / 1e6:.0f} MB")
        for name, text in entry.files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        pin = pip_wheel.Pin(distribution="pip", version=data.pip.version, file=data.pip.file, sha256=data.pip.sha256)
        extract_all(pip_wheel.fetch(pin, context), folder / "pip")
        about = {"target": target, "suite": data.suite, "packages": {file.name: sha256_of(file) for file in files}}
        (folder / "root.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _unpack(package: Path, root: Path, work: Path) -> None:
    """Add the files of a package to the root."""
    with tempfile.TemporaryDirectory(dir=work) as name:
        whole = Path(name)
        deb.extract(package, whole, work=work, rooted=True)
        for at, folders, files in os.walk(whole):
            # A folder that is a link in the root (lib → usr/lib) is gone through, not replaced.
            goal = root / Path(at).relative_to(whole)
            goal.mkdir(exist_ok=True)
            for file in (*files, *(name for name in folders if Path(at, name).is_symlink())):
                Path(at, file).rename(goal / file)
