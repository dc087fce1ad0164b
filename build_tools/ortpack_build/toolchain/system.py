"""GCC or Clang, as installed on the machine that compiles, for that machine itself."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base import process
from ortpack_build.base.errors import ToolError
from ortpack_build.base.tags import version_key
from ortpack_build.toolchain.base import Compilers, Link, write_wrapper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ortpack_build.toolchain.settings import CompilerEntry

_TIMEOUT = 60  # seconds, to say a version


@dataclass(frozen=True, kw_only=True)
class System:
    """A compiler found on this machine.

    Attributes:
        name: its entry in kits.toml.
        c, cxx, ar, ranlib: the programs.
        version: the first line of `cxx --version`.
        machine: the triple it compiles for.
        link: flags for linking.
    """

    name: str
    c: Path
    cxx: Path
    ar: Path
    ranlib: Path
    version: str
    machine: str
    link: tuple[str, ...]

    @property
    def identity(self) -> Mapping[str, str]:
        """Name, version and triple. The machine's headers and libraries are assumed to go with them."""
        return {"name": self.name, "version": self.version, "target": self.machine}

    @property
    def tag(self) -> None:
        """None: the tag depends on the symbols that a library took from the machine's libc."""

    def install(self, folder: Path, *, root: Path, shared: Path) -> Compilers:
        """Write scripts that call the compilers."""
        del shared  # such compilers make nothing that a later build could use
        return Compilers(
            c=write_wrapper(folder / "cc", [str(self.c)], root=root, identity=self.identity),
            cxx=write_wrapper(folder / "cxx", [str(self.cxx)], root=root, identity=self.identity),
            ar=self.ar,
            ranlib=self.ranlib,
            linker=lambda _work, _environ: self._command,
        )

    def _command(self, link: Link) -> list[str]:
        command = [str(self.cxx), "-shared", "-o", str(link.output), *map(str, link.objects)]
        command += ["-Wl,--start-group", *map(str, link.archives), "-Wl,--end-group"]
        for flag in link.flags:
            command += ["-Xlinker", flag]
        return [*command, "-static-libstdc++", "-static-libgcc", *self.link, *link.libraries]


def find(name: str, entry: CompilerEntry, *, environ: Mapping[str, str]) -> System:
    """Find the compiler of an entry of kits.toml on the PATH of `environ`.

    Raises:
        ToolError: it is missing, too old, or does not run.
    """
    search = environ.get("PATH", os.defpath)
    programs = {}
    for part, program in (("c", entry.c), ("cxx", entry.cxx), ("ar", "ar"), ("ranlib", "ranlib")):
        found = shutil.which(program, path=search)
        if found is None:
            raise ToolError(
                f"{program} is not on this machine.",
                hint="Install it, or take the compiler from PyPI that needs nothing: --toolchain zig.",
            )
        programs[part] = Path(found)
    full = _ask(programs["cxx"], "--version").partition("\n")[0].strip()
    number = re.search(r"\d+\.\d+(?:\.\d+)?", re.sub(r"\(.*?\)", "", full)) or re.search(r"\d+\.\d+(?:\.\d+)?", full)
    if number is None:
        raise ToolError(f"{programs['cxx']} does not say its version; it said {full!r}.")
    if version_key(number[0]) < version_key(entry.oldest):
        raise ToolError(
            f"{programs['cxx']} is {number[0]}; ONNX Runtime needs {name} {entry.oldest} or newer.",
            hint="Install a newer one, or take the compiler from PyPI: --toolchain zig.",
        )
    return System(
        name=name, version=full, machine=_ask(programs["c"], "-dumpmachine").strip(), link=entry.link, **programs
    )


def _ask(program: Path, argument: str) -> str:
    done = process.run([program, argument], timeout=_TIMEOUT)
    if done.code != 0:
        raise ToolError(f"{program} {argument} failed: {done.errors.strip() or f'exit code {done.code}'}.")
    return done.output
