"""What a runtime needs kernels for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from ortpack_build.base.errors import OpConfigError
from ortpack_build.ops import OpSet, closure, needs, parse, vocabulary
from support.contexts import context

if TYPE_CHECKING:
    from pathlib import Path


def goal(*, library: bool = False) -> closure.Goal:
    return closure.Goal(arch="x86_64", vocabulary=vocabulary.shipped(any_custom=library))


def test_neither_constants_nor_what_a_library_brings() -> None:
    ops = parse('ai.onnx;13;Add{"inputs": {"0": ["float"]}},Constant\nmy;1;Foo')
    assert closure.of_runtime(ops, goal(library=True)) == parse('ai.onnx;13;Add{"inputs": {"0": ["float"]}}')


@pytest.mark.parametrize(
    "ops",
    [OpSet.of(everything=True, allowed=["float"]), OpSet.of(everything=True), parse("!globally_allowed_types;bool")],
)
def test_what_holds_for_all_operators_stays(ops: OpSet) -> None:
    assert closure.of_runtime(ops, goal()) == ops


def test_a_config_may_ask_for_everything(tmp_path: Path) -> None:
    path = tmp_path / "all.config"
    path.write_text("!no_ops_specified_means_all_ops_are_required\n")
    request = needs.OperatorQuery(configs=(path,), flavour="ort", arch="x86_64")

    def full() -> NoReturn:
        raise AssertionError("no model, no runtime")

    assert needs.needed(request, full, context(tmp_path / "cache")) == OpSet.of(everything=True)
    path.write_text("!globally_allowed_types;float\n")
    with pytest.raises(OpConfigError, match="no operator is needed"):
        needs.needed(request, full, context(tmp_path / "cache"))
