"""Runs a model with a Windows library where there is no Windows: under wine."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.errors import BuildError
from ortpack_build.verify import run_from_c
from ortpack_build.verify.row import Row, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ortpack_build.base.cache import Cache
    from ortpack_build.base.report import Reporter
    from ortpack_build.toolchain.settings import Tool
    from ortpack_build.verify.wheel_reader import Subject

ZIG = {"amd64": "x86_64-windows-gnu", "arm64": "aarch64-windows-gnu"}  # zig's names by architecture
# Wine: no messages of its own, no browser or .NET to install, no entries in the user's menus, no screen
_SETTINGS = {"WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml=;winemenubuilder.exe="}
_UNWANTED = ("DISPLAY", "WAYLAND_DISPLAY", "WINEARCH", "WINEPATH")


def trial(subject: Subject, *, emulator: str, model: Path | None, tool: Tool, cache: Cache, report: Reporter) -> Row:
    """The row of running a model with the wheel's library; skipped where that can't be tried.

    Args:
        subject: the wheel; every check of it has passed.
        emulator: the program `wine`.
        model: an .onnx or .ort file, fed with zeros (free dimensions are 1); a made-up one if None.
        tool: zig for this machine.
    """
    place = subject.scratch / "windows"
    place.mkdir()
    try:
        program = run_from_c.compiled(ZIG[subject.tag.arch], tool, cache, report)
    except BuildError as error:
        return Row(check="run", verdict=Verdict.SKIP, detail=f"the program to run it with: {error.paragraph()}")
    return run_from_c.trial(subject, runner(program, emulator, place), model=model, scratch=place)


def find(emulator: str) -> str | None:
    """The emulator's program on this machine."""
    return shutil.which(emulator)


def runner(program: Path, emulator: str, scratch: Path) -> run_from_c.Runner:
    """What runs models with Windows libraries.

    Args:
        program: as `native.compiled` made it.
        emulator: wine's program.
        scratch: a folder; wine's C: drive goes there (0.7 GB).
    """
    environ = {key: value for key, value in os.environ.items() if key not in _UNWANTED}
    environ |= {**_SETTINGS, "WINEPREFIX": str(scratch / "prefix")}
    return run_from_c.Runner(
        start=(emulator, str(program)),
        below="wine",
        environ=environ,
        shown=_path,
        ended=partial(_stop, emulator, environ),
    )


def _stop(emulator: str, environ: Mapping[str, str]) -> None:
    """End the processes that wine keeps for this prefix, so that its folder can go."""
    server = shutil.which("wineserver", path=str(Path(emulator).parent)) or shutil.which("wineserver")
    if server and Path(environ["WINEPREFIX"]).is_dir():
        subprocess.run([server, "--kill"], env=environ, capture_output=True, check=False, timeout=60)


def _path(path: Path) -> str:
    """As wine sees it: the root of this machine is its drive Z:."""
    return "Z:" + str(path.resolve()).replace("/", "\\")
