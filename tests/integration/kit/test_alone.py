"""Libraries of one operator: what they are without, they do well without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import ortpack
from support import kits, node_tests, official

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = kits.NEEDED

# Operators whose kernels go through MLAS's tables, of every precision and quantization that node tests have.
_OPERATORS = [
    "Cast",
    "ConvInteger",
    "Conv",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "Erf",
    "Gemm",
    "LSTM",
    "MatMul",
    "MatMulInteger",
    "MaxPool",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
    "Softmax",
    "Tanh",
]


@pytest.mark.parametrize("operator", _OPERATORS)
def test_node_tests_of_an_operator(operator: str, tmp_path: Path) -> None:
    # Sessions put conversions in for types without a kernel, and transpositions for other layouts.
    ours = kits.link(tmp_path / "link", lambda kernel: kernel.op in {operator, "Cast", "Transpose"}).path
    theirs = official.library(kits.ORT)
    tried = 0
    for folder in node_tests.folders():
        if {node.op_type for node in onnx.load(folder / "model.onnx").graph.node} != {operator}:
            continue
        model = tmp_path / f"{folder.name}.ort"
        if node_tests.to_ort(folder, model, theirs) and node_tests.outcome(folder, theirs, model) == "pass":
            assert node_tests.outcome(folder, ours, model) == "pass", folder.name
            tried += 1
    assert tried


def test_a_product_with_a_matrix_of_four_bit_numbers(tmp_path: Path) -> None:
    """Its tables are the largest of what is left out of other libraries."""
    random = np.random.default_rng(1)
    rows, columns, block = 3, 64, 32
    weights = {
        "B": random.integers(0, 256, (columns, 2, block // 2), dtype=np.uint8),
        "S": random.random(columns * 2, dtype=np.float32),
    }
    node = helper.make_node(
        "MatMulNBits", ["A", *weights], ["Y"], domain="com.microsoft", K=64, N=columns, bits=4, block_size=block
    )
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, 64]) for name in ("A", "Y")]
    given = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph([node], "g", value[:1], value[1:], given)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    folder = tmp_path / "model"
    folder.mkdir()
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "model.onnx")
    theirs = official.library(kits.ORT)
    assert node_tests.to_ort(folder, tmp_path / "model.ort", theirs)
    with_it = kits.link(tmp_path / "link", lambda kernel: kernel.op == "MatMulNBits").path
    without = kits.link(tmp_path / "other", lambda kernel: kernel.op == "Abs").path
    feed = {"A": random.random((rows, 64), dtype=np.float32)}
    results = [
        ortpack.InferenceSession(str(tmp_path / "model.ort"), runtime=library).run(None, feed)[0]
        for library in (theirs, with_it)
    ]
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5)
    assert with_it.stat().st_size > without.stat().st_size + 100_000
