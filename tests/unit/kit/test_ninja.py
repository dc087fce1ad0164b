"""What is shown of a build: progress, and of a failure the part that matters."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from ortpack_build.base.errors import StorageError, ToolError
from ortpack_build.kit import ninja
from ortpack_build.kit.ninja import Log, Pace, Progress
from ortpack_build.kit.settings import Group
from ortpack_build.kit.work_tree import groups_cmake

if TYPE_CHECKING:
    from pathlib import Path


def test_progress() -> None:
    def text(done: int, total: int, seconds: float, left: float | None) -> str:
        return str(Progress(done=done, total=total, seconds=seconds, left=left))

    assert text(30, 90, 10, 20) == "30 of 90 steps, 3.0 a second, about 20 s left"
    assert text(300, 903, 100, 900) == "300 of 903 steps, 3.0 a second, about 15 min left"
    assert text(0, 9, 0, None) == "0 of 9 steps, 0.0 a second"


def test_the_time_left_is_told_by_effort_not_by_steps(tmp_path: Path) -> None:
    script = """
for step, what in enumerate(("light a", "light b", "heavy c", "light d")):
    print(f"ortpack [{step + 1}/4] {what}", flush=True)
"""
    seen: list[Progress] = []
    times = iter((0.0, 1.0, 2.0, 9.0, 10.0))
    ninja.run(
        [sys.executable, "-c", script],
        environ={},
        on_progress=seen.append,
        pace=Pace(whole=10.0, effort=lambda what: 7.0 if what.startswith("heavy") else 1.0),
        log=tmp_path / "log",
        clock=lambda: next(times),
    )
    assert [step.left for step in seen] == [9.0, 8.0, 1.0, 0.0]


def test_the_pace_is_that_of_late() -> None:
    pace = Pace(whole=1000.0, effort=float)
    assert pace.left("5", 1.0) is None
    assert pace.left("495", 10.0) == 10.0  # out of a compiler cache
    for second in range(20, 400, 10):
        left = pace.left("1", float(second))
    assert left == (500 - 38) * 10


def test_the_first_failure_only_and_from_its_first_error_on() -> None:
    log = Log()
    lines = [
        "ortpack [1/9] CXX a.o",
        "a.cc:1: warning: hm",
        "ortpack [2/9] CXX b.o",
        "FAILED: [code=1] b.o ",
        "c++ -c b.cc",
        *(f"note {n}" for n in range(500)),
        "b.cc:7:1: error: no such thing",
        *(f"more {n}" for n in range(5000)),
        "ortpack [3/9] CXX c.o",
        "FAILED: [code=1] c.o ",
        "c++ -c c.cc",
        "c.cc:1: error: another",
        "ninja: build stopped: subcommand failed.",
    ]
    steps = [log.read(line + "\n") for line in lines]
    assert [step for step in steps if step] == [(1, 9, "CXX a.o"), (2, 9, "CXX b.o"), (3, 9, "CXX c.o")]
    shown = log.explain().splitlines()
    assert shown[:3] == ["FAILED: [code=1] b.o ", "c++ -c b.cc", "b.cc:7:1: error: no such thing"]
    assert len(shown) < 60
    assert not [line for line in shown if "another" in line or "warning" in line]


@pytest.mark.parametrize(
    ("says", "error", "message"),
    [
        ("FAILED: x.o\\ncc x.c\\nx.c: error: No space left on device", StorageError, "The disk is full"),
        ("FAILED: x.o\\ncc x.c\\nx.c: error: bad", ToolError, "x.c: error: bad"),
        ("ninja: fatal: GetFileAttributes", ToolError, "fatal"),
    ],
)
def test_a_failed_run(says: str, error: type[Exception], message: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", f"print('{says}'); raise SystemExit(1)"]
    with pytest.raises(error, match=message):
        ninja.run(command, environ={}, on_progress=lambda _: None, pace=Pace(whole=1, effort=len), log=tmp_path / "log")
    assert (tmp_path / "log").read_text()


def test_file_groups_as_cmake() -> None:
    text = groups_cmake([Group(name="fast", files="/core/.*[.]cc$", flags=("-O3", "-fno-plt"))])
    assert 'if(path MATCHES "/core/.*[.]cc$")' in text
    assert "set(flags -O3 -fno-plt)" in text
