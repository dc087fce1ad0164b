"""Whether a wheel holds what it promises: a table of checks, a comparison with the official library, and a run.

Nothing in the wheel is trusted: a check that can't read what it needs fails, and those that build on it are skipped.
Only a wheel that passes them all is run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.errors import storage_error
from ortpack_build.catalog import host
from ortpack_build.verify.against_official import compare
from ortpack_build.verify.checks import CHECKS, run_checks
from ortpack_build.verify.row import RUN, Row, Verdict, skipped
from ortpack_build.verify.run import run
from ortpack_build.verify.wheel_reader import WheelReader
from ortpack_build.verify.wish import Wish

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ortpack_build.base.context import Context
    from ortpack_build.catalog.model import Catalog

__all__ = ["CHECKS", "Row", "Verdict", "WheelReader", "Wish", "holds", "run_checks", "verify"]


def verify(path: Path, catalog: Catalog, wish: Wish, context: Context) -> list[Row]:
    """Check a wheel, hold its library against the official one, and run a model with it.

    Args:
        path: the wheel.
        catalog: the manifests to hold it against.
        wish: what is asked for besides the checks.
        context: cache, reporter and environment.

    Returns:
        The report: a row for each check, in the order of the table, then those of the comparison and of the run.

    Raises:
        UsageError: it should be emulated and nothing emulates its target, or `wish.loader` is no loader.
        ToolError: it should be emulated and the emulator is not on this machine.
        FetchError: the official library, or what an emulated run takes, can't be had.
        StorageError: a temporary file can't be written.
    """
    with tempfile.TemporaryDirectory(prefix="ortpack-verify-", ignore_cleanup_errors=True) as temporary:
        libraries, official, place = (Path(temporary) / name for name in ("libraries", "official", "run"))
        try:
            for folder in (libraries, official, place):
                folder.mkdir()
            wheel = WheelReader(path, catalog, libraries)
            with context.report.step(f"Checking {path.name}"):
                rows = run_checks(wheel)
            if holds(rows) and (wish.compare or wheel.from_source):
                rows += compare(wheel, official, context, may_fetch=wish.compare)
            if not wish.run:
                return [*rows, skipped(RUN, "not asked for")]
            if not holds(rows):
                return [*rows, skipped(RUN, "a check failed, so nothing of it is run")]
            return rows + run(wheel, wish, context, place, here=host.detect())
        except OSError as error:
            raise storage_error("A temporary file", Path(temporary), error) from error


def holds(rows: Iterable[Row]) -> bool:
    """Whether nothing failed."""
    return all(row.verdict is not Verdict.FAIL for row in rows)
