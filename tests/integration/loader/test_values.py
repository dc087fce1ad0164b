"""OrtValue, IOBinding, and values that go from one runtime to another."""

from __future__ import annotations

import copy
import gc
import warnings
import weakref
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import ortpack
from ortpack.errors import InvalidArgument, NotImplemented  # noqa: A004
from support import graphs
from support.graphs import f32

if TYPE_CHECKING:
    from collections.abc import Callable

    Opener = Callable[..., ortpack.InferenceSession]


def test_a_tensor_over_an_array() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    ours = ortpack.OrtValue.ortvalue_from_numpy(array)
    theirs = onnxruntime.OrtValue.ortvalue_from_numpy(array)
    for method in ("shape", "data_type", "element_type", "device_name", "is_tensor", "is_tensor_sequence"):
        assert getattr(ours, method)() == getattr(theirs, method)(), method
    for method in ("is_sparse_tensor", "has_value", "data_ptr", "tensor_size_in_bytes"):
        assert getattr(ours, method)() == getattr(theirs, method)(), method
    assert ours.data_ptr() == array.ctypes.data
    array[0, 0] = 99
    assert ours.numpy()[0, 0] == 99
    assert np.shares_memory(ours.numpy(), array)


def test_a_tensor_keeps_its_array_alive() -> None:
    class Tracked(np.ndarray):
        pass

    array = np.arange(1000, dtype=np.float32).view(Tracked)
    gone = weakref.ref(array)
    value = ortpack.OrtValue.ortvalue_from_numpy(array)
    view = value.numpy()
    del array, value
    gc.collect()
    assert gone() is not None
    np.testing.assert_array_equal(view, np.arange(1000))
    del view
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("array", [np.arange(6).reshape(2, 3).T, np.arange(4, dtype=">i8")], ids=["strided", "swapped"])
def test_arrays_that_have_to_be_copied(array: Any) -> None:
    value = ortpack.OrtValue.ortvalue_from_numpy(array)
    assert value.data_type() == "tensor(int64)"
    np.testing.assert_array_equal(value.numpy(), array)


def test_strings() -> None:
    value = ortpack.OrtValue.ortvalue_from_numpy(np.array(["a", "ß"]))
    assert value.data_type() == "tensor(string)"
    assert value.numpy().tolist() == ["a", "ß"]


@pytest.mark.parametrize("wrong", [[1, 2], np.array(["2020-01-01"], "datetime64[D]"), np.zeros(2, "V4"), None], ids=str)
def test_what_makes_no_tensor(wrong: Any) -> None:
    with pytest.raises(InvalidArgument):
        ortpack.OrtValue.ortvalue_from_numpy(wrong)
    with pytest.raises(NotImplemented):  # ONNX has complex numbers, ONNX Runtime has not
        ortpack.OrtValue.ortvalue_from_numpy(np.array([1j]))


@pytest.mark.parametrize(
    "kind",
    [np.float32, "float32", np.dtype(np.int64), "int64", TensorProto.DOUBLE, bool, "tensor(float16)", "bfloat16"],
)
def test_a_tensor_of_its_own_memory(kind: Any) -> None:
    value = ortpack.OrtValue.ortvalue_from_shape_and_type([2, 3], kind)
    assert value.shape() == [2, 3]
    if not isinstance(kind, str):
        assert value.data_type() == onnxruntime.OrtValue.ortvalue_from_shape_and_type([2, 3], kind).data_type()
    value.numpy()[:] = 1
    assert value.numpy().astype(np.float32).tolist() == [[1] * 3] * 2


@pytest.mark.parametrize(
    "kind", ["float33", 999, -1, 0, pytest.param(object(), id="object"), "datetime64[s]", np.complex64]
)
def test_types_that_there_are_not(kind: Any) -> None:
    with pytest.raises((InvalidArgument, ortpack.errors.OrtError)):
        ortpack.OrtValue.ortvalue_from_shape_and_type([1], kind)


@pytest.mark.parametrize("shape", [[-1], [2**62, 2**62], [2**40, 2**40]], ids=str)
def test_shapes_that_there_are_not(shape: list[int]) -> None:
    with pytest.raises((InvalidArgument, ortpack.errors.OrtError)):
        ortpack.OrtValue.ortvalue_from_shape_and_type(shape, np.float32)


def test_bits_with_an_onnx_type() -> None:
    bits = np.array([0x3F80], np.uint16)
    value = ortpack.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, TensorProto.BFLOAT16)
    assert value.data_type() == "tensor(bfloat16)"
    assert value.data_ptr() == bits.ctypes.data
    assert value.numpy().dtype == ml_dtypes.bfloat16
    assert float(value.numpy()[0]) == 1


def test_update_inplace() -> None:
    array = np.zeros((2, 2), np.float32)
    value = ortpack.OrtValue.ortvalue_from_numpy(array)
    value.update_inplace(np.array([[1, 2], [3, 4]], np.float32).T)
    assert array.tolist() == [[1, 3], [2, 4]]
    for wrong in (np.zeros(4, np.float32), np.zeros((2, 3), np.float32), np.zeros((2, 2))):
        with pytest.raises(InvalidArgument, match=r"expected tensor\(float\) of shape \[2, 2\]"):
            value.update_inplace(wrong)


def test_dlpack() -> None:
    array = np.arange(3, dtype=np.float32)
    value = ortpack.OrtValue.ortvalue_from_numpy(array)
    assert np.shares_memory(np.from_dlpack(value), array)
    assert ortpack.OrtValue.from_dlpack(array).data_ptr() == array.ctypes.data


def test_sparse_tensors_and_other_devices_are_clear_errors() -> None:
    with pytest.raises(NotImplemented, match="sparse"):
        ortpack.OrtValue.ort_value_from_sparse_tensor(object())
    with pytest.raises(NotImplemented, match="sparse"):
        ortpack.OrtValue.ortvalue_from_numpy(f32(1)).as_sparse_tensor()
    with pytest.raises(NotImplemented, match="cuda"):
        ortpack.OrtValue.ortvalue_from_numpy(f32(1), "cuda", 0)
    with pytest.raises(InvalidArgument, match="no device 'gpu'"):
        ortpack.OrtValue.ortvalue_from_numpy(f32(1), "gpu")
    assert repr(ortpack.OrtDevice.make("cpu", 0)) == "OrtDevice('cpu', 0)"
    assert ortpack.OrtDevice.make("cpu", 0).device_type() == onnxruntime.OrtDevice.make("cpu", 0).device_type()


# --- in sessions -------------------------------------------------------------------------------------------------


def test_values_of_the_default_runtime_serve_every_runtime(session: Opener) -> None:
    """The fixture's runtime is once the default and once another release: then the value is made anew."""
    value = ortpack.OrtValue.ortvalue_from_numpy(f32(1, 2))
    (array,) = session(graphs.identity()).run(None, {"x": value})
    np.testing.assert_array_equal(array, [1, 2])
    assert array.ctypes.data != value.data_ptr()
    strings = ortpack.OrtValue.ortvalue_from_numpy(np.array(["a", "ß"]))
    assert session(graphs.identity(TensorProto.STRING)).run(None, {"x": strings})[0].tolist() == ["a", "ß"]


def test_outputs_of_one_runtime_are_inputs_of_another(
    newest: ortpack.LoadedRuntime, older: ortpack.LoadedRuntime
) -> None:
    kinds = [
        (graphs.tensor_type(shape=("N",)), f32(1, 2)),
        (graphs.tensor_type(TensorProto.STRING, ("N",)), np.array(["a", "b"], object)),
        (helper.make_sequence_type_proto(graphs.tensor_type()), [f32(1), f32(2, 3)]),
        (helper.make_sequence_type_proto(graphs.tensor_type()), []),
    ]
    for kind, value in kinds:
        ports = ([graphs.typed("x", kind)], [graphs.typed("y", kind)])
        model = graphs.model([graphs.node("Identity", ["x"], ["y"])], *ports)
        one = ortpack.InferenceSession(model, runtime=newest)
        other = ortpack.InferenceSession(model, runtime=older)
        for first, second in ((one, other), (other, one), (one, one)):
            (middle,) = first.run_with_ort_values(None, {"x": value})
            (result,) = second.run(None, {"x": middle})
            assert str(result) == str(value)


def test_a_value_of_the_wrong_type_names_the_input(session: Opener) -> None:
    opened = session(graphs.identity())
    with pytest.raises(
        InvalidArgument, match=r"input 'x': expected tensor\(float\).*got an OrtValue of tensor\(double\)"
    ):
        opened.run(None, {"x": ortpack.OrtValue.ortvalue_from_numpy(np.zeros(2))})
    theirs = onnxruntime.OrtValue.ortvalue_from_numpy(f32(1))
    with pytest.raises(InvalidArgument, match="got an object of type OrtValue"):
        opened.run(None, {"x": theirs})


def test_run_with_ort_values(session: Opener) -> None:
    opened = session(graphs.add())
    value = ortpack.OrtValue.ortvalue_from_numpy(np.ones((1, 2), np.float32))
    outputs = opened.run_with_ort_values(["y"], {"a": value, "b": value})
    del opened
    gc.collect()
    assert [output.data_type() for output in outputs] == ["tensor(float)"]
    np.testing.assert_array_equal(outputs[0].numpy(), [[2, 2]])
    with pytest.raises(InvalidArgument, match="no input"):
        session(graphs.add()).run_with_ort_values(None, {"q": value})


def test_an_output_value_that_lies_over_an_input_keeps_it_alive(session: Opener) -> None:
    opened = session(
        graphs.model([graphs.node("Neg", ["x"], ["y"])], [graphs.tensor("x")], [graphs.tensor("x"), graphs.tensor("y")])
    )
    through, _ = opened.run_with_ort_values(None, {"x": np.arange(100, dtype=np.float32)})
    gc.collect()
    np.testing.assert_array_equal(through.numpy(), np.arange(100))


def test_objects_that_were_never_initialised(session: Opener) -> None:
    """Made with `__new__` alone, as copying and unpickling do: refused, and no crash."""
    from ortpack import _binding

    opened = session(graphs.identity())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nanobind warns before it raises
        empty = ortpack.OrtValue(_binding.Value.__new__(_binding.Value))
        half = ortpack.InferenceSession.__new__(ortpack.InferenceSession)
        for call in (
            empty.numpy,
            empty.shape,
            empty.to_python,
            lambda: _binding.IoBinding(half),
            lambda: half.run(None, {"x": f32(1)}),
            lambda: opened.run(None, {"x": f32(1)}, ortpack.RunOptions.__new__(ortpack.RunOptions)),
            lambda: opened.__init__(graphs.identity()),  # type: ignore[misc]
        ):
            with pytest.raises(TypeError):
                call()
        with pytest.raises(InvalidArgument, match="got an object of type OrtValue"):
            opened.run(None, {"x": empty})
    with pytest.raises(TypeError, match="pickle"):
        copy.copy(opened)


def test_an_exception_of_the_user_gets_through(session: Opener) -> None:
    class Value:
        @property
        def _value(self) -> object:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session(graphs.identity()).run(None, {"x": Value()})


# --- IOBinding ---------------------------------------------------------------------------------------------------

ONE = np.ones((1, 2), np.float32)


def test_binding_arrays(session: Opener) -> None:
    opened = session(graphs.add())
    binding = opened.io_binding()
    binding.bind_cpu_input("a", ONE)
    binding.bind_cpu_input("b", np.array([[1], [2]], np.float32).T)
    binding.bind_output("y")
    opened.run_with_iobinding(binding)
    opened.run_with_iobinding(binding, ortpack.RunOptions())
    (copied,) = binding.copy_outputs_to_cpu()
    (value,) = binding.get_outputs()
    np.testing.assert_array_equal(copied, [[2, 3]])
    np.testing.assert_array_equal(value.numpy(), [[2, 3]])
    assert value.device_name() == "cpu"
    binding.synchronize_inputs()
    binding.synchronize_outputs()


def test_bound_arrays_are_kept_alive_and_read_anew(session: Opener) -> None:
    opened = session(graphs.identity())
    binding = opened.io_binding()
    array = np.arange(1000, dtype=np.float32)
    binding.bind_cpu_input("x", array)
    binding.bind_output("y")
    array[0] = 5
    del array
    gc.collect()
    opened.run_with_iobinding(binding)
    (result,) = binding.copy_outputs_to_cpu()
    np.testing.assert_array_equal(result[:3], [5, 1, 2])


def test_binding_memory(session: Opener) -> None:
    opened = session(graphs.add())
    binding = opened.io_binding()
    out = np.zeros((1, 2), np.float32)
    binding.bind_input("a", "cpu", 0, np.float32, (1, 2), ONE.ctypes.data)
    binding.bind_input("b", "cpu", 0, TensorProto.FLOAT, ONE.shape, ONE.ctypes.data)
    binding.bind_output("y", "cpu", 0, np.float32, (1, 2), out.ctypes.data)
    opened.run_with_iobinding(binding)
    np.testing.assert_array_equal(out, [[2, 2]])


def test_binding_values(session: Opener) -> None:
    opened = session(graphs.add())
    binding = opened.io_binding()
    out = np.zeros((1, 2), np.float32)
    value = ortpack.OrtValue.ortvalue_from_numpy(ONE)
    binding.bind_ortvalue_input("a", value)
    binding.bind_ortvalue_input("b", value)
    binding.bind_ortvalue_output("y", ortpack.OrtValue.ortvalue_from_numpy(out))
    del value
    opened.run_with_iobinding(binding)
    np.testing.assert_array_equal(out, [[2, 2]])


def test_outputs_of_a_binding_outlive_it(session: Opener) -> None:
    opened = session(graphs.identity())
    binding = opened.io_binding()
    binding.bind_cpu_input("x", np.arange(1000, dtype=np.float32))
    binding.bind_output("y")
    opened.run_with_iobinding(binding)
    arrays = binding.copy_outputs_to_cpu()
    values = binding.get_outputs()
    del binding, opened
    gc.collect()
    np.testing.assert_array_equal(arrays[0], np.arange(1000))
    np.testing.assert_array_equal(values[0].numpy(), np.arange(1000))


def test_copied_outputs_do_not_change_with_the_next_run(session: Opener) -> None:
    opened = session(graphs.identity())
    binding = opened.io_binding()
    out = np.zeros(2, np.float32)
    binding.bind_cpu_input("x", f32(1, 2))
    binding.bind_ortvalue_output("y", ortpack.OrtValue.ortvalue_from_numpy(out))
    opened.run_with_iobinding(binding)
    (first,) = binding.copy_outputs_to_cpu()
    binding.bind_cpu_input("x", f32(3, 4))
    opened.run_with_iobinding(binding)
    np.testing.assert_array_equal(first, [1, 2])


def test_clearing(session: Opener) -> None:
    opened = session(graphs.identity())
    binding = opened.io_binding()
    binding.bind_cpu_input("x", f32(1))
    binding.bind_output("y")
    binding.clear_binding_inputs()
    with pytest.raises(ortpack.errors.OrtError, match="x"):
        opened.run_with_iobinding(binding)
    binding.clear_binding_outputs()
    assert binding.get_outputs() == []


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda b: b.bind_cpu_input("q", ONE), "no input 'q'; it has 'a', 'b'"),
        (lambda b: b.bind_cpu_input("A", ONE), "did you mean 'a'"),
        (lambda b: b.bind_cpu_input("a", ONE.astype(np.float64)), "input 'a': expected .*float64"),
        (lambda b: b.bind_output("q"), "no output 'q'; it has 'y'"),
        (lambda b: b.bind_output("y", "gpu"), "no device 'gpu'"),
        (lambda b: b.bind_output("y", buffer_ptr=1), "needs element_type and shape"),
        (lambda b: b.bind_ortvalue_output("y", ONE), "expected an OrtValue"),
        (lambda b: b.bind_input("a", "cpu", 0, np.float64, (1, 2), ONE.ctypes.data), r"OrtValue of tensor\(double\)"),
    ],
)
def test_wrong_bindings(session: Opener, call: Any, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        call(session(graphs.add()).io_binding())


def test_a_binding_of_another_session(session: Opener) -> None:
    binding = session(graphs.identity()).io_binding()
    with pytest.raises(InvalidArgument, match="another session"):
        session(graphs.identity()).run_with_iobinding(binding)
