"""What the user sees while something is done: steps with names, times and progress, on standard error.

On a terminal rich draws the running step in place; elsewhere each step is a line when it starts and one when it
ends, so that a log reads well. Standard output is left to results.

Texts hold names that users gave: nothing in them is ever markup, an emoji or something to highlight.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


_VERBATIM: Final[dict[str, Any]] = {"markup": False, "emoji": False, "highlight": False}


@dataclass(kw_only=True)
class Step:
    """One running step. `advance` moves its bar, `detail` says what came of it."""

    title: str
    _show: Callable[[float | None, float | None, str], None] = lambda _done, _total, _text: None
    result: str = ""

    def advance(self, done: float, total: float | None = None, text: str = "") -> None:
        """Show that `done` of `total` (any unit, usually bytes) are done, and `text` beside the bar."""
        self._show(done, total, text)

    def detail(self, text: str) -> None:
        """What the closing line of the step adds, e.g. a size, or that the cache had it."""
        self.result = text


@dataclass(kw_only=True)
class Reporter:
    """Writes to `console`; make one a process and hand it down."""

    console: Console = field(default_factory=lambda: Console(stderr=True, **_VERBATIM))
    clock: Callable[[], float] = time.monotonic
    _depth: int = 0

    @property
    def live(self) -> bool:
        """Whether a person is watching a terminal."""
        return self.console.is_terminal and not self.console.is_dumb_terminal

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Announce a step, time it, and close it with its result; an exception closes it as failed."""
        started = self.clock()
        indent = "  " * self._depth
        nested = self._depth > 0
        with contextlib.ExitStack() as stack:
            step = Step(title=title)
            if self.live and not nested:  # one live display at a time
                progress = Progress(
                    SpinnerColumn(),
                    TextColumn("{task.description}", markup=False),
                    BarColumn(bar_width=24),
                    TimeElapsedColumn(),
                    TextColumn("{task.fields[text]}", markup=False),
                    console=self.console,
                    transient=True,
                )
                task = progress.add_task(title, total=None, text="")
                step = Step(title=title, _show=_show_in(progress, task))
                stack.enter_context(progress)
            elif not self.live:
                self._line(f"{indent}{title} ...")
            self._depth += 1
            try:
                yield step
            except BaseException:
                self._line(f"{indent}{title}: failed after {self.clock() - started:.1f} s")
                raise
            finally:
                self._depth -= 1
        result = f": {step.result}" if step.result else ""
        self._line(f"{indent}{title}{result} ({self.clock() - started:.1f} s)")

    def note(self, text: str) -> None:
        """A fact worth a line."""
        self._line("  " * self._depth + text)

    def warning(self, text: str) -> None:
        """Something that works but should be known."""
        self._line(f"warning: {text}")

    def error(self, text: str) -> None:
        """What went wrong, as one paragraph."""
        self._line(f"ortpack-build: {text}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Lines under headings, on standard output; in a pipe nothing is cut off or wrapped."""
        console = Console(**_VERBATIM)
        if console.is_terminal:
            table = Table(*columns, box=None, pad_edge=False)
            for row in rows:
                table.add_row(*row)
            console.print(table)
            return
        lines = [columns, *rows]
        widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
        for line in lines:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    def _line(self, text: str) -> None:
        self.console.print(text, **_VERBATIM, soft_wrap=True)


def _show_in(progress: Progress, task: TaskID) -> Callable[[float | None, float | None, str], None]:
    def show(done: float | None, total: float | None, text: str) -> None:
        progress.update(task, completed=done, total=total, text=text)

    return show
