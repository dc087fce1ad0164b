"""Whether a wheel holds what it promises: a table of checks, each a row of the report.

Nothing in the wheel is trusted: a check that can't read what it needs fails, and those that build on it are skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortpack_build.base.errors import BuildError
from ortpack_build.verify.against_official import compare
from ortpack_build.verify.checks import CHECKS, Finding
from ortpack_build.verify.row import Row, Verdict
from ortpack_build.verify.wheel_reader import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ortpack_build.catalog.model import Catalog

__all__ = ["CHECKS", "Row", "Subject", "Verdict", "compare", "holds", "verify"]


def verify(path: Path, catalog: Catalog, scratch: Path) -> list[Row]:
    """Every check but the run (see `trial`), in the table's order.

    Args:
        path: the wheel.
        catalog: the manifests to hold it against.
        scratch: an empty folder.
    """
    subject = Subject(path, catalog, scratch)
    rows: list[Row] = []
    passed: set[str] = set()
    for check in CHECKS:
        if missing := [name for name in check.needs if name not in passed]:
            rows.append(Row(check=check.name, verdict=Verdict.SKIP, detail=f"not checked: {missing[0]} failed"))
            continue
        try:
            finding = check.run(subject)
        except BuildError as error:
            finding = Finding(problems=(error.paragraph(),))
        if finding.problems:
            rows.append(Row(check=check.name, verdict=Verdict.FAIL, detail="; ".join(finding.problems)))
        else:
            passed.add(check.name)
            verdict = Verdict.INFO if finding.informs else Verdict.PASS
            rows.append(Row(check=check.name, verdict=verdict, detail=finding.detail or check.title))
    return rows


def holds(rows: Iterable[Row]) -> bool:
    """Whether nothing failed."""
    return all(row.verdict is not Verdict.FAIL for row in rows)
