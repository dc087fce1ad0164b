from __future__ import annotations

import io
import itertools

import pytest
from rich.console import Console

from ortpack_build.base.report import Reporter


def reporter(*, terminal: bool) -> tuple[Reporter, io.StringIO]:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, highlight=False, width=80)
    ticks = itertools.count(0.0, 1.5)
    return Reporter(console=console, clock=lambda: next(ticks)), stream


def test_plain_lines_where_no_terminal_is() -> None:
    report, stream = reporter(terminal=False)
    with report.step("Outer") as outer:
        with report.step("Inner") as inner:
            inner.advance(1, 2)
        report.note("[noted]")
        outer.detail("12 MB")
    assert stream.getvalue().splitlines() == [
        "Outer ...",
        "  Inner ...",
        "  Inner (1.5 s)",
        "  [noted]",
        "Outer: 12 MB (4.5 s)",
    ]


def test_a_failed_step_says_so_and_lets_the_error_through() -> None:
    report, stream = reporter(terminal=False)
    with pytest.raises(ValueError, match="reason"), report.step("Step"):
        raise ValueError("reason")
    assert stream.getvalue().splitlines() == ["Step ...", "Step: failed after 1.5 s"]


def test_a_terminal_shows_the_running_step_and_keeps_its_last_line() -> None:
    report, stream = reporter(terminal=True)
    with report.step("Step") as step:
        step.advance(5, 10, "5 of 10")
        with report.step("Inner"):
            pass
    text = stream.getvalue()
    assert "5 of 10" in text
    assert "\x1b[" in text
    assert text.rstrip().endswith("Step (4.5 s)")


def test_long_lines_are_not_broken() -> None:
    report, stream = reporter(terminal=False)
    report.error("word " * 60)
    assert len(stream.getvalue().splitlines()) == 1


NAME = "a:x:[red]b.onnx"  # of a file: an emoji and a colour, if it were markup


@pytest.mark.parametrize("terminal", [False, True])
def test_names_are_shown_as_they_are(terminal: bool) -> None:
    report, stream = reporter(terminal=terminal)
    with report.step(f"Converting {NAME}") as step:
        step.advance(1, 2, f"at {NAME}")
        step.detail(f"made {NAME}")
    report.note(f"note {NAME}")
    report.warning(NAME)
    report.error(f"There is no file {NAME}.")
    text = stream.getvalue()
    for said in ("Converting", "made", "note", "warning:", "There is no file", *(["at"] if terminal else [])):
        assert f"{said} {NAME}" in text
    assert "❌" not in text
    assert "\x1b[31m" not in text


@pytest.mark.parametrize("terminal", [False, True])
def test_names_in_a_table_are_shown_as_they_are(
    terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    reporter(terminal=terminal)[0].table(["file", "size"], [[NAME, "3"]])
    assert NAME in capsys.readouterr().out
