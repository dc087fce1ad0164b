from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from ortpack_build.base.errors import FetchError, UsageError
from ortpack_build.base.report import Reporter
from ortpack_build.bundle.wheel import Wheel
from ortpack_build.catalog import manifests
from ortpack_build.products import wheels

if TYPE_CHECKING:
    from ortpack_build.catalog.spec import Spec

CATALOG = manifests.load()


def reporter(*, terminal: bool) -> tuple[Reporter, io.StringIO]:
    stream = io.StringIO()
    return Reporter(console=Console(file=stream, force_terminal=terminal, highlight=False, width=100)), stream


def test_the_newest_of_each_for_its_targets() -> None:
    chosen = wheels.choose(CATALOG, ["cpu", "directml"], None)
    assert {(spec.variant, spec.version) for spec in chosen} == {("cpu", "1.32.0"), ("directml", "1.24.4")}
    assert len(chosen) == 6
    assert [spec.target for spec in wheels.choose(CATALOG, CATALOG.variants, ["win-arm64"])].count("win-arm64") == 5
    for variants, targets in ((["cpuu"], None), (["cpu"], ["win-arm65"])):
        with pytest.raises(UsageError, match="There is no"):
            wheels.choose(CATALOG, variants, targets)


@pytest.mark.parametrize("terminal", [True, False])
def test_wheels_are_made_at_once_and_one_that_fails_stops_no_other(terminal: bool) -> None:
    specs = wheels.choose(CATALOG, ["cpu"], None)
    report, stream = reporter(terminal=terminal)
    together = threading.Barrier(len(specs), timeout=30)

    def build(spec: Spec, inner: Reporter) -> Wheel:
        with inner.step("Packing") as step:
            together.wait()  # breaks unless all are under way
            step.advance(1, 2)
        if spec.target == "win-arm64":
            raise FetchError("The index is gone.")
        return Wheel(path=Path(spec.tag), size=10, tag=spec.tag)

    outcomes = wheels.make(specs, build, report, jobs=len(specs))
    assert [outcome.spec for outcome in outcomes] == specs
    assert [outcome.spec.target for outcome in outcomes if outcome.error] == ["win-arm64"]
    assert "cpu for win-arm64: The index is gone." in stream.getvalue()
    assert f"[{len(specs)}/{len(specs)}]" in stream.getvalue()
    row, whole = wheels.sizes(CATALOG, outcomes)
    assert (row.variant, row.wheels, row.size) == ("cpu", 4, 40)
    assert (row.official, row.official_wheels) == ("onnxruntime 1.32.0", 24)
    assert row.ratio == pytest.approx(40 / row.official_size)
    assert (whole.size, whole.official_size) == (row.size, row.official_size)


def test_an_extension_counts_with_what_it_extends() -> None:
    specs = wheels.choose(CATALOG, ["coreml"], None)
    outcomes = [wheels.Outcome(spec=spec, wheel=Wheel(path=Path(spec.tag), size=7, tag=spec.tag)) for spec in specs]
    row, _ = wheels.sizes(CATALOG, outcomes)
    assert (row.size, row.official, row.ratio) == (7, "", None)
