"""Runs a model with a Windows library where there is no Windows: from C, under wine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ortpack_build.base import process
from ortpack_build.base.errors import BuildError, ToolError
from ortpack_build.machines import emulation
from ortpack_build.verify import run_from_c
from ortpack_build.verify.row import RUN, skipped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ortpack_build.base.context import Context
    from ortpack_build.catalog.host import Host
    from ortpack_build.catalog.model import Target
    from ortpack_build.verify.row import Row
    from ortpack_build.verify.wheel_reader import WheelReader
    from ortpack_build.verify.wish import Wish

_STOP_TIMEOUT = 60  # seconds


@dataclass(frozen=True)
class FromCUnderWine:
    """Runs a model with a Windows library: a program compiled for Windows opens it, under wine."""

    context: Context
    here: Host
    name: ClassVar[str] = "from C, under wine"

    def why_not(self, wheel: WheelReader) -> str | None:
        """Why it can't run this wheel; None if it can."""
        host = self.here.target(wheel.catalog.targets)
        if wheel.package:
            return run_from_c.NO_LIBRARY
        if not run_from_c.can_compile(host, self.context):
            return f"no zig is pinned for {host or 'this machine'}"
        if find(wheel.target, self.context.environ) is None:
            return f"{wheel.target.emulator} is not installed"
        return None

    def run(self, wheel: WheelReader, wish: Wish, scratch: Path) -> list[Row]:
        """The row of running a model; it is skipped where the program that does it can't be had.

        Nobody asked for this run by name, so what it lacks is no error.
        """
        host = self.here.target(wheel.catalog.targets)
        try:
            file = run_from_c.compiled(wheel.target, host, self.context)
            program = under_wine(file, wheel.target, scratch, self.context.environ)
        except BuildError as error:
            return [skipped(RUN, f"the program to run it with: {error.paragraph()}")]
        return [run_from_c.run_library(wheel, program, model=wish.model, scratch=scratch)]


def find(target: Target, environ: Mapping[str, str]) -> str | None:
    """The path of wine on this machine, or None if it is not there or the target is not for it."""
    return shutil.which(target.emulator, path=environ.get("PATH")) if target.emulator else None


def under_wine(file: Path, target: Target, scratch: Path, environ: Mapping[str, str]) -> run_from_c.Program:
    """The program that opens Windows libraries, started under wine.

    Args:
        file: as `run_from_c.compiled` made it.
        target: a target for Windows.
        scratch: a folder; wine's C: drive goes there (0.7 GB).
        environ: variables that wine starts from.

    Raises:
        ToolError: wine is not on this machine.
    """
    wine = find(target, environ)
    if wine is None:
        raise ToolError(f"{target.emulator}, which runs programs of {target.name}, is not on this machine.")
    settings = emulation.load().rootless[str(target.emulator)]
    changed = {**settings.environ(environ), "WINEPREFIX": str(scratch / "prefix")}
    return run_from_c.Program(
        command=(wine, str(file)),
        below="wine",
        environ=changed,
        path_there=_on_drive_z,
        clean_up=partial(_stop, wine, changed),
    )


def _stop(wine: str, environ: Mapping[str, str]) -> None:
    """End the processes that wine keeps for this prefix: they would write into its folder while it is deleted."""
    server = shutil.which("wineserver", path=str(Path(wine).parent)) or shutil.which(
        "wineserver", path=environ.get("PATH")
    )
    if server and Path(environ["WINEPREFIX"]).is_dir():
        process.run([server, "--kill"], environ=environ, timeout=_STOP_TIMEOUT)


def _on_drive_z(path: Path) -> str:
    """The path as Windows programs write it: wine shows this machine's root folder as drive Z:."""
    return "Z:" + str(path.resolve()).replace("/", "\\")
