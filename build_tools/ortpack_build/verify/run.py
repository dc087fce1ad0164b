"""Runs a model with a wheel: decides which way serves on this machine, and says why where none does.

There are four ways, all of the same shape: installed in a new environment on this machine, installed in a root of the
target below an emulator, and, where nothing can be installed, its library opened from C below an emulator or wine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import UnsetType

from ortpack_build.machines import emulation
from ortpack_build.verify.row import RUN, Row, skipped
from ortpack_build.verify.run_from_c import FromCBelowEmulator
from ortpack_build.verify.run_installed import InstalledBelowEmulator, InstalledHere
from ortpack_build.verify.run_under_wine import FromCUnderWine

if TYPE_CHECKING:
    from pathlib import Path

    from ortpack_build.base.context import Context
    from ortpack_build.catalog.host import Host
    from ortpack_build.verify.wheel_reader import WheelReader
    from ortpack_build.verify.wish import Wish


class Runner(Protocol):
    """One way to run a model with a wheel whose checks all passed."""

    @property
    def name(self) -> str:
        """The way in words that go on from "Running it", for the report."""

    def why_not(self, wheel: WheelReader) -> str | None:
        """Why it can't run this wheel; None if it can.

        Raises:
            UsageError: nothing emulates the wheel's target.
        """

    def run(self, wheel: WheelReader, wish: Wish, scratch: Path) -> list[Row]:
        """The rows of running a model with the wheel.

        Args:
            wheel: one that `why_not` had nothing against.
            wish: says which model, and which loader.
            scratch: an empty folder.

        Raises:
            BuildError: what it takes to run it can't be had.
        """


def run(wheel: WheelReader, wish: Wish, context: Context, scratch: Path, *, here: Host) -> list[Row]:
    """Run a model with a wheel, by the first runner that can.

    Args:
        wheel: the wheel; all its checks passed.
        wish: says whether it is to be emulated, and the model.
        context: cache, reporter and environment.
        scratch: an empty folder.
        here: this machine.

    Returns:
        The rows of the run, or one that says why nothing here can run the wheel.

    Raises:
        UsageError: it should be emulated and nothing emulates its target, or `wish.loader` is no loader.
        ToolError: it should be emulated and the emulator is not on this machine.
        FetchError: what the run takes can't be had.
    """
    if not isinstance(wheel.runtime.kind, UnsetType):
        return [skipped(RUN, f"a wheel of kind {wheel.runtime.kind} runs with another one beside it")]
    reasons = []
    for runner in runners(wheel, wish, context, here):
        reason = runner.why_not(wheel)
        if reason is None:
            with context.report.step(f"Running it {runner.name}"):
                return runner.run(wheel, wish, scratch)
        reasons.append(reason)
    return [skipped(RUN, "; ".join(reasons))]


def runners(wheel: WheelReader, wish: Wish, context: Context, here: Host) -> tuple[Runner, ...]:
    """The ways to run a wheel that come into question, the best first.

    A root is entered only where that is asked for. Wine needs none, and is tried even without --emulate.
    """
    target = wheel.target
    needs_root = emulation.load().needs_root(target)
    if wish.emulate and needs_root:
        return InstalledBelowEmulator(context), FromCBelowEmulator(context, here)
    if needs_root:
        return (InstalledHere(context, here),)
    return InstalledHere(context, here), FromCUnderWine(context, here)
