"""Every type of tensor, in and out, against the official package."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import ortpack
from support import graphs
from support.graphs import f32
from support.official import NEWEST, library

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Opener = Callable[..., ortpack.InferenceSession]

NUMPY_TYPES = {
    "float": (TensorProto.FLOAT, np.float32),
    "double": (TensorProto.DOUBLE, np.float64),
    "float16": (TensorProto.FLOAT16, np.float16),
    "int8": (TensorProto.INT8, np.int8),
    "int16": (TensorProto.INT16, np.int16),
    "int32": (TensorProto.INT32, np.int32),
    "int64": (TensorProto.INT64, np.int64),
    "uint8": (TensorProto.UINT8, np.uint8),
    "uint16": (TensorProto.UINT16, np.uint16),
    "uint32": (TensorProto.UINT32, np.uint32),
    "uint64": (TensorProto.UINT64, np.uint64),
    "bool": (TensorProto.BOOL, np.bool_),
}
ML_TYPES = {
    "bfloat16": (TensorProto.BFLOAT16, ml_dtypes.bfloat16, np.uint16),
    "float8e4m3fn": (TensorProto.FLOAT8E4M3FN, ml_dtypes.float8_e4m3fn, np.uint8),
    "float8e4m3fnuz": (TensorProto.FLOAT8E4M3FNUZ, ml_dtypes.float8_e4m3fnuz, np.uint8),
    "float8e5m2": (TensorProto.FLOAT8E5M2, ml_dtypes.float8_e5m2, np.uint8),
    "float8e5m2fnuz": (TensorProto.FLOAT8E5M2FNUZ, ml_dtypes.float8_e5m2fnuz, np.uint8),
}


def official(model: bytes, feeds: dict[str, Any]) -> list[Any]:
    outputs: list[Any] = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feeds)
    return outputs


@pytest.mark.parametrize("name", NUMPY_TYPES)
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0,), (2, 0, 3), (1, 1, 1, 2, 1, 1, 1, 1, 1, 2)], ids=str)
def test_numpy_types(session: Opener, name: str, shape: tuple[int, ...]) -> None:
    kind, dtype = NUMPY_TYPES[name]
    model = graphs.identity(kind, [None] * len(shape))
    value: Any = np.asarray(np.random.default_rng(1).uniform(0, 2, shape) * (1 if name == "bool" else 50)).astype(dtype)
    opened = session(model)
    (ours,) = opened.run(None, {"x": value})
    (theirs,) = official(model, {"x": value})
    assert opened.get_inputs()[0].type == f"tensor({name})"
    assert ours.dtype == theirs.dtype == dtype
    assert ours.shape == theirs.shape == shape
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(ours, value)


def test_whole_range_of_each_type(session: Opener) -> None:
    for kind, dtype in NUMPY_TYPES.values():
        if dtype is np.bool_:
            value = np.array([True, False])
        elif np.issubdtype(dtype, np.integer):
            value = np.array([np.iinfo(dtype).min, 0, np.iinfo(dtype).max], dtype)
        else:
            value = np.array([np.finfo(dtype).min, -0.0, np.finfo(dtype).tiny, np.nan, np.inf], dtype)
        (result,) = session(graphs.identity(kind)).run(None, {"x": value})
        assert result.tobytes() == value.tobytes()


@pytest.mark.parametrize("name", ML_TYPES)
def test_types_of_ml_dtypes(session: Opener, name: str) -> None:
    kind, dtype, raw = ML_TYPES[name]
    value = np.array([0.5, -1.0, 2.0, 0.0]).astype(dtype)
    opened = session(graphs.identity(kind))
    assert opened.get_inputs()[0].type == f"tensor({name})"
    (result,) = opened.run(None, {"x": value})
    assert result.dtype == dtype
    np.testing.assert_array_equal(result.astype(np.float32), value.astype(np.float32))
    (from_raw,) = opened.run(None, {"x": value.view(raw)})  # the same bits, for those without the package
    np.testing.assert_array_equal(from_raw.view(raw), value.view(raw))
    (strided,) = opened.run(None, {"x": np.repeat(value, 2)[::2]})
    np.testing.assert_array_equal(strided.view(raw), value.view(raw))
    with pytest.raises(ortpack.errors.InvalidArgument, match="float16" if name == "bfloat16" else "float32"):
        opened.run(None, {"x": np.zeros(2, np.float16 if name == "bfloat16" else np.float32)})


def test_without_ml_dtypes_the_bits_come_as_integers(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    cast = graphs.node("Cast", ["x"], ["y"], to=TensorProto.BFLOAT16)
    model.write_bytes(graphs.model([cast], [graphs.tensor("x")], [graphs.tensor("y", TensorProto.BFLOAT16)]))
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
sys.modules["ml_dtypes"] = None  # importing it fails
import numpy as np, ortpack
session = ortpack.InferenceSession({str(model)!r}, runtime={str(library(NEWEST))!r})
(y,) = session.run(None, {{"x": np.float32([1, -2])}})
assert y.dtype == np.uint16 and y.tolist() == [0x3F80, 0xC000], y
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("kind", "dtype"), [(TensorProto.INT4, ml_dtypes.int4), (TensorProto.UINT4, ml_dtypes.uint4)])
@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_four_bit_integers(session: Opener, kind: int, dtype: Any, count: int) -> None:
    is_signed = kind == TensorProto.INT4
    one = numpy_helper.from_array(np.array(1, np.float32), "one")
    zero = helper.make_tensor("zero", kind, (), [0])
    down = graphs.model(
        [graphs.node("QuantizeLinear", ["x", "one", "zero"], ["y"])],
        [graphs.tensor("x")],
        [graphs.tensor("y", kind)],
        initializers=[one, zero],
        opset=21,
        ir_version=10,
    )
    up = graphs.model(
        [graphs.node("DequantizeLinear", ["x", "one"], ["y"])],
        [graphs.tensor("x", kind)],
        [graphs.tensor("y")],
        initializers=[one],
        opset=21,
        ir_version=10,
    )
    numbers = np.array([-8, 7, -1, 3, 2] if is_signed else [15, 0, 8, 3, 2])[:count]
    (packed,) = session(down).run(None, {"x": numbers.astype(np.float32)})
    assert packed.dtype == dtype
    assert packed.astype(np.int8).tolist() == numbers.tolist()
    (unpacked,) = session(up).run(None, {"x": packed})
    assert unpacked.tolist() == numbers.tolist()
    (unpacked,) = session(up).run(None, {"x": numbers.astype(np.int8)})
    assert unpacked.tolist() == numbers.tolist()
    with pytest.raises(ortpack.errors.InvalidArgument, match="more than 4 bits"):
        session(up).run(None, {"x": np.array([16], np.int8)})


STRINGS = [
    np.array(["a", "", "größer", "日本"]),
    np.array(["a", "", "größer", "日本"], dtype=object),
    np.array([["x"], ["y" * 1000]]),
    np.array([], dtype=object),
    np.array([], dtype=str),
    np.array("scalar"),
]


@pytest.mark.parametrize("value", STRINGS, ids=lambda value: f"{value.dtype}-{value.shape}")
def test_strings(session: Opener, value: Any) -> None:
    model = graphs.identity(TensorProto.STRING, [None] * value.ndim)
    (ours,) = session(model).run(None, {"x": value})
    (theirs,) = official(model, {"x": value})
    assert ours.dtype == theirs.dtype == object
    assert ours.shape == theirs.shape == value.shape
    assert ours.tolist() == theirs.tolist()


def test_arrays_of_bytes(session: Opener) -> None:
    # Not compared: the official package runs short elements into the next one
    (result,) = session(graphs.identity(TensorProto.STRING)).run(None, {"x": np.array([b"bytes", b"ab"])})
    assert result.tolist() == ["bytes", "ab"]


def test_strings_with_nul_and_bytes_in_object_arrays(session: Opener) -> None:
    value = np.array(["a\0b", b"c\0d", "\0"], dtype=object)
    (result,) = session(graphs.identity(TensorProto.STRING)).run(None, {"x": value})
    assert result.tolist() == ["a\0b", "c\0d", "\0"]


@pytest.mark.skipif(not hasattr(np, "dtypes") or not hasattr(np.dtypes, "StringDType"), reason="NumPy 1")
def test_string_dtype(session: Opener) -> None:
    value = np.array(["a", "longer than inline storage allows"], dtype=np.dtypes.StringDType())
    (result,) = session(graphs.identity(TensorProto.STRING)).run(None, {"x": value})
    assert result.tolist() == value.tolist()


@pytest.mark.parametrize("item", [1, None, 2.5, ["a"]], ids=str)
def test_other_objects_are_no_strings(session: Opener, item: Any) -> None:
    value = np.empty(2, object)
    value[:] = ["a", item]
    with pytest.raises(ortpack.errors.InvalidArgument, match=r"input 'x': .* element 1 is .*not a str"):
        session(graphs.identity(TensorProto.STRING)).run(None, {"x": value})


def test_unicode_that_is_not_valid_is_refused(session: Opener) -> None:
    with pytest.raises(UnicodeEncodeError):
        session(graphs.identity(TensorProto.STRING)).run(None, {"x": np.array(["\ud800"], dtype=object)})


# --- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i2", ">i8", ">f2"])
def test_byte_swapped_arrays_are_converted(session: Opener, dtype: str) -> None:
    native = np.dtype(dtype).newbyteorder("=")
    kind = next(kind for kind, candidate in NUMPY_TYPES.values() if native == candidate)
    value = np.arange(6, dtype=dtype).reshape(2, 3)
    (result,) = session(graphs.identity(kind, (2, 3))).run(None, {"x": value})
    np.testing.assert_array_equal(result, value.astype(native))


def test_arrays_that_are_not_contiguous(session: Opener) -> None:
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    opened = session(graphs.identity(TensorProto.FLOAT, [None] * 3))
    unaligned = np.frombuffer(b"\0" + base.tobytes(), np.uint8)[1:].view(np.float32).reshape(base.shape)
    read_only = base.copy()
    read_only.flags.writeable = False
    broadcast = np.broadcast_to(np.float32(3), (2, 3, 4))
    for value in (base.T, base[:, ::2], base[::-1], np.asfortranarray(base), unaligned, read_only, broadcast):
        (result,) = opened.run(None, {"x": value})
        np.testing.assert_array_equal(result, value)


def test_contiguous_input_is_not_copied(session: Opener) -> None:
    """A pass-through output of run_with_ort_values shows which memory the model saw."""
    opened = session(
        graphs.model([graphs.node("Neg", ["x"], ["y"])], [graphs.tensor("x")], [graphs.tensor("y"), graphs.tensor("x")])
    )
    value = np.arange(4, dtype=np.float32)
    _, through = opened.run_with_ort_values(None, {"x": value})
    assert through.data_ptr() == value.ctypes.data


def test_output_that_hands_an_input_through_is_a_copy(session: Opener) -> None:
    opened = session(
        graphs.model([graphs.node("Neg", ["x"], ["y"])], [graphs.tensor("x")], [graphs.tensor("y"), graphs.tensor("x")])
    )
    value = np.arange(4, dtype=np.float32)
    _, through = opened.run(None, {"x": value})
    assert not np.shares_memory(through, value)
    value[:] = -1
    np.testing.assert_array_equal(through, [0, 1, 2, 3])


def test_output_that_is_an_initializer_can_be_written_to(session: Opener) -> None:
    weights = numpy_helper.from_array(np.arange(3, dtype=np.float32), "w")
    opened = session(
        graphs.model(
            [graphs.node("Neg", ["x"], ["y"])],
            [graphs.tensor("x")],
            [graphs.tensor("y"), graphs.tensor("w")],
            initializers=[weights],
        )
    )
    feeds = {"x": np.zeros(1, np.float32)}
    _, first = opened.run(None, feeds)
    first[:] = 100
    _, second = opened.run(None, feeds)
    np.testing.assert_array_equal(second, [0, 1, 2])
    del opened
    gc.collect()
    np.testing.assert_array_equal(second, [0, 1, 2])


def test_outputs_own_their_memory(runtime: ortpack.LoadedRuntime) -> None:
    opened = ortpack.InferenceSession(graphs.identity(), runtime=runtime)
    feeds = {"x": np.arange(1000, dtype=np.float32)}
    (first,) = opened.run(None, feeds)
    (second,) = opened.run(None, feeds)
    assert first.flags.writeable
    assert first.flags.c_contiguous
    assert not np.shares_memory(first, second)
    assert first.base is not None, "the array lies over ONNX Runtime's memory"
    gone = weakref.ref(opened)
    del opened
    gc.collect()
    assert gone() is None
    for _ in range(20):  # memory that was freed would be used again
        np.full(1000, -1, np.float32)
    first += 1
    np.testing.assert_array_equal(first, np.arange(1000, dtype=np.float32) + 1)
    np.testing.assert_array_equal(second, np.arange(1000, dtype=np.float32))


def test_same_output_twice(session: Opener) -> None:
    first, second = session(graphs.identity()).run(["y", "y"], {"x": f32(1, 2)})
    np.testing.assert_array_equal(first, second)


# --- lists and scalars -------------------------------------------------------------------------------------------


def test_lists_become_what_the_model_wants(session: Opener) -> None:
    opened = session(graphs.identity(TensorProto.FLOAT, (None, 2)))
    (result,) = opened.run(None, {"x": [[1, 2.5], [3, 4]]})
    assert result.dtype == np.float32
    assert result.tolist() == [[1, 2.5], [3, 4]]
    (text,) = session(graphs.identity(TensorProto.STRING)).run(None, {"x": ["a", "b"]})
    assert text.tolist() == ["a", "b"]


def test_scalars_are_tensors_of_rank_zero(session: Opener) -> None:
    opened = session(graphs.identity(TensorProto.FLOAT, ()))
    for value in (np.float32(2), 2.0, 2, np.array(2, np.float32)):
        (result,) = opened.run(None, {"x": value})
        assert result.shape == ()
        assert result == 2
    with pytest.raises(ortpack.errors.InvalidArgument, match="float64"):
        opened.run(None, {"x": np.float64(2)})


@pytest.mark.parametrize("value", [[1.5], [[1], [2, 3]], ["a"], [None]], ids=str)
def test_lists_that_do_not_fit(session: Opener, value: Any) -> None:
    with pytest.raises(ortpack.errors.InvalidArgument, match=r"input 'x': expected tensor\(int64\)"):
        session(graphs.identity(TensorProto.INT64)).run(None, {"x": value})
