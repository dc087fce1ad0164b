"""Sequences, maps and optionals, against the official package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import ortpack
from support import graphs
from support.graphs import f32

if TYPE_CHECKING:
    from collections.abc import Callable

    Opener = Callable[..., ortpack.InferenceSession]


def official(model: bytes, feeds: dict[str, Any]) -> list[Any]:
    outputs: list[Any] = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feeds)
    return outputs


def _through(kind: Any) -> bytes:
    return graphs.model([graphs.node("Identity", ["x"], ["y"])], [graphs.typed("x", kind)], [graphs.typed("y", kind)])


def sequence_of(kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_sequence_type_proto(graphs.tensor_type(kind))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TensorProto.FLOAT, [f32(1, 2), np.ones((2, 2), np.float32), np.array(3, np.float32)]),
        (TensorProto.INT64, [np.array([1, 2])]),
        (TensorProto.STRING, [np.array(["a", "ß"]), np.array([], object)]),
        (TensorProto.FLOAT, []),
        (TensorProto.INT64, []),
        (TensorProto.BOOL, [np.array([True])]),
    ],
    ids=["float", "int64", "string", "empty-float", "empty-int64", "bool"],
)
def test_sequences(session: Opener, kind: int, value: list[Any]) -> None:
    model = _through(sequence_of(kind))
    opened = session(model)
    assert opened.get_inputs()[0].type.startswith("seq(tensor(")
    (ours,) = opened.run(None, {"x": value})
    (theirs,) = official(model, {"x": value})
    assert isinstance(ours, list)
    assert len(ours) == len(theirs) == len(value)
    for mine, their, given in zip(ours, theirs, value, strict=True):
        assert mine.dtype == their.dtype
        np.testing.assert_array_equal(mine, their)
        assert not np.shares_memory(mine, given)


def test_tuples_and_generators_as_sequences(session: Opener) -> None:
    opened = session(_through(sequence_of()))
    (result,) = opened.run(None, {"x": (f32(1), [2.0])})
    assert [item.tolist() for item in result] == [[1], [2]]
    for wrong in (iter([f32(1)]), f32(1), "text", b"text", 1.0, {"a": 1}):
        with pytest.raises(ortpack.errors.InvalidArgument, match=r"input 'x': expected seq\(tensor\(float\)\)"):
            opened.run(None, {"x": wrong})


def test_a_wrong_element_is_named(session: Opener) -> None:
    opened = session(_through(sequence_of()))
    with pytest.raises(
        ortpack.errors.InvalidArgument, match=r"input 'x': element 1: expected tensor\(float\), got .*float64"
    ):
        opened.run(None, {"x": [f32(1), np.array([1.0])]})
    with pytest.raises(ortpack.errors.InvalidArgument, match=r"input 'x': element 0: expected .*, got None"):
        opened.run(None, {"x": [None]})


def _map_model(key: int, value: int) -> bytes:
    """ai.onnx.ml's operators over maps: a map to a dense array of its values."""
    mapping = helper.make_map_type_proto(key, graphs.tensor_type(value))
    vocabulary: dict[str, Any] = (
        {"string_vocabulary": ["a", "b", "c"]} if key == TensorProto.STRING else {"int64_vocabulary": [1, 2, 3]}
    )
    return graphs.model(
        [graphs.node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", **vocabulary)],
        [graphs.typed("x", mapping)],
        [graphs.tensor("y", value, (1, 3))],
        domains={"ai.onnx.ml": 1},
    )


@pytest.mark.parametrize(
    ("key", "value", "feed"),
    [
        (TensorProto.STRING, TensorProto.FLOAT, {"a": 1.5, "c": -2.0}),
        (TensorProto.STRING, TensorProto.INT64, {"b": 7}),
        (TensorProto.INT64, TensorProto.FLOAT, {1: 0.5, 3: 4.0}),
    ],
)
def test_maps_as_inputs(session: Opener, key: int, value: int, feed: dict[Any, Any]) -> None:
    model = _map_model(key, value)
    opened = session(model)
    theirs = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert opened.get_inputs()[0].type == theirs.get_inputs()[0].type
    (ours,) = opened.run(None, {"x": feed})
    names = ["a", "b", "c"] if key == TensorProto.STRING else [1, 2, 3]
    assert ours.tolist() == [[feed.get(name, 0) for name in names]]
    if value == TensorProto.FLOAT:  # the official package makes a map of floats of every dict
        np.testing.assert_array_equal(ours, theirs.run(None, {"x": feed})[0])


@pytest.mark.parametrize("wrong", [[1], "a", np.zeros(2), {"a": "text"}, {1: 2.0}, {"a": None}], ids=str)
def test_maps_that_do_not_fit(session: Opener, wrong: Any) -> None:
    opened = session(_map_model(TensorProto.STRING, TensorProto.FLOAT))
    with pytest.raises(ortpack.errors.InvalidArgument, match=r"input 'x': expected map\(string,tensor\(float\)\)"):
        opened.run(None, {"x": wrong})


@pytest.mark.parametrize("labels", [{"classlabels_strings": ["yes", "no"]}, {"classlabels_int64s": [4, 5]}], ids=str)
def test_sequences_of_maps_as_outputs(session: Opener, labels: dict[str, Any]) -> None:
    """ZipMap, at the end of every classifier that was converted from scikit-learn."""
    key = TensorProto.STRING if "classlabels_strings" in labels else TensorProto.INT64
    mapping = helper.make_map_type_proto(key, graphs.tensor_type())
    model = graphs.model(
        [graphs.node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", **labels)],
        [graphs.tensor("x", shape=("N", 2))],
        [graphs.typed("y", helper.make_sequence_type_proto(mapping))],
        domains={"ai.onnx.ml": 1},
    )
    feeds = {"x": np.array([[0.25, 0.75], [1, 0]], np.float32)}
    opened = session(model)
    (ours,) = opened.run(None, feeds)
    (theirs,) = official(model, feeds)
    assert ours == theirs
    assert [type(key) for item in ours for key in item] == [type(key) for item in theirs for key in item]
    assert all(type(value) is float for item in ours for value in item.values())


# --- optionals ---------------------------------------------------------------------------------------------------


def optional_of(kind: Any) -> Any:
    return helper.make_optional_type_proto(kind)


@pytest.mark.parametrize("value", [f32(1, 2), None, "left out"], ids=str)
def test_optional_tensors(session: Opener, value: Any) -> None:
    model = _through(optional_of(graphs.tensor_type(shape=("N",))))
    feeds = {} if isinstance(value, str) else {"x": value}
    opened = session(model)
    theirs = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert repr(opened.get_inputs()[0]) == str(theirs.get_inputs()[0])
    (ours,), (their,) = opened.run(None, feeds), theirs.run(None, feeds)
    if their is None:
        assert ours is None
    else:
        np.testing.assert_array_equal(ours, their)


def test_optional_sequences(session: Opener) -> None:
    model = _through(optional_of(sequence_of()))
    opened = session(model)
    assert opened.get_inputs()[0].type == "optional(seq(tensor(float)))"
    (result,) = opened.run(None, {"x": [f32(1)]})
    assert result[0].tolist() == [1]
    assert opened.run(None, {"x": None}) == [None]


def test_optional_of_the_wrong_type(session: Opener) -> None:
    opened = session(_through(optional_of(graphs.tensor_type(shape=("N",)))))
    with pytest.raises(ortpack.errors.InvalidArgument, match=r"input 'x': expected .*, got an array of int64"):
        opened.run(None, {"x": np.array([1])})


def test_an_empty_optional_as_an_ort_value(session: Opener) -> None:
    opened = session(_through(optional_of(graphs.tensor_type(shape=("N",)))))
    (empty,) = opened.run_with_ort_values(None, {})
    assert not empty.has_value()
    assert not empty.is_tensor()
    assert not empty.is_tensor_sequence()
    assert empty.to_python() is None
    with pytest.raises(ortpack.errors.InvalidArgument, match="empty optional"):
        empty.numpy()
    assert opened.run(None, {"x": empty}) == [None]
