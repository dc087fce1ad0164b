"""A row of the report, and what it can say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

RUN = "run"  # name of the row about running a model


class Verdict(StrEnum):
    """What a row says: it holds, it does not, it was left out, or it only tells a fact."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIP = "skip"
    INFO = "info"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the report: what was checked, what came of it, and in words why."""

    check: str
    verdict: Verdict
    detail: str


def skipped(check: str, why: str) -> Row:
    """The row of what was left out."""
    return Row(check=check, verdict=Verdict.SKIP, detail=why)


def failed(check: str, why: str) -> Row:
    """The row of what does not hold."""
    return Row(check=check, verdict=Verdict.FAIL, detail=why)


def passed(check: str, detail: str) -> Row:
    """The row of what holds."""
    return Row(check=check, verdict=Verdict.PASS, detail=detail)
