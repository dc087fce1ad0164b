"""Small models that optimizers change a lot: quantized, of half precision, with functions, with fusions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

Feeds = dict[str, Any]
_KINDS = {"float32": onnx.TensorProto.FLOAT, "float16": onnx.TensorProto.FLOAT16, "int64": onnx.TensorProto.INT64}


def _save(
    path: Path, nodes: list[Any], feeds: Feeds, output: tuple[str, str], constants: dict[str, Any], opset: int = 17
) -> Feeds:
    inputs = [helper.make_tensor_value_info(name, _KINDS[str(x.dtype)], x.shape) for name, x in feeds.items()]
    outputs = [helper.make_tensor_value_info(output[0], _KINDS[output[1]], None)]
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    imports = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return feeds


def _image(dtype: str = "float32", channels: int = 16) -> Any:
    return np.random.default_rng(0).uniform(-1, 1, (1, channels, 8, 8)).astype(dtype)


def _weight(dtype: str = "float32") -> Any:
    return np.random.default_rng(1).uniform(-1, 1, (16, 16, 3, 3)).astype(dtype)


def quantized(path: Path, sign: str) -> Feeds:
    """A convolution and a matrix product between quantization nodes, `sign` is int8 or uint8."""
    zero = np.array(0 if sign == "int8" else 128, sign)
    constants = {
        "s": np.float32(0.01),
        "z": zero,
        "w": (_weight() * 50).astype(np.int8),
        "wz": np.int8(0),
        "k": (np.random.default_rng(2).uniform(-50, 50, (8, 4))).astype(np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "s", "wz"], ["wd"]),
        helper.make_node("Conv", ["xd", "wd"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "s", "z"], ["cd"]),
        helper.make_node("MaxPool", ["cd"], ["p"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["p", "s", "z"], ["pq"]),
        helper.make_node("DequantizeLinear", ["pq", "s", "z"], ["pd"]),
        helper.make_node("DequantizeLinear", ["k", "s", "wz"], ["kd"]),
        helper.make_node("MatMul", ["pd", "kd"], ["m"]),
        helper.make_node("QuantizeLinear", ["m", "s", "z"], ["mq"]),
        helper.make_node("DequantizeLinear", ["mq", "s", "z"], ["y"]),
    ]
    return _save(path, nodes, {"x": _image()}, ("y", "float32"), constants)


def half(path: Path) -> Feeds:
    """Half precision: on x86 nearly every node gets casts around it."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2]),
        helper.make_node("GlobalAveragePool", ["p"], ["y"]),
    ]
    return _save(path, nodes, {"x": _image("float16")}, ("y", "float16"), {"w": _weight("float16")})


def gelu(path: Path) -> Feeds:
    """Layer normalization and Gelu as exporters write them out, after a product with a bias."""
    constants = {
        "k": np.random.default_rng(2).uniform(-1, 1, (8, 8)).astype(np.float32),
        "bias": np.ones(8, np.float32),
        "two": np.float32(2),
        "eps": np.float32(1e-5),
        "g": np.ones(8, np.float32),
        "root": np.float32(np.sqrt(2)),
        "one": np.float32(1),
        "half": np.float32(0.5),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "k"], ["a"]),
        helper.make_node("Add", ["a", "bias"], ["b"]),
        helper.make_node("ReduceMean", ["b"], ["mean"], axes=[-1]),
        helper.make_node("Sub", ["b", "mean"], ["d"]),
        helper.make_node("Pow", ["d", "two"], ["d2"]),
        helper.make_node("ReduceMean", ["d2"], ["var"], axes=[-1]),
        helper.make_node("Add", ["var", "eps"], ["ve"]),
        helper.make_node("Sqrt", ["ve"], ["sd"]),
        helper.make_node("Div", ["d", "sd"], ["n"]),
        helper.make_node("Mul", ["n", "g"], ["ng"]),
        helper.make_node("Add", ["ng", "bias"], ["l"]),
        helper.make_node("Add", ["l", "bias"], ["lb"]),
        helper.make_node("Div", ["lb", "root"], ["e"]),
        helper.make_node("Erf", ["e"], ["f"]),
        helper.make_node("Add", ["f", "one"], ["h"]),
        helper.make_node("Mul", ["lb", "h"], ["i"]),
        helper.make_node("Mul", ["i", "half"], ["y"]),
    ]
    feeds = {"x": np.random.default_rng(3).uniform(-1, 1, (2, 4, 8)).astype(np.float32)}
    return _save(path, nodes, feeds, ("y", "float32"), constants)


def functions(path: Path) -> Feeds:
    """Operators without a kernel of their own, which are put in line from what ONNX defines them as."""
    nodes = [
        helper.make_node("MeanVarianceNormalization", ["x"], ["m"]),
        helper.make_node("NegativeLogLikelihoodLoss", ["m", "t"], ["n"], reduction="none"),
        helper.make_node("HardSwish", ["n"], ["y"]),
    ]
    target = np.zeros((1, 8, 8), np.int64)
    return _save(path, nodes, {"x": _image(), "t": target}, ("y", "float32"), {})


def folded(path: Path) -> Feeds:
    """Constants that only folding makes, before a fusion can match them."""
    constants = {
        "w0": _weight(),
        "perm": np.array([16, 16, 3, 3], np.int64),
        "s": np.full((1, 16, 1, 1), 2, np.float32),
    }
    nodes = [
        helper.make_node("Exp", ["w0"], ["w1"]),
        helper.make_node("Reshape", ["w1", "perm"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["c", "s"], ["d"]),
        helper.make_node("Transpose", ["d"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("LeakyRelu", ["t"], ["y"]),
    ]
    return _save(path, nodes, {"x": _image()}, ("y", "float32"), constants)


MODELS = {
    "quantized_int8": lambda path: quantized(path, "int8"),
    "quantized_uint8": lambda path: quantized(path, "uint8"),
    "half": half,
    "gelu": gelu,
    "functions": functions,
    "folded": folded,
}
