"""How many cores there are: what a runtime without cpuinfo can't tell."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from ortpack._machine import cores

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the files are Linux's")


def test_processors_of_one_core_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for processor, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        (tmp_path / f"cpu{processor}").write_text(f"{siblings}\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert cores(f"{tmp_path}/cpu{{}}") == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2})
    assert cores(f"{tmp_path}/cpu{{}}") == 1


def test_without_the_files_every_processor_counts(tmp_path: Path) -> None:
    assert cores(f"{tmp_path}/cpu{{}}") == len(os.sched_getaffinity(0))
