"""The protocol that every toolchain follows, and the values that pass through it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ortpack_build.base.context import Context


@dataclass(frozen=True, kw_only=True)
class Link:
    """One link: the shared library to make, and everything that goes into it.

    Attributes:
        output: path of the library.
        objects: object files, all of which go in.
        archives: static libraries, of which only the objects that something needs go in; they may need each other.
        flags: for the linker itself.
        libraries: the system's libraries, as linker flags.
    """

    output: Path
    objects: Sequence[Path]
    archives: Sequence[Path]
    flags: Sequence[str]
    libraries: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Compilers:
    """Programs that compile for one target, ready to be run.

    Attributes:
        c, cxx, ar, ranlib: the programs.
        linker: takes a folder to work in and the environment, and returns the function that turns a `Link` into the
            command that does it.
        lld: whether the linker is LLD; some flags are LLD's only.
        options: what CMake has to be told besides the programs.
        environ: variables that the programs need.
    """

    c: Path
    cxx: Path
    ar: Path
    ranlib: Path
    linker: Callable[[Path, Mapping[str, str]], Linker]
    lld: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


Linker = Callable[[Link], Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """A folder to compile and link in, with compilers for one target set up in it.

    Attributes:
        folder: an existing one.
        compilers: those of the target's toolchain, installed below `folder`.
        environ: variables of their processes.
        jobs: how many of them run at once.
    """

    folder: Path
    compilers: Compilers
    environ: Mapping[str, str]
    jobs: int


class Toolchain(Protocol):
    """A compiler, its linker and its libraries, for one target."""

    @property
    def identity(self) -> Mapping[str, str]:
        """Everything about the compiler that changes its output, by name. It is part of a kit's key."""
        ...

    @property
    def tag(self) -> str | None:
        """The platform tag of wheels with its libraries; None if only a linked library tells."""
        ...

    def install(self, folder: Path, *, root: Path, shared: Path) -> Compilers:
        """Write the compiler's programs into `folder`.

        Args:
            folder: an existing folder.
            root: a folder above it. Compiled files name their sources relative to it: no path of the machine gets in.
            shared: a folder of files that later builds can use again; several builds may use it at the same time.
        """
        ...


def set_up(toolchain: Toolchain, folder: Path, context: Context, jobs: int) -> Workplace:
    """Install the compilers of a toolchain in `folder`, an existing one, whose path the compiled files won't name."""
    compilers = toolchain.install(folder, root=folder, shared=context.cache.root / "toolchain")
    return Workplace(folder=folder, compilers=compilers, environ={**context.environ, **compilers.environ}, jobs=jobs)


def write_wrapper(
    path: Path,
    command: Sequence[str],
    *,
    arguments: Mapping[str, str] | None = None,
    root: Path | None = None,
    identity: Mapping[str, str] | None = None,
) -> Path:
    """Write a shell script that runs `command` with the arguments that it is given, some of them exchanged.

    Compiler caches (ccache, sccache) identify a compiler by its program's bytes. So the script states the compiler's
    identity in comments and names no path of the machine: it finds `root`, and a program in its own folder, from where
    it lies itself. Callers have to name it by its whole path for that.

    Args:
        path: where the script is written.
        command: a program, with its path, and its first arguments.
        arguments: argument that is given → the one that is handed on instead.
        root: a folder above `path`. In the compiler's output, files below it get names relative to the current folder,
            which is taken to lie just below `root`. A compiler cache hands on such names too, so output is the same
            with and without one.
        identity: the compiler's.
    """
    program, *words = command
    lines = ["#!/bin/sh"]
    if identity:
        lines += [f"# {name}: {' '.join(value.split())}" for name, value in sorted(identity.items())]
    if arguments:
        cases = " ".join(f"{shlex.quote(old)}) a={shlex.quote(new)};;" for old, new in sorted(arguments.items()))
        lines.append(f'for a do shift; case $a in {cases} esac; set -- "$@" "$a"; done')
    called = shlex.quote(program)
    if program.rpartition("/")[0] == str(path.parent):
        called = f'"${{0%/*}}"/{shlex.quote(program.rpartition("/")[2])}'
    quoted = [called, *map(shlex.quote, words)]
    if root is not None:
        lines += ["root=${0%/*}", *["root=${root%/*}"] * len(path.parent.relative_to(root).parts)]
        quoted += ['"-ffile-prefix-map=$root/=../"', '"-ffile-prefix-map=$PWD/="']  # the last one that fits is applied
    lines.append(f'exec {" ".join(quoted)} "$@"')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o755)
    return path
