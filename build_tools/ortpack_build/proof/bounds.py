"""Finds limits for the inputs that a model uses as indices: the sizes of the tables that they index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_SMALL = 1 << 20
# Operators whose output has the values of their first input.
_PASSING = {"Cast", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze", "Expand", "Concat"}


def index_bounds(path: Path) -> dict[str, int]:
    """The size of the smallest table that an input's values index, by the input's name.

    Inputs that index nothing, as far as can be seen, are left out. Only the main graph of an ONNX model is looked at.
    """
    import onnx  # noqa: PLC0415 - optional; models are not read without it

    try:
        graph = onnx.load(path, load_external_data=False).graph
    except Exception:  # what protobuf raises depends on its implementation; ONNX Runtime will say what is wrong
        return {}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        value = next((item.t for item in node.attribute if item.name == "value"), None)
        if node.op_type == "Constant" and value is not None:
            constants[node.output[0]] = value
    origin = {item.name: item.name for item in graph.input if item.name not in constants}
    bounds: dict[str, int] = {}

    def at_most(value: str, bound: int) -> None:
        if value in origin and bound > 0:
            bounds[origin[value]] = min(bound, bounds.get(origin[value], bound))

    for node in graph.node:
        if node.op_type in _PASSING and node.input and node.input[0] in origin:
            origin[node.output[0]] = origin[node.input[0]]
        elif node.op_type == "Gather" and node.input[0] in constants:
            axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
            at_most(node.input[1], constants[node.input[0]].dims[axis])
        elif node.op_type == "OneHot" and node.input[1] in constants:
            at_most(node.input[0], _largest(onnx, constants[node.input[1]]))
        elif node.op_type == "Equal" and node.input[1] in constants:  # one-hot, as JAX writes it
            at_most(node.input[0], _largest(onnx, constants[node.input[1]]) + 1)
    return bounds


def _largest(onnx: Any, tensor: Any) -> int:
    """The largest value of a small tensor; -1 if it has none, or others than numbers."""
    values = onnx.numpy_helper.to_array(tensor)
    return int(values.max()) if 0 < values.size < _SMALL and values.dtype.kind in "iu" else -1
