"""Wrong feeds: which input, what was expected, what came."""

from __future__ import annotations

from collections import OrderedDict, UserDict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto

import ortpack
from ortpack.errors import InvalidArgument, OrtError, OrtpackError
from support import graphs
from support.graphs import f32

if TYPE_CHECKING:
    from collections.abc import Callable

    Opener = Callable[..., ortpack.InferenceSession]

GOOD = np.zeros((1, 2), np.float32)


@pytest.fixture
def add(session: Opener) -> ortpack.InferenceSession:
    return session(graphs.add())


def test_a_missing_input(add: ortpack.InferenceSession) -> None:
    with pytest.raises(InvalidArgument) as caught:
        add.run(None, {"a": GOOD})
    assert "lacks the input 'b', tensor(float) of shape ['N', 2]" in str(caught.value)
    assert "'a'" in str(caught.value)
    assert isinstance(caught.value, ValueError)  # as in the official package
    assert isinstance(caught.value, (OrtError, OrtpackError, RuntimeError))


def test_all_inputs_missing(add: ortpack.InferenceSession) -> None:
    with pytest.raises(InvalidArgument, match="lacks the inputs 'a', 'b'"):
        add.run(None, {})


def test_none_is_a_missing_input(add: ortpack.InferenceSession) -> None:
    with pytest.raises(InvalidArgument, match="lacks the input 'b'"):
        add.run(None, {"a": GOOD, "b": None})


def test_an_unknown_input_names_the_nearest(add: ortpack.InferenceSession) -> None:
    with pytest.raises(InvalidArgument, match=r"no input 'A'; it has 'a', 'b'; did you mean 'a'\?"):
        add.run(None, {"A": GOOD, "b": GOOD})
    with pytest.raises(InvalidArgument, match=r"no input 'q'; it has 'a', 'b'$"):
        add.run(None, {"a": GOOD, "b": GOOD, "q": GOOD})


@pytest.mark.parametrize("name", [1, None, b"a", ("a",)], ids=str)
def test_names_that_are_no_strings(add: ortpack.InferenceSession, name: Any) -> None:
    with pytest.raises(InvalidArgument, match="no input"):
        add.run(None, {name: GOOD})


def test_a_name_that_is_not_valid_unicode(add: ortpack.InferenceSession) -> None:
    with pytest.raises(InvalidArgument, match="no input"):
        add.run(None, {"\ud800": GOOD})


def test_names_that_are_equal_but_not_the_same_object(add: ortpack.InferenceSession) -> None:
    class Name(str):
        __slots__ = ()

    (result,) = add.run(["".join(["", "y"])], {"".join(["", "a"]): GOOD, Name("b"): GOOD + 1})
    np.testing.assert_array_equal(result, GOOD + 1)


@pytest.mark.parametrize(
    ("value", "came"),
    [
        (GOOD.astype(np.float64), r"an array of float64, shape \(1, 2\); convert it with .astype\(\"float32\"\)"),
        (GOOD.astype(np.int32), "an array of int32"),
        (GOOD.astype(np.complex64), "an array of complex64"),
        (GOOD.astype(object), "an array of object"),
        (np.array([["a", "b"]]), "an array of <U1"),
        (GOOD.astype("datetime64[s]"), r"an array of datetime64\[s\]"),
        (np.zeros((1, 2), [("f", "f4")]), r"an array of \[\('f', '<f4'\)\]"),
        ("text", "an object of type str"),
        (b"bytes", "an object of type bytes"),
        ({"a": 1}, "an object of type dict"),
        (object(), "an object of type object"),
        ([["a", "b"]], "an object of type list"),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")) or None,
)
def test_the_wrong_type(add: ortpack.InferenceSession, value: Any, came: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^input 'a': expected tensor\(float\) of shape \['N', 2\], got " + came):
        add.run(None, {"a": value, "b": GOOD})


@pytest.mark.parametrize("shape", [(2,), (1, 2, 1), (), (1, 3), (0, 1)], ids=str)
def test_the_wrong_rank_or_size(add: ortpack.InferenceSession, shape: tuple[int, ...]) -> None:
    expected = rf"input 'b': expected tensor\(float\) of shape \['N', 2\], got shape \[{', '.join(map(str, shape))}\]"
    with pytest.raises(InvalidArgument, match=expected):
        add.run(None, {"a": GOOD, "b": np.zeros(shape, np.float32)})


def test_sizes_that_disagree_come_as_the_node_reports_them(add: ortpack.InferenceSession) -> None:
    with pytest.raises((InvalidArgument, ortpack.errors.Fail, ortpack.errors.RuntimeException), match="Add"):
        add.run(None, {"a": np.zeros((2, 2), np.float32), "b": np.zeros((3, 2), np.float32)})


def test_an_unknown_output_names_the_nearest(add: ortpack.InferenceSession) -> None:
    with pytest.raises(InvalidArgument, match=r"no output 'Y'; it has 'y'; did you mean 'y'\?"):
        add.run(["Y"], {"a": GOOD, "b": GOOD})


@pytest.mark.parametrize("names", ["y", 1, {"y"}], ids=str)
def test_output_names_that_are_no_list(add: ortpack.InferenceSession, names: Any) -> None:
    with pytest.raises(TypeError, match="output_names has to be a list"):
        add.run(names, {"a": GOOD, "b": GOOD})


@pytest.mark.parametrize("feed", [[("a", GOOD)], None, 1, "a"], ids=["list", "None", "int", "str"])
def test_a_feed_that_is_no_mapping(add: ortpack.InferenceSession, feed: Any) -> None:
    with pytest.raises(TypeError):
        add.run(None, feed)


@pytest.mark.parametrize("kind", [dict, OrderedDict, UserDict, MappingProxyType])
@pytest.mark.parametrize("names", [None, [], ["y"], ("y",)], ids=str)
def test_every_mapping_and_every_way_to_name_outputs(add: ortpack.InferenceSession, kind: Any, names: Any) -> None:
    (result,) = add.run(names, kind({"a": GOOD, "b": GOOD + 2}))
    np.testing.assert_array_equal(result, GOOD + 2)


def test_keywords(add: ortpack.InferenceSession) -> None:
    (result,) = add.run(output_names=None, input_feed={"a": GOOD, "b": GOOD}, run_options=ortpack.RunOptions())
    np.testing.assert_array_equal(result, GOOD)


def test_run_options_of_another_kind(add: ortpack.InferenceSession) -> None:
    with pytest.raises(TypeError, match="run_options has to be RunOptions or None"):
        add.run(None, {"a": GOOD, "b": GOOD}, {})  # type: ignore[arg-type]


def test_a_feed_that_changes_while_it_is_read(add: ortpack.InferenceSession) -> None:
    feed: dict[str, Any] = {}

    class Growing(list):  # type: ignore[type-arg]
        def __len__(self) -> int:
            for number in range(100):
                feed[f"n{number}"] = GOOD
            return 1

    feed["a"] = Growing([[1.0, 2.0]])
    with pytest.raises((InvalidArgument, ValueError, RuntimeError)):
        add.run(None, feed)


def test_an_array_that_leaves_the_feed_while_it_is_used(add: ortpack.InferenceSession) -> None:
    feed: dict[str, Any] = {"a": np.full((1, 2), 3, np.float32)}

    class Removing(list):  # type: ignore[type-arg]
        def __len__(self) -> int:
            feed["a"] = GOOD
            return 1

    feed["b"] = Removing([[1.0, 2.0]])
    (result,) = add.run(None, feed)
    np.testing.assert_array_equal(result, [[4, 5]])


@pytest.mark.parametrize("count", [0, 1, 9, 40])
def test_any_number_of_inputs_and_outputs(session: Opener, count: int) -> None:
    """Small numbers live on the stack, larger ones do not."""
    inputs = [graphs.tensor(f"x{i}", shape=(1,)) for i in range(count)]
    outputs = [graphs.tensor(f"y{i}", shape=(1,)) for i in range(max(count, 1))]
    nodes = [graphs.node("Neg", [f"x{i}"], [f"y{i}"]) for i in range(count)]
    nodes += [] if count else [graphs.node("Constant", [], ["y0"], value_floats=[-0.0])]
    opened = session(graphs.model(nodes, inputs, outputs))
    feeds = {f"x{i}": f32(i) for i in reversed(range(count))}
    assert [float(y[0]) for y in opened.run(None, feeds)] == [-float(i) for i in range(max(count, 1))]
    names = [f"y{i}" for i in reversed(range(max(count, 1)))]
    assert [float(y[0]) for y in opened.run(names, feeds)] == [-float(i) for i in reversed(range(max(count, 1)))]


def test_overridable_initializers_may_be_fed(session: Opener) -> None:
    from onnx import numpy_helper

    data = graphs.model(
        [graphs.node("Add", ["x", "w"], ["y"])],
        [graphs.tensor("x", shape=(1,)), graphs.tensor("w", shape=(1,))],
        [graphs.tensor("y", shape=(1,))],
        initializers=[numpy_helper.from_array(f32(10), "w")],
    )
    opened = session(data)
    assert [arg.name for arg in opened.get_inputs()] == ["x"]
    assert [arg.name for arg in opened.get_overridable_initializers()] == ["w"]
    assert opened.run(None, {"x": f32(1)})[0] == 11
    assert opened.run(None, {"x": f32(1), "w": f32(5)})[0] == 6
    with pytest.raises(InvalidArgument, match="lacks the input 'x'"):
        opened.run(None, {"w": f32(5)})


def test_sparse_input_is_a_clear_error(session: Opener) -> None:
    import onnx

    sparse = onnx.TypeProto()
    sparse.sparse_tensor_type.elem_type = TensorProto.FLOAT
    sparse.sparse_tensor_type.shape.CopyFrom(graphs.tensor_type(shape=(2, 2)).tensor_type.shape)
    data = graphs.model(
        [graphs.node("SparseToDenseMatMul", ["x", "b"], ["y"], domain="com.microsoft")],
        [graphs.typed("x", sparse), graphs.tensor("b", shape=(2, 2))],
        [graphs.tensor("y", shape=(2, 2))],
        domains={"com.microsoft": 1},
    )
    opened = session(data)
    assert opened.get_inputs()[0].type == "sparse_tensor(float)"
    with pytest.raises(ortpack.errors.NotImplemented, match=r"input 'x': the model wants sparse_tensor\(float\)"):
        opened.run(None, {"x": np.zeros((2, 2), np.float32), "b": np.zeros((2, 2), np.float32)})
