"""What every toolchain offers."""

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
    """A shared library to be linked.

    Attributes:
        output: its path.
        objects: what goes in as it is.
        archives: what goes in as it is needed; they may need each other.
        flags: for the linker itself.
        libraries: of the system, as linker flags.
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
        linker: gives what makes commands of links, from a folder to work in and the environment.
        lld: whether it is LLD that links.
        options: what CMake has to know besides the programs.
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
        """What tells its output from another's; part of a kit's key."""
        ...

    @property
    def tag(self) -> str | None:
        """The platform tag of what it links, if it is known beforehand."""
        ...

    def install(self, folder: Path, *, root: Path, shared: Path) -> Compilers:
        """The programs, as files in `folder`.

        Args:
            folder: an existing folder.
            root: what they compile calls files relative to it.
            shared: a folder for what is worth keeping from one build to the next; builds may use it at once.
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
    """A program `path` that runs `command` with the arguments it is given, some of them exchanged.

    Compiler caches take the wrapper's bytes for the compiler: they say the compiler's identity and, as `root` and a
    program beside the wrapper are found from where it lies, nothing of the machine. It has to be called by its whole
    path.

    Args:
        path: where it is written.
        command: a program, with its path, and its first arguments.
        arguments: what is given → what is handed on.
        root: a folder above `path`. Files below it have names relative to the current folder in the compiler's output,
            taken for one just below `root`: those that they have with a compiler cache, which hands on relative names.
        identity: of the compiler.
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
        quoted += ['"-ffile-prefix-map=$root/=../"', '"-ffile-prefix-map=$PWD/="']  # the last that fits counts
    lines.append(f'exec {" ".join(quoted)} "$@"')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o755)
    return path
