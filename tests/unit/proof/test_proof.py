"""Inputs that are made up, and when two results are the same."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ortpack_build.proof.bounds import index_bounds
from ortpack_build.proof.compare import difference, leaves
from ortpack_build.proof.made_up_inputs import CannotFeedError, Feeds, Input, candidates

if TYPE_CHECKING:
    from pathlib import Path


def some(*inputs: Input, seed: int = 0, count: int = 400) -> list[Feeds]:
    return list(itertools.islice(candidates(inputs, seed), count))


def test_the_same_seed_gives_the_same_inputs() -> None:
    image = Input(name="x", type="tensor(float)", shape=("N", 3, None))
    first, second, third = some(image, seed=1), some(image, seed=1), some(image, seed=2)
    assert all(np.array_equal(one["x"], other["x"]) for one, other in zip(first, second, strict=True))
    assert not np.array_equal(first[0]["x"], third[0]["x"])


def test_free_dimensions_have_several_sizes_and_named_ones_agree() -> None:
    found = some(
        Input(name="a", type="tensor(float)", shape=("N", "T")), Input(name="b", type="tensor(int64)", shape=("T", 4))
    )
    assert len({feeds["a"].shape for feeds in found}) > 5
    assert {feeds["b"].shape[0] == feeds["a"].shape[1] for feeds in found} == {True}
    assert {feeds["b"].shape[1] for feeds in found} == {4}


def test_a_batch_within_is_tried_too() -> None:
    found = some(
        Input(name="x", type="tensor(float)", shape=(None, None)),
        Input(name="s", type="tensor(float)", shape=(2, None, 128)),
    )
    assert any(feeds["x"].shape == (1, 576) and feeds["s"].shape == (2, 1, 128) for feeds in found)


def test_fixed_shapes_have_several_values() -> None:
    found = some(Input(name="x", type="tensor(float)", shape=(2,)))
    assert 1 < len({feeds["x"].tobytes() for feeds in found}) == len(found)


@pytest.mark.parametrize("kind", ["float", "int32", "int64"])
def test_indices_stay_below_their_bound(kind: str) -> None:
    found = some(Input(name="i", type=f"tensor({kind})", shape=(None, 64), bound=7))
    values = np.concatenate([feeds["i"].ravel() for feeds in found])
    assert set(values.tolist()) == set(range(7))


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("double", "float64"), ("float16", "float16"), ("uint8", "uint8"), ("bool", "bool"), ("string", "object")],
)
def test_types(kind: str, dtype: str) -> None:
    for feeds in some(
        Input(name="x", type=f"tensor({kind})", shape=(2, 3)), Input(name="s", type=f"tensor({kind})", shape=())
    ):
        assert (feeds["x"].dtype, feeds["x"].shape, feeds["s"].shape) == (np.dtype(dtype), (2, 3), ())


@pytest.mark.parametrize("kind", ["seq(tensor(float))", "tensor(bfloat16)"])
def test_what_cant_be_made_up_is_said(kind: str) -> None:
    with pytest.raises(CannotFeedError, match="input x"):
        some(Input(name="x", type=kind, shape=()))


def test_huge_inputs_are_left_out() -> None:
    assert not some(Input(name="x", type="tensor(float)", shape=(100_000, 100_000)))


def test_bounds_of_tables(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from support.graphs import model, node, tensor

    table = onnx.numpy_helper.from_array(np.zeros((11, 5), np.float32), "table")
    depth = onnx.numpy_helper.from_array(np.array([9], np.int64), "depth")
    values = onnx.numpy_helper.from_array(np.array([0, 1], np.float32), "values")
    axes = onnx.numpy_helper.from_array(np.array([1], np.int64), "axes")
    classes = onnx.numpy_helper.from_array(np.arange(4).reshape(1, 4), "classes")
    nodes = [
        node("Cast", ["i"], ["cast"], to=7),
        node("Gather", ["table", "cast"], ["y"]),
        node("Gather", ["table", "j"], ["z"], axis=1),
        node("OneHot", ["k", "depth", "values"], ["hot"]),
        node("Unsqueeze", ["l", "axes"], ["column"]),
        node("Equal", ["column", "classes"], ["same"]),
        node("Abs", ["free"], ["w"]),
    ]
    ints = [tensor(name, onnx.TensorProto.INT64) for name in "jkl"]
    inputs = [tensor("i"), *ints, tensor("free", onnx.TensorProto.INT64)]
    outputs = [tensor(name, shape=None) for name in ("y", "z", "hot")] + [
        tensor("w", onnx.TensorProto.INT64),
        tensor("same", onnx.TensorProto.BOOL, None),
    ]
    path = tmp_path / "m.onnx"
    path.write_bytes(model(nodes, inputs, outputs, initializers=[table, depth, values, axes, classes]))
    assert index_bounds(path) == {"i": 11, "j": 5, "k": 9, "l": 4}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (np.array([1, 2], np.float32), np.array([1, 2.0001], np.float32), True),
        (np.array([1, 2], np.float32), np.array([1, 2.01], np.float32), False),
        (np.array([1000, 0], np.float32), np.array([1000, 0.01], np.float32), True),
        (np.array([np.nan, np.inf], np.float32), np.array([np.nan, np.inf], np.float32), True),
        (np.array([np.nan], np.float32), np.array([0], np.float32), False),
        (np.array([np.inf], np.float32), np.array([-np.inf], np.float32), False),
        (np.array([1], np.float32), np.array([[1]], np.float32), False),
        (np.array([1], np.float32), np.array([1], np.int64), False),
        (np.array([1], np.int64), np.array([2], np.int64), False),
        (np.array([254], np.uint8), np.array([255], np.uint8), True),
        (np.array([0], np.uint8), np.array([2], np.uint8), False),
        (np.array(["a"]), np.array(["a"]), True),
        (np.array(["a"]), np.array(["b"]), False),
        (np.array([True]), np.array([False]), False),
        (np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32), True),
    ],
)
def test_difference(one: Any, other: Any, same: bool) -> None:
    assert (difference(one, other)[1] == "") is same


def test_outputs_of_any_type_have_leaves() -> None:
    one, two = np.zeros(2, np.float32), np.array(["a"], object)
    found = dict(leaves([{"k": 0.5}, one, two, None], "y"))
    assert list(found) == ["y[0].keys", "y[0].values", "y[1]", "y[2]"]
    assert found["y[2]"].dtype.kind == "U"


def test_a_package_is_imported_from_its_folder_without_its_parents(tmp_path: Path) -> None:
    """`from . import` of a module that was not imported before asks for the topmost package, too."""
    folder = tmp_path / "parent" / "child"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("from ._first import NAME\n")
    (folder / "_first.py").write_text("from . import _second\n\nNAME = _second.__name__\n")
    (folder / "_second.py").write_text("")
    code = "import sys, pathlib\nfrom ortpack_build.proof import worker\n"
    code += "print(worker._package('made.up.child', pathlib.Path(sys.argv[1])).NAME)"
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("made.up.child._second", "")
