"""Makes many wheels in parallel, with one display of what is going on, and adds up their sizes."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from ortpack_build.base.errors import BuildError
from ortpack_build.base.report import Reporter, Step
from ortpack_build.catalog import spec as spec_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ortpack_build.bundle.wheel import Wheel
    from ortpack_build.catalog.model import Catalog
    from ortpack_build.catalog.spec import Spec


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of one wheel: the wheel itself, or the error that stopped it."""

    spec: Spec
    wheel: Wheel | None = None
    error: BuildError | None = None


def choose(catalog: Catalog, variants: Iterable[str], targets: Sequence[str] | None) -> list[Spec]:
    """Return the spec of each variant's newest release, for each of its targets.

    Args:
        catalog: the manifests.
        variants: names.
        targets: names to keep; None for all.

    Raises:
        UsageError: a name is unknown.
    """
    found: list[Spec] = []
    for variant in variants:
        for target in targets or catalog.targets:
            known = variant in catalog.variants and target in catalog.targets
            if not known or spec_stage.releases(catalog, catalog.variants[variant], target):
                spec = spec_stage.resolve(catalog, variant, target)
                if spec not in found:  # a part's wheels are another variant's, too
                    found.append(spec)
    return found


def make(
    specs: Sequence[Spec], build: Callable[[Spec, Reporter], Wheel], report: Reporter, *, jobs: int
) -> list[Outcome]:
    """Build all wheels, `jobs` at a time; one that fails does not stop the others.

    Args:
        specs: what to make.
        build: makes one and reports to the reporter it is given.
        report: of the whole.
        jobs: how many at once.
    """
    with _Display(total=len(specs), report=report) as display:

        def one(spec: Spec) -> Outcome:
            with display.line(f"{spec.variant} {spec.version} for {spec.target}") as reporter:
                try:
                    return Outcome(spec=spec, wheel=build(spec, reporter))
                except BuildError as error:
                    report.error(f"{spec.variant} for {spec.target}: {error.paragraph()}")
                    return Outcome(spec=spec, error=error)

        pool = ThreadPoolExecutor(jobs)
        try:
            return list(pool.map(one, specs))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, kw_only=True)
class SizeRow:
    """The sizes of a variant's wheels, beside those of the official release that they are made of."""

    variant: str
    version: str
    wheels: int
    size: int  # bytes, ours
    official: str = ""  # distribution and version; empty if another variant's row has it, or it isn't known
    official_wheels: int = 0
    official_size: int = 0  # bytes

    @property
    def ratio(self) -> float | None:
        """Our size divided by the official one; None where that is not known."""
        return self.size / self.official_size if self.official_size else None


def sizes(catalog: Catalog, outcomes: Iterable[Outcome]) -> list[SizeRow]:
    """Return a row for each variant and release; the last one is the sum."""
    made: dict[tuple[str, str], list[int]] = {}
    for outcome in outcomes:
        if outcome.wheel is not None:
            made.setdefault((outcome.spec.variant, outcome.spec.version), []).append(outcome.wheel.size)
    rows = []
    for (name, version), bytes_ in made.items():
        origin = catalog.origin(catalog.variants[name])
        official = next((item for item in (origin.official if origin else ()) if item.version == version), None)
        rows.append(
            SizeRow(
                variant=name,
                version=version,
                wheels=len(bytes_),
                size=sum(bytes_),
                official=f"{origin.distribution} {version}" if origin and official else "",
                official_wheels=official.wheels if official else 0,
                official_size=official.bytes if official else 0,
            )
        )
    whole = SizeRow(
        variant="all",
        version="",
        wheels=sum(row.wheels for row in rows),
        size=sum(row.size for row in rows),
        official_wheels=sum(row.official_wheels for row in rows),
        official_size=sum(row.official_size for row in rows),
    )
    return [*rows, whole]


@dataclass(kw_only=True)
class _Display:
    """One bar for the whole and one line for each wheel in the making; without a terminal, lines as they end."""

    total: int
    report: Reporter
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _progress: Progress | None = None
    _whole: TaskID | None = None
    _done: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> _Display:
        if self.report.live:
            columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=24))
            progress = Progress(
                *columns, MofNCompleteColumn(), TimeElapsedColumn(), console=self.report.console, transient=True
            )
            self._progress = self._stack.enter_context(progress)
            self._whole = progress.add_task("wheels", total=self.total)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def line(self, title: str) -> Iterator[Reporter]:
        """Give the reporter of one wheel, while it is made."""
        started = self.report.clock()
        task = self._progress.add_task(title, total=None) if self._progress else None
        try:
            yield _LineReporter(console=self.report.console, title=title, progress=self._progress, task=task)
        finally:
            with self._lock:
                self._done += 1
                if self._progress is not None and task is not None and self._whole is not None:
                    self._progress.remove_task(task)
                    self._progress.advance(self._whole)
                self.report.note(f"[{self._done}/{self.total}] {title} ({self.report.clock() - started:.1f} s)")


@dataclass(kw_only=True)
class _LineReporter(Reporter):
    """Reports the steps of one wheel on its line of the display."""

    title: str
    progress: Progress | None
    task: TaskID | None

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show the step on the line."""

        def show(done: float | None, total: float | None, text: str) -> None:
            if self.progress is not None and self.task is not None:
                said = f"{self.title}: {title} {text}".rstrip()
                self.progress.update(self.task, description=said, completed=done, total=total)

        show(None, None, "")
        yield Step(title=title, _show=show)
