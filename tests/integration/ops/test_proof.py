"""Proofs with the official library in both places: what passes, and that what must not pass does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ortpack_build import proof
from ortpack_build.base.errors import ModelError, UsageError, VerificationError
from ortpack_build.base.report import Reporter
from ortpack_build.catalog import host, manifests
from ortpack_build.ops import full_runtime
from ortpack_build.proof.emulated import EmulatedWorker
from ortpack_build.verify import run_from_c
from support import models
from support.contexts import context
from support.official import OLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ortpack_build.bundle.runtime_json import Proven
    from ortpack_build.ops.full_runtime import FullRuntime

onnx = pytest.importorskip("onnx")
from support.graphs import model, node, tensor, tensor_type, typed  # noqa: E402 - it imports onnx


@pytest.fixture(scope="session")
def official(cache: Path) -> FullRuntime:
    return full_runtime.obtain(manifests.load(None), context(cache), OLDER)


_SMALL = Path(models.__file__).with_name("small_models")


Place = EmulatedWorker | None


def prove(
    full: FullRuntime,
    given: Path,
    taken: Path | None = None,
    inputs: Sequence[Path] = (),
    worker: EmulatedWorker | None = None,
) -> Proven:
    cases = [proof.Case(original=given, converted=taken or given)]
    found = proof.prove(proof.ReducedRuntime(path=full.library, worker=worker), cases, full, Reporter(), inputs=inputs)
    assert found.verified
    return found.models[0]


@pytest.fixture(scope="module", params=["loader", "program"])
def place(request: pytest.FixtureRequest, cache: Path) -> EmulatedWorker | None:
    """Where the runtime that is to be proven runs: below the loader, or as on other targets, but this machine's own."""
    if request.param == "loader":
        return None
    targets = manifests.load().targets
    target = host.detect().target(targets)
    if target is None or not run_from_c.can_compile(target, context(cache)):
        pytest.skip("zig is not pinned for this machine")
    program = run_from_c.compiled(targets[target], target, context(cache))
    return EmulatedWorker(below="nothing", program=run_from_c.Program(command=[str(program)], below="nothing"))


def unary(path: Path, op: str) -> Path:
    path.write_bytes(model([node(op, ["x"], ["y"])], [tensor("x")], [tensor("y")]))
    return path


@pytest.mark.parametrize("name", ["silero_vad", "magika", "ppocr_det", "ppocr_rec", "ppocr_cls"])
def test_inputs_are_found_for_real_models(official: FullRuntime, name: str) -> None:
    found = prove(official, models.model(name))
    assert found.runs == 5
    assert found.largest_difference < 1e-4
    assert len(found.shapes) > 1


@pytest.mark.parametrize("name", ["network", "quantized", "subgraphs", "texts", "trees"])
def test_inputs_and_outputs_of_every_kind(official: FullRuntime, place: Place, name: str) -> None:
    found = prove(official, _SMALL / f"{name}.onnx", worker=place)
    assert found.runs == 5


def test_another_result_fails(official: FullRuntime, place: Place, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"gives another result on .*a.onnx: output y, run 1"):
        prove(official, unary(tmp_path / "a.onnx", "Abs"), unary(tmp_path / "b.onnx", "Neg"), worker=place)


def test_a_model_that_the_runtime_refuses_fails(official: FullRuntime, place: Place, tmp_path: Path) -> None:
    broken = tmp_path / "b.onnx"
    broken.write_bytes(b"nothing")
    with pytest.raises(VerificationError, match=r"does not run .*a.onnx"):
        prove(official, unary(tmp_path / "a.onnx", "Abs"), broken, worker=place)
    with pytest.raises(ModelError, match="refuses it"):
        prove(official, broken)


def test_given_inputs_are_used(official: FullRuntime, tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    np.savez(file, x=np.array([1, -2, 3], np.float32), more=np.array([0], np.float32))
    found = prove(official, unary(tmp_path / "a.onnx", "Abs"), inputs=[file])
    assert (found.runs, found.shapes) == (1, ({"x": (3,)},))
    np.savez(file, y=np.array([1], np.float32))
    with pytest.raises(UsageError, match="not all inputs of any model"):
        prove(official, tmp_path / "a.onnx", inputs=[file])
    np.savez(file, x=np.array([[1]], np.float32))
    with pytest.raises(ModelError, match=r"refuses it \(with .*x.npz\)"):
        prove(official, tmp_path / "a.onnx", inputs=[file])
    file.write_bytes(b"nothing")
    with pytest.raises(UsageError, match="no file of arrays"):
        prove(official, tmp_path / "a.onnx", inputs=[file])


def test_strings_and_sequences_are_compared(official: FullRuntime, place: Place, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    sequence = typed("y", onnx.helper.make_sequence_type_proto(tensor_type(8)))
    path.write_bytes(model([node("SequenceConstruct", ["x", "x"], ["y"])], [tensor("x", 8)], [sequence]))
    assert prove(official, path, worker=place).runs == 5
    path.write_bytes(
        model(
            [node("SequenceEmpty", [], ["y"], dtype=8), node("Identity", ["x"], ["z"])],
            [tensor("x", 8)],
            [sequence, tensor("z", 8)],
        )
    )
    assert prove(official, path, worker=place).runs == 5


def test_maps_are_compared(official: FullRuntime, place: Place, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    names = {key: onnx.helper.make_map_type_proto(key, tensor_type(1)) for key in (7, 8)}
    outputs = [
        typed("i", onnx.helper.make_sequence_type_proto(names[7])),
        typed("s", onnx.helper.make_sequence_type_proto(names[8])),
    ]
    nodes = [
        node("ZipMap", ["x"], ["i"], domain="ai.onnx.ml", classlabels_int64s=[5, 7, 3]),
        node("ZipMap", ["x"], ["s"], domain="ai.onnx.ml", classlabels_strings=["b", "ä", "a"]),
    ]
    path.write_bytes(model(nodes, [tensor("x", 1, (2, 3))], outputs, domains={"ai.onnx.ml": 3}))
    assert prove(official, path, worker=place).runs == 5


def test_inputs_that_cant_be_made_up_are_asked_for(official: FullRuntime, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    sequence = typed("x", onnx.helper.make_sequence_type_proto(tensor_type(1)))
    path.write_bytes(model([node("SequenceLength", ["x"], ["n"])], [sequence], [tensor("n", 7, ())]))
    with pytest.raises(ModelError, match="no inputs could be made up") as caught:
        prove(official, path)
    assert "--inputs" in caught.value.paragraph()
