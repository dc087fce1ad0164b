"""Zig as a C and C++ compiler: Clang, LLD, libc++, and the libc of every Linux, out of one wheel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ortpack_build.toolchain.base import Compilers, write_wrapper
from ortpack_build.toolchain.builtins import kept

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
    """

    program: Path
    version: str
    target: str
    wheel_tag: str
    cross: bool
    system: str
    processor: str
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> Mapping[str, str]:
        """Zig's output depends on nothing else of the machine."""
        return {"name": "zig", "version": self.version, "target": self.target, **self.arguments}

    @property
    def tag(self) -> str:
        """What the baseline of libc makes it."""
        return self.wheel_tag

    def install(self, folder: Path, *, root: Path, shared: Path) -> Compilers:
        """Wrappers that name the target and take `root` off file names."""
        zig = str(self.program)
        common = ["-target", self.target, f"-ffile-prefix-map={root}/="]
        builtins = shared / "builtins" / f"{self.version}-{self.target}.a"
        cxx = write_wrapper(folder / "cxx", [zig, "c++", *common], arguments=self.arguments)
        return Compilers(
            c=write_wrapper(folder / "cc", [zig, "cc", *common], arguments=self.arguments),
            cxx=cxx,
            ar=write_wrapper(folder / "ar", [zig, "ar"]),
            ranlib=write_wrapper(folder / "ranlib", [zig, "ranlib"]),
            link=lambda work, environ: ("-O2", "-rtlib=none", str(kept(cxx, environ, work, at=builtins))),
            options={"CMAKE_SYSTEM_NAME": self.system, "CMAKE_SYSTEM_PROCESSOR": self.processor} if self.cross else {},
            # zig's own caches: libc++ compiled for the target, and a copy of each object.
            environ={
                "ZIG_GLOBAL_CACHE_DIR": str(shared / "zig"),
                "ZIG_LOCAL_CACHE_DIR": str(folder / "zig-cache"),
            },
        )
