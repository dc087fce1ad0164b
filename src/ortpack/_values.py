"""Values in a runtime's own form (OrtValue), and inputs and outputs that stay bound to a session (IOBinding)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ortpack import errors
from ortpack._binding import IoBinding as NativeIoBinding
from ortpack._binding import Value, dtype_of, element_type_named, element_type_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ortpack._binding import Library, Session

_TENSOR = 1
_SEQUENCE = 2
_SPARSE = 5

# Name of a device in the Python API → what ONNX Runtime calls its memory
_MEMORY = {"cpu": "Cpu", "cuda": "Cuda", "dml": "DML", "webgpu": "WebGPU_Buffer", "cann": "Cann", "hip": "Hip"}
_DEVICE = {memory.lower(): device for device, memory in _MEMORY.items()}
_NUMBER = {"cpu": 0, "cuda": 1, "hip": 1, "cann": 3, "dml": 4}  # what `device_type()` gives in the official package


def _memory(device_type: str) -> str:
    try:
        return _MEMORY[device_type.lower()]
    except (KeyError, AttributeError):
        raise errors.InvalidArgument(f"there is no device {device_type!r}; known are {', '.join(_MEMORY)}") from None


def _only_cpu(device_type: str) -> None:
    if _memory(device_type) != "Cpu":
        raise errors.NotImplemented(
            f"ortpack can't make values on {device_type!r}; make them on the CPU, ONNX Runtime copies inputs itself"
        )


def element_type(kind: Any) -> int:
    """Find the ONNX element type that a user names by its number, its name, or anything that is a dtype to NumPy.

    Raises:
        InvalidArgument: there is no such type.
    """
    if isinstance(kind, int) and not isinstance(kind, bool):
        dtype_of(kind)  # raises for a number that is none
        return kind
    if isinstance(kind, str) and (found := element_type_named(kind)):
        return found
    try:
        dtype = np.dtype(kind)
    except TypeError:
        raise errors.InvalidArgument(f"{kind!r} is no element type of tensors") from None
    return element_type_of(np.empty(0, dtype))


def _library() -> Library:
    from ortpack._runtime import runtime  # noqa: PLC0415 - resolves and loads

    return runtime().library


class OrtDevice:
    """A device whose memory holds values: its name and its number."""

    __slots__ = ("_id", "_name")

    def __init__(self, name: str, device_id: int = 0) -> None:
        _memory(name)
        self._name = name.lower()
        self._id = device_id

    @staticmethod
    def make(ort_device_name: str, device_id: int, vendor_id: int = -1) -> OrtDevice:  # noqa: ARG004 - official name
        """Make a device, as the official package does."""
        return OrtDevice(ort_device_name, device_id)

    def device_name(self) -> str:
        """The device's name: `cpu`, `cuda`, …"""
        return self._name

    def device_id(self) -> int:
        """The device's number."""
        return self._id

    def device_type(self) -> int:
        """The number of the device's type in the official package; -1 where it has none."""
        return _NUMBER.get(self._name, -1)

    def __repr__(self) -> str:
        return f"OrtDevice({self._name!r}, {self._id})"


class OrtValue:
    """A tensor, sequence or map that a runtime can take without conversion.

    It is made by the default runtime. A session of another runtime takes it too, if it lies in the CPU's memory.
    """

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: Value) -> None:
        self._value = value

    @classmethod
    def ortvalue_from_numpy(
        cls,
        numpy_obj: NDArray[Any],
        device_type: str = "cpu",
        device_id: int = 0,  # noqa: ARG003 - the CPU has one
        vendor_id: int = -1,  # noqa: ARG003
    ) -> OrtValue:
        """Make a tensor over the array's memory, which it keeps alive; of an array that is not contiguous, a copy."""
        _only_cpu(device_type)
        return cls(Value.from_array(_library(), numpy_obj))

    @classmethod
    def ortvalue_from_numpy_with_onnx_type(cls, data: NDArray[Any], onnx_element_type: int) -> OrtValue:
        """Make a tensor of an element type that the array's dtype does not tell (uint16 for bfloat16)."""
        return cls(Value.from_array(_library(), data, onnx_element_type))

    @classmethod
    def ortvalue_from_shape_and_type(
        cls,
        shape: Sequence[int],
        element_type: Any,
        device_type: str = "cpu",
        device_id: int = 0,  # noqa: ARG003
        vendor_id: int = -1,  # noqa: ARG003
    ) -> OrtValue:
        """Make a tensor with memory of its own that nothing was written to yet."""
        _only_cpu(device_type)
        return cls(Value.from_shape(_library(), [int(size) for size in shape], _element_type(element_type)))

    @staticmethod
    def ort_value_from_sparse_tensor(sparse_tensor: object) -> OrtValue:
        """Not supported."""
        raise errors.NotImplemented(
            f"ortpack does not support sparse tensors, so none can be made of {sparse_tensor!r}"
        )

    def as_sparse_tensor(self) -> object:
        """Not supported."""
        raise errors.NotImplemented("ortpack does not support sparse tensors")

    @classmethod
    def from_dlpack(cls, data: Any) -> OrtValue:
        """Make a tensor over the memory of any object with `__dlpack__` that lies on the CPU."""
        return cls.ortvalue_from_numpy(np.from_dlpack(data))

    def __dlpack__(self, **options: Any) -> Any:
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        kind, number = self.numpy().__dlpack_device__()
        return int(kind), int(number)

    def numpy(self) -> NDArray[Any]:
        """Make an array over the tensor's memory, which the array keeps alive."""
        return self._value.numpy()

    def to_python(self) -> Any:
        """Make what `run` would return for the value: an array, a list, a dict, or None."""
        return self._value.to_python()

    def update_inplace(self, np_arr: NDArray[Any]) -> None:
        """Copy an array of the same type and shape into the tensor."""
        self._value.update(np_arr)

    def data_ptr(self) -> int:
        """Tell the address of the tensor's first element."""
        return self._value.data_ptr

    def tensor_size_in_bytes(self) -> int:
        """The size of the tensor's memory."""
        return self._value.nbytes

    def data_type(self) -> str:
        """Tell the value's type: `tensor(float)`, `seq(tensor(int64))`, …"""
        return self._value.data_type

    def element_type(self) -> int:
        """Tell the ONNX element type (`TensorProto.DataType`) of a tensor."""
        return self._value.element_type

    def shape(self) -> list[int]:
        """The tensor's shape."""
        return self._value.shape

    def device_name(self) -> str:
        """Tell where the value lies: `cpu`, `cuda`, …"""
        name = self._value.device_name.lower()
        return _DEVICE.get(name, name)

    def has_value(self) -> bool:
        """Whether there is a value: an optional may be empty."""
        return self._value.has_value

    def is_tensor(self) -> bool:
        """Whether the value is a dense tensor."""
        return self._value.kind == _TENSOR

    def is_tensor_sequence(self) -> bool:
        """Whether the value is a sequence of tensors."""
        return self._value.kind == _SEQUENCE and self._value.data_type.startswith("seq(tensor(")

    def is_sparse_tensor(self) -> bool:
        """Whether the value is a sparse tensor."""
        return self._value.kind == _SPARSE


_element_type = element_type  # `ortvalue_from_shape_and_type` has a parameter of that name


class IOBinding:
    """Inputs and outputs that stay bound to a session from run to run."""

    __slots__ = ("_binding", "_outputs", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._binding = NativeIoBinding(session)

    def bind_cpu_input(self, name: str, arr_on_cpu: NDArray[Any]) -> None:
        """Bind an array; it is not copied when it is contiguous, and kept alive."""
        self._binding.bind_input(name, arr_on_cpu)

    def bind_input(
        self, name: str, device_type: str, device_id: int, element_type: Any, shape: Sequence[int], buffer_ptr: int
    ) -> None:
        """Bind memory of the caller, who has to keep it alive. The parameters are the official package's.

        Args:
            name: the input.
            device_type: where the memory lies: "cpu", "cuda", …
            device_id: the device's number.
            element_type: a dtype, or the number of an ONNX element type.
            shape: the tensor's.
            buffer_ptr: the address of the first element.
        """
        self._binding.bind_input(name, self._over(device_type, device_id, element_type, shape, buffer_ptr))

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        """Bind an OrtValue, which is kept alive."""
        self._binding.bind_input(name, ortvalue)

    def bind_output(
        self,
        name: str,
        device_type: str = "cpu",
        device_id: int = 0,
        element_type: Any = None,
        shape: Sequence[int] | None = None,
        buffer_ptr: int | None = None,
    ) -> None:
        """Have ONNX Runtime make the output on a device or, with `buffer_ptr`, write it into the caller's memory.

        The parameters are the official package's.
        """
        if buffer_ptr is None:
            self._binding.bind_output_to_device(name, _memory(device_type), device_id)
            return
        if element_type is None or shape is None:
            raise errors.InvalidArgument("bind_output with buffer_ptr needs element_type and shape too")
        self._binding.bind_output(name, self._over(device_type, device_id, element_type, shape, buffer_ptr))

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        """Have the output written into an OrtValue."""
        self._binding.bind_output(name, ortvalue)

    def synchronize_inputs(self) -> None:
        """Wait until bound inputs have reached their device."""
        self._binding.synchronize_inputs()

    def synchronize_outputs(self) -> None:
        """Wait until bound outputs have been written."""
        self._binding.synchronize_outputs()

    def get_outputs(self) -> list[OrtValue]:
        """List the outputs of the last run, in the order in which they were bound."""
        return [OrtValue(value) for value in self._binding.outputs()]

    def copy_outputs_to_cpu(self) -> list[Any]:
        """Copy the outputs of the last run, so that the next run does not change them."""
        outputs = [value.to_python() for value in self._binding.outputs()]
        return [output.copy() if isinstance(output, np.ndarray) else output for output in outputs]

    def clear_binding_inputs(self) -> None:
        """Forget every bound input."""
        self._binding.clear_inputs()

    def clear_binding_outputs(self) -> None:
        """Forget every bound output."""
        self._binding.clear_outputs()

    def _over(self, device_type: str, device_id: int, kind: Any, shape: Sequence[int], pointer: int) -> Value:
        sizes = [int(size) for size in shape]
        library = self._session._library
        return Value.over_memory(library, pointer, sizes, element_type(kind), _memory(device_type), device_id, None)
