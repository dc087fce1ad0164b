"""Runs ninja: the user sees its progress and, of a failure, the command and its errors instead of the whole log."""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ortpack_build.base.errors import StorageError, ToolError
from ortpack_build.base.process import follow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

STATUS = "ortpack [%f/%t] "
_STATUS = re.compile(r"ortpack \[(\d+)/(\d+)\] ")
_SHOWN = 40  # lines of a failure
_TELLING = 0.01  # share of the effort that must be done before the time left is told
_RECENT = 120.0  # seconds that the pace is taken from: files out of a compiler cache go faster than the rest
_FULL = ("No space left on device", "Disk quota exceeded", "File too large", "NoSpaceLeft", "DiskQuota", "FileTooBig")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a build has come.

    Attributes:
        done, total: steps; the total shrinks when ninja finds steps that need not be run.
        seconds: since it started.
        left: seconds to go, at the pace of the last minutes; None while too little is done to tell.
    """

    done: int
    total: int
    seconds: float
    left: float | None

    @property
    def rate(self) -> float:
        """Steps a second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        left = "" if self.left is None else f", about {_duration(self.left)} left"
        return f"{self.done} of {self.total} steps, {self.rate:.1f} a second{left}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


@dataclass(kw_only=True)
class Pace:
    """How fast a build goes, which tells how long it still takes.

    Attributes:
        whole: the effort of all steps; 0 if it is not known.
        effort: gives the effort of a step, by ninja's words for it.
    """

    whole: float
    effort: Callable[[str], float]
    _spent: float = 0.0
    _seen: deque[tuple[float, float]] = field(default_factory=lambda: deque([(0.0, 0.0)]))  # seconds, effort until then

    def left(self, what: str, seconds: float) -> float | None:
        """Return the seconds to go, now that one more step is done and `seconds` have gone by since the start."""
        self._spent += self.effort(what)
        self._seen.append((seconds, self._spent))
        while len(self._seen) > 2 and self._seen[1][0] < seconds - _RECENT:
            self._seen.popleft()
        since, before = self._seen[0]
        if self._spent < _TELLING * self.whole or self._spent <= before:
            return None
        return max(self.whole - self._spent, 0.0) * (seconds - since) / (self._spent - before)


@dataclass(kw_only=True)
class Log:
    """Reads what ninja prints, line by line, and keeps its first failure and its last lines."""

    failure: list[str] = field(default_factory=list)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_SHOWN))
    _failing: bool = False

    def read(self, line: str) -> tuple[int, int, str] | None:
        """Take a line in. Of a status line: steps done, steps in total, and what was done."""
        if status := _STATUS.match(line):
            self._failing = False
            return int(status[1]), int(status[2]), line[status.end() :].rstrip("\n")
        # Only the first failure is kept: commands that were under way may fail after it.
        if line.startswith("FAILED: ") and not self.failure:
            self._failing = True
        elif line.startswith(("FAILED: ", "ninja: ")):
            self._failing = False
        if self._failing:
            self.failure.append(line.rstrip("\n"))
        self.tail.append(line.rstrip("\n"))
        return None

    def explain(self) -> str:
        """Return the command that failed and its errors; if none did, the last lines."""
        if not self.failure:
            return "\n".join(self.tail)
        head, output = self.failure[:2], self.failure[2:]
        return "\n".join([*head, *_errors(output)])


def _errors(output: Sequence[str]) -> Iterable[str]:
    """Return the lines of a compiler's output that matter: from its first error on."""
    first = next((index for index, line in enumerate(output) if re.search(r"\berror\b", line)), 0)
    shown = output[first : first + _SHOWN]
    return [*shown, f"({len(output) - len(shown)} more lines)"] if len(output) > len(shown) else shown


def run(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    on_progress: Callable[[Progress], None],
    pace: Pace,
    log: Path,
    held: Sequence[int] = (),
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run ninja.

    Args:
        command: ninja and its arguments.
        environ: of the process; NINJA_STATUS is added.
        on_progress: called at every step that was done.
        pace: of this run; it knows how much work there is.
        log: file that takes everything ninja prints.
        held: file descriptors that ninja keeps open, so that it is known to run should this process be killed.
        clock: seconds.

    Raises:
        StorageError: the disk is full.
        ToolError: a command failed; says which, and its errors.
    """
    started = clock()
    state = Log()
    with log.open("w", encoding="utf-8") as copy:

        def read(line: str) -> None:
            copy.write(line)
            if status := state.read(line):
                done, total, what = status
                seconds = clock() - started
                left = pace.left(what, seconds)
                on_progress(Progress(done=done, total=total, seconds=seconds, left=left))

        code = follow(command, read, environ={**environ, "NINJA_STATUS": STATUS}, held=held)
    if code == 0:
        return
    explanation = state.explain()
    if any(words in explanation for words in _FULL):
        raise StorageError(
            f"The disk is full: compiling stopped.\n{explanation}",
            hint="Make room, or name another folder (--cache), and run the same command again: it goes on from here.",
        )
    raise ToolError(
        f"Compiling ONNX Runtime failed:\n{explanation}\n",
        hint=f"Everything that was said is in {log}. The same command goes on from here.",
    )
