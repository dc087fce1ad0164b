"""Zig as a C and C++ compiler: Clang, LLD, libc++, and the libc of every Linux, out of one wheel."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base import process
from ortpack_build.base.errors import UsageError
from ortpack_build.base.tags import version_key
from ortpack_build.toolchain.base import Compilers, Link, Linker, write_wrapper
from ortpack_build.toolchain.zig_runtime import ZigRuntime, cached

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT = 600  # seconds: zig compiles what is missing for the target


@dataclass(frozen=True, kw_only=True)
class Zig:
    """Zig as the toolchain for one target.

    Attributes:
        program: the file of zig.
        version: zig's.
        target: zig's name of the target, with the oldest libc, e.g. "x86_64-linux-gnu.2.17".
        wheel_tag: platform tag of wheels with libraries that it links.
        cross: whether the target is another one than the machine that compiles.
        system, processor: CMake's names of the target's.
        arguments: compiler argument that zig reads otherwise than Clang → what zig wants instead.
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
        """Version, target and flags: zig brings headers and libraries itself, so nothing of the machine matters."""
        flags = {"flags": " ".join(self.flags)} if self.flags else {}
        return {"name": "zig", "version": self.version, "target": self.target, **flags, **self.arguments}

    @property
    def tag(self) -> str:
        """The tag that follows from the oldest libc."""
        return self.wheel_tag

    def check(self, shared: Path) -> None:
        """Make sure that zig has the target's libc. Zig says only in a link that it lacks it, so this links something.

        Args:
            shared: as for `install`. Parts of libc that zig compiles for the link stay there for later ones.

        Raises:
            UsageError: zig has not; with the versions that it has.
            ToolError: zig did not run.
        """
        with tempfile.TemporaryDirectory(prefix="ortpack-zig-") as scratch:
            folder = Path(scratch)
            listed = re.search(r"\.glibc = \.\{([^}]*)\}", self._ask(["targets"], folder, shared))
            known = [v.removesuffix(".0") for v in re.findall(r'"([\d.]+)"', listed[1] if listed else "")]
            if self.target.partition(".")[2] in known:
                (folder / "probe.c").write_text("int ortpack_probe;\n", encoding="utf-8")
                probe = ["cc", "-shared", "probe.c", "-o", "probe.so", "-target", self.target]
                complaint = self._ask(probe, folder, shared)
                if "unable to provide" not in complaint:
                    return
                # That glibc is older than the processor: zig names the oldest glibc that knows it.
                if nearest := re.search(r"related target \S+-gnu\w*\.([\d.]+)", complaint):
                    known = [v for v in known if version_key(v) >= version_key(nearest[1])]
        raise UsageError(f"zig {self.version} has no libc for {self.target}.", hint=f"It has glibc {', '.join(known)}.")

    def _ask(self, arguments: list[str], folder: Path, shared: Path) -> str:
        environ = {**os.environ, **self._caches(folder, shared)}
        command = [str(self.program), *arguments]
        done = process.run(command, environ=environ, cwd=folder, timeout=_TIMEOUT)
        return done.output + done.errors

    def install(self, folder: Path, *, root: Path, shared: Path) -> Compilers:
        """Write scripts that call zig for the target."""
        shared = shared.resolve()  # what is kept there names files by their paths, which must outlive a link to it
        beside = folder / "zig"
        beside.unlink(missing_ok=True)
        beside.symlink_to(self.program)
        zig = str(beside)

        def wrapper(name: str, mode: str) -> Path:
            command = [zig, mode, "-target", self.target, *self.flags]
            return write_wrapper(folder / name, command, arguments=self.arguments, root=root, identity=self.identity)

        home = shared / "zig-runtime" / f"{self.version}-{self.target}"
        cxx = wrapper("cxx", "c++")
        return Compilers(
            c=wrapper("cc", "cc"),
            cxx=cxx,
            ar=write_wrapper(folder / "ar", [zig, "ar"]),
            ranlib=write_wrapper(folder / "ranlib", [zig, "ranlib"]),
            linker=lambda work, environ: self._linker(
                cached(cxx, environ, work, musl=f"libc.musl-{self.processor}.so.1", at=home)
            ),
            lld=True,
            options={"CMAKE_SYSTEM_NAME": self.system, "CMAKE_SYSTEM_PROCESSOR": self.processor} if self.cross else {},
            environ=self._caches(folder, shared),
        )

    def _linker(self, runtime: ZigRuntime) -> Linker:
        # LLD is called by itself, because zig's compiler driver refuses some of its options.
        def command(link: Link) -> list[str]:
            words = [str(self.program), "ld.lld", "-m", runtime.emulation, "-shared", "-o", str(link.output)]
            words += [*self.link, *link.flags, *map(str, link.objects)]
            words += ["--start-group", *map(str, link.archives), "--end-group"]
            return [*words, runtime.builtins, *runtime.libraries]

        return command

    @staticmethod
    def _caches(folder: Path, shared: Path) -> dict[str, str]:
        # In the global one, zig keeps libc++ compiled for the target; in the local one, a copy of each object.
        return {"ZIG_GLOBAL_CACHE_DIR": str(shared / "zig"), "ZIG_LOCAL_CACHE_DIR": str(folder / "zig-cache")}
