"""Zig as a C and C++ compiler: Clang, LLD, libc++, and the libc of every Linux, out of one wheel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ortpack_build.toolchain.base import Compilers, Link, Linker, write_wrapper
from ortpack_build.toolchain.builtins import Brought, kept

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Zig:
    """Zig for one target.

    Attributes:
        program: zig itself.
        version: of it.
        target: zig's name of the target, with the oldest libc, e.g. "x86_64-linux-gnu.2.17".
        wheel_tag: of wheels with what it links.
        cross: whether the target is another one than the machine that compiles.
        system, processor: the target in CMake's words.
        arguments: compiler arguments that zig reads otherwise than Clang → what it wants instead.
        flags: for compiling.
        link: for the linker itself.
    """

    program: Path
    version: str
    target: str
    wheel_tag: str
    cross: bool
    system: str
    processor: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    link: tuple[str, ...] = ()

    @property
    def identity(self) -> Mapping[str, str]:
        """Zig's output depends on nothing else of the machine."""
        flags = {"flags": " ".join(self.flags)} if self.flags else {}
        return {"name": "zig", "version": self.version, "target": self.target, **flags, **self.arguments}

    @property
    def tag(self) -> str:
        """What the baseline of libc makes it."""
        return self.wheel_tag

    def install(self, folder: Path, *, root: Path, shared: Path) -> Compilers:
        """Wrappers that name the target and take `root` off file names."""
        zig = str(self.program)
        common = ["-target", self.target, f"-ffile-prefix-map={root}/=", *self.flags]
        home = shared / "brought" / f"{self.version}-{self.target}"
        cxx = write_wrapper(folder / "cxx", [zig, "c++", *common], arguments=self.arguments)
        return Compilers(
            c=write_wrapper(folder / "cc", [zig, "cc", *common], arguments=self.arguments),
            cxx=cxx,
            ar=write_wrapper(folder / "ar", [zig, "ar"]),
            ranlib=write_wrapper(folder / "ranlib", [zig, "ranlib"]),
            linker=lambda work, environ: self._linker(kept(cxx, environ, work, at=home)),
            lld=True,
            options={"CMAKE_SYSTEM_NAME": self.system, "CMAKE_SYSTEM_PROCESSOR": self.processor} if self.cross else {},
            # zig's own caches: libc++ compiled for the target, and a copy of each object.
            environ={
                "ZIG_GLOBAL_CACHE_DIR": str(shared / "zig"),
                "ZIG_LOCAL_CACHE_DIR": str(folder / "zig-cache"),
            },
        )

    def _linker(self, brought: Brought) -> Linker:
        # zig's driver refuses some of LLD's options.
        def command(link: Link) -> list[str]:
            words = [str(self.program), "ld.lld", "-m", brought.emulation, "-shared", "-o", str(link.output)]
            words += [*self.link, *link.flags, *map(str, link.objects)]
            words += ["--start-group", *map(str, link.archives), "--end-group"]
            return [*words, brought.builtins, *brought.libraries]

        return command
