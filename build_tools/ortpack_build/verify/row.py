"""A line of the report, and what it can say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a row says."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIP = "skip"
    INFO = "info"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the report."""

    check: str
    verdict: Verdict
    detail: str
