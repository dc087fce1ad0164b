"""Writes the model that mylib ships: Softmax(rows @ weights + bias), with fixed weights. Needs the package onnx."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

weights = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
bias = np.array([0.1, -0.2, 0.3], np.float32)
graph = helper.make_graph(
    [
        helper.make_node("Gemm", ["rows", "weights", "bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=-1),
    ],
    "scorer",
    [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["rows", 4])],
    [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 3])],
    [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="mylib")
onnx.checker.check_model(model)
(Path(__file__).parent / "src" / "mylib" / "scorer.onnx").write_bytes(model.SerializeToString())
