"""Small models, made with the `onnx` package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


def f32(*values: float) -> NDArray[np.float32]:
    """A float vector."""
    return np.array(values, np.float32)


def tensor(name: str, kind: int = TensorProto.FLOAT, shape: Any = ("N",)) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def typed(name: str, kind: onnx.TypeProto) -> onnx.ValueInfoProto:
    """An input or output of any type: sequence, map, optional."""
    return helper.make_value_info(name, kind)


def tensor_type(kind: int = TensorProto.FLOAT, shape: Any = None) -> onnx.TypeProto:
    return helper.make_tensor_type_proto(kind, shape)


def node(op: str, inputs: Iterable[str], outputs: Iterable[str], domain: str = "", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, list(inputs), list(outputs), domain=domain, **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    *,
    initializers: Sequence[onnx.TensorProto] = (),
    opset: int = 20,
    ir_version: int = 9,
    domains: dict[str, int] | None = None,
    metadata: dict[str, str] | None = None,
    **fields: Any,
) -> bytes:
    """The bytes of a model. The defaults are old enough for every release that is tested."""
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(initializers))
    opsets = [helper.make_opsetid(domain, version) for domain, version in {"": opset, **(domains or {})}.items()]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version, **fields)
    if metadata:
        helper.set_model_props(proto, metadata)
    data: bytes = proto.SerializeToString()
    return data


def identity(kind: int = TensorProto.FLOAT, shape: Any = ("N",), *, opset: int = 20) -> bytes:
    """y = x"""
    return model([node("Identity", ["x"], ["y"])], [tensor("x", kind, shape)], [tensor("y", kind, shape)], opset=opset)


def add() -> bytes:
    """y = a + b, both float of shape [N, 2]."""
    return model(
        [node("Add", ["a", "b"], ["y"])],
        [tensor("a", shape=("N", 2)), tensor("b", shape=("N", 2))],
        [tensor("y", shape=("N", 2))],
    )


def endless() -> bytes:
    """A loop over `n` that never ends by itself when `n` is large: one is added to x each time."""
    body = helper.make_graph(
        [node("Identity", ["go"], ["again"]), node("Add", ["x_in", "one"], ["x_out"])],
        "body",
        [tensor("i", TensorProto.INT64, ()), tensor("go", TensorProto.BOOL, ()), tensor("x_in", shape=(1,))],
        [tensor("again", TensorProto.BOOL, ()), tensor("x_out", shape=(1,))],
        [helper.make_tensor("one", TensorProto.FLOAT, (1,), [1.0])],
    )
    return model(
        [node("Loop", ["n", "", "x"], ["y"], body=body)],
        [tensor("n", TensorProto.INT64, ()), tensor("x", shape=(1,))],
        [tensor("y", shape=(1,))],
    )
