"""What every toolchain offers."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Compilers:
    """Programs that compile for one target, ready to be run.

    Attributes:
        c, cxx, ar, ranlib: the programs.
        link: gives the flags for linking a library with `cxx`, from a folder to work in and the environment.
        print_map: flags that make the linker print its map; none if it can't.
        options: what CMake has to know besides the programs.
        environ: variables that the programs need.
    """

    c: Path
    cxx: Path
    ar: Path
    ranlib: Path
    link: Callable[[Path, Mapping[str, str]], Sequence[str]] = lambda _work, _environ: ()
    print_map: Sequence[str] = ("-Wl,--print-map",)
    options: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)


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


def write_wrapper(path: Path, command: Sequence[str], *, arguments: Mapping[str, str] | None = None) -> Path:
    """A program `path` that runs `command` with the arguments it is given, some of them exchanged."""
    lines = ["#!/bin/sh"]
    if arguments:
        cases = " ".join(f"{shlex.quote(old)}) a={shlex.quote(new)};;" for old, new in sorted(arguments.items()))
        lines.append(f'for a do shift; case $a in {cases} esac; set -- "$@" "$a"; done')
    lines.append(f'exec {shlex.join(command)} "$@"')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o755)
    return path
