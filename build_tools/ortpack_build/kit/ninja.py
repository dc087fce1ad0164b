"""Running ninja: its progress for the user, and of a failure the command and what it said, not the whole log."""

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
_TELLING = 0.01  # share of the effort from which on the time left can be told
_RECENT = 120.0  # seconds that the pace is taken from: what a compiler cache has goes faster than the rest
_FULL = ("No space left on device", "Disk quota exceeded", "File too large", "NoSpaceLeft", "DiskQuota", "FileTooBig")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a build is.

    Attributes:
        done, total: steps; the total shrinks when ninja finds steps that need not be run.
        seconds: since it started.
        left: seconds to go, if the rest goes as what was done of late; None while too little is.
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
    """How fast the effort goes down.

    Attributes:
        whole: the effort of all steps; 0 if it is not known.
    """

    whole: float
    _spent: float = 0.0
    _seen: deque[tuple[float, float]] = field(default_factory=lambda: deque([(0.0, 0.0)]))  # seconds, effort until then

    def left(self, effort: float, seconds: float) -> float | None:
        """Seconds to go, when `effort` more is done and `seconds` have gone by since the start."""
        self._spent += effort
        self._seen.append((seconds, self._spent))
        while len(self._seen) > 2 and self._seen[1][0] < seconds - _RECENT:
            self._seen.popleft()
        since, before = self._seen[0]
        if self._spent < _TELLING * self.whole or self._spent <= before:
            return None
        return max(self.whole - self._spent, 0.0) * (seconds - since) / (self._spent - before)


@dataclass(kw_only=True)
class Log:
    """What ninja prints, read line by line."""

    failure: list[str] = field(default_factory=list)
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_SHOWN))
    _failing: bool = False

    def read(self, line: str) -> tuple[int, int, str] | None:
        """Takes a line in; steps done and in total and what was done if it is a status line."""
        if status := _STATUS.match(line):
            self._failing = False
            return int(status[1]), int(status[2]), line[status.end() :].rstrip("\n")
        if line.startswith("FAILED: ") and not self.failure:  # the first; others may follow from those under way
            self._failing = True
        elif line.startswith(("FAILED: ", "ninja: ")):
            self._failing = False
        if self._failing:
            self.failure.append(line.rstrip("\n"))
        self.tail.append(line.rstrip("\n"))
        return None

    def explain(self) -> str:
        """The command that failed and its errors, or the last that was said."""
        if not self.failure:
            return "\n".join(self.tail)
        head, output = self.failure[:2], self.failure[2:]
        return "\n".join([*head, *_errors(output)])


def _errors(output: Sequence[str]) -> Iterable[str]:
    """The lines of a compiler's output that matter: from its first error on."""
    first = next((index for index, line in enumerate(output) if re.search(r"\berror\b", line)), 0)
    shown = output[first : first + _SHOWN]
    return [*shown, f"({len(output) - len(shown)} more lines)"] if len(output) > len(shown) else shown


def run(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    on_progress: Callable[[Progress], None],
    effort: Callable[[str], float],
    whole: float,
    log: Path,
    held: Sequence[int] = (),
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run ninja.

    Args:
        command: ninja and its arguments.
        environ: of the process; NINJA_STATUS is added.
        on_progress: called at every step that was done.
        effort: how much work a step is, by ninja's words for it.
        whole: the effort of all steps.
        log: file that takes everything ninja prints.
        held: file descriptors that ninja keeps open, so that it is known to run should this process be killed.
        clock: seconds.

    Raises:
        StorageError: the disk is full.
        ToolError: a command failed; says which, and its errors.
    """
    started = clock()
    state, pace = Log(), Pace(whole=whole)
    with log.open("w", encoding="utf-8") as copy:

        def read(line: str) -> None:
            copy.write(line)
            if status := state.read(line):
                done, total, what = status
                seconds = clock() - started
                left = pace.left(effort(what), seconds)
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
