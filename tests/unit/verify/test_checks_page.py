"""The generated table of checks: complete, and each row a sentence."""

from __future__ import annotations

from ortpack_build.verify import CHECKS
from ortpack_build.verify.checks_page import checks_table


def test_every_check_has_a_row() -> None:
    rows = [line.strip("| ").split(" | ") for line in checks_table().splitlines()[2:]]
    assert [row[0].strip("`") for row in rows] == [*(check.name for check in CHECKS), "official", "install", "run"]
    for _, title, needs in rows:
        assert title[0].isupper() or title.startswith(("runtime.json", "pip"))
        assert title.endswith(".")
        assert needs


def test_a_check_needs_earlier_ones_only() -> None:
    earlier: set[str] = set()
    for check in CHECKS:
        assert set(check.needs) <= earlier
        earlier.add(check.name)
    assert len(earlier) == len(CHECKS)
