"""Small models with much structure, to be damaged: subgraphs, texts, sequences, quantized and tree operators.

`PYTHONPATH=tests python -m support.make_small_models tests/support/small_models` writes them where they are kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from support.graphs import model, node, tensor, tensor_type, typed

_F, _I, _B, _S = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING


def _weights(name: str, *shape: int) -> TensorProto:
    values = np.random.default_rng(len(name)).uniform(-1, 1, shape).astype(np.float32)
    return numpy_helper.from_array(values, name)


def _ints(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def _number(name: str, value: int) -> TensorProto:
    return numpy_helper.from_array(np.array(value, np.int64), name)


def _subgraphs() -> bytes:
    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Add", ["at", "one"], ["to"]), node("Mul", ["to", "one"], ["each"])],
        "body",
        [tensor("i", _I, ()), tensor("go", _B, ()), tensor("at", _F, (2,))],
        [tensor("on", _B, ()), tensor("to", _F, (2,)), tensor("each", _F, (2,))],
    )
    step = helper.make_graph(
        [node("Add", ["s", "e"], ["t"]), node("Identity", ["t"], ["o"])],
        "step",
        [tensor("s", _F, ()), tensor("e", _F, ())],
        [tensor("t", _F, ()), tensor("o", _F, ())],
    )
    yes = helper.make_graph([node("Neg", ["x"], ["a"])], "yes", [], [tensor("a", _F, (2,))])
    no = helper.make_graph([node("Abs", ["x"], ["b"])], "no", [], [tensor("b", _F, (2,))])
    return model(
        [
            node("Loop", ["n", "", "x"], ["last", "all"], body=body),
            node("Scan", ["zero", "last"], ["sum", "sums"], body=step, num_scan_inputs=1),
            node("Less", ["sum", "zero"], ["less"]),
            node("If", ["less"], ["y"], then_branch=yes, else_branch=no),
        ],
        [tensor("x", _F, (2,))],
        [tensor("y", _F, (2,)), tensor("all", _F, ("n", 2)), tensor("sums", _F, (2,))],
        initializers=[_number("n", 3), _weights("one", 2), numpy_helper.from_array(np.array(0, np.float32), "zero")],
    )


def _network() -> bytes:
    return model(
        [
            node("Conv", ["x", "w", "b"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            node("Relu", ["c"], ["r"]),
            node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Slice", ["p", "starts", "ends", "axes"], ["s"]),
            node("Transpose", ["s"], ["t"], perm=[0, 2, 3, 1]),
            node("Reshape", ["t", "shape"], ["f"]),
            node("Gemm", ["f", "g"], ["m"], transB=1),
            node("Softmax", ["m"], ["e"], axis=-1),
            node("Gather", ["e", "which"], ["h"], axis=1),
            node("Split", ["h", "parts"], ["y", "z"], axis=1),
            node("Pad", ["y", "pads"], ["q"]),
            node("Resize", ["p", "", "", "sizes"], ["v"], mode="nearest"),
            node("TopK", ["e", "k"], ["top", "index"]),
        ],
        [tensor("x", _F, ("N", 2, 4, 4))],
        [tensor(name, _F, None) for name in ("q", "z", "v", "top")] + [tensor("index", _I, None)],
        opset=18,
        initializers=[
            *(_weights("w", 3, 2, 3, 3), _weights("b", 3), _weights("g", 5, 8)),
            *(
                _ints("starts", 0),
                _ints("ends", 2),
                _ints("axes", 1),
                _ints("shape", -1, 8),
                _ints("which", 0, 2, 4, 1),
            ),
            *(_ints("parts", 2, 2), _ints("pads", 0, 1, 0, 1), _ints("sizes", 2, 3, 4, 4), _ints("k", 2)),
        ],
    )


def _texts_and_sequences() -> bytes:
    words = numpy_helper.from_array(np.array(["one", "two", "three"], object), "words")
    labels = [
        node("LabelEncoder", ["t"], ["l"], domain="ai.onnx.ml", keys_strings=["text", "b"], values_int64s=[1, 2]),
        node("Cast", ["l"], ["f"], to=_F),
    ]
    return model(
        [
            *labels,
            node("SequenceConstruct", ["f", "x"], ["seq"]),
            node("SequenceAt", ["seq", "first"], ["a"]),
            node("ConcatFromSequence", ["seq"], ["c"], axis=0),
            node("Gather", ["words", "which"], ["w"]),
            node("SplitToSequence", ["c", "two"], ["split"], axis=0),
        ],
        [tensor("t", _S, (2,)), tensor("x", _F, (2,))],
        [
            tensor("a", _F, None),
            tensor("w", _S, None),
            typed("split", helper.make_sequence_type_proto(tensor_type(_F))),
        ],
        domains={"ai.onnx.ml": 2},
        initializers=[words, _number("first", 1), _ints("which", 2, 0), _number("two", 2)],
    )


def _quantized() -> bytes:
    def both(name: str, into: str) -> list[NodeProto]:
        scale = [f"{into}_q", "scale", "zero"]
        return [node("QuantizeLinear", [name, *scale[1:]], [scale[0]]), node("DequantizeLinear", scale, [into])]

    return model(
        [
            *both("x", "a"),
            node("DequantizeLinear", ["w", "scale", "wzero"], ["wf"]),
            node("MatMul", ["a", "wf"], ["m"]),
            *both("m", "y"),
        ],
        [tensor("x", _F, ("N", 4))],
        [tensor("y", _F, ("N", 3))],
        initializers=[
            numpy_helper.from_array(np.arange(12, dtype=np.int8).reshape(4, 3), "w"),
            numpy_helper.from_array(np.array(0.05, np.float32), "scale"),
            numpy_helper.from_array(np.array(128, np.uint8), "zero"),
            numpy_helper.from_array(np.array(0, np.int8), "wzero"),
        ],
    )


def _trees_and_rnn() -> bytes:
    tree = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_ids": [0, 0],
        "target_weights": [1.0, 2.0],
        "n_targets": 1,
    }
    return model(
        [
            node("TreeEnsembleRegressor", ["x"], ["t"], domain="ai.onnx.ml", **tree),
            node("Unsqueeze", ["x", "axis"], ["s"]),
            node("LSTM", ["s", "w", "r"], ["h"], hidden_size=2),
            node("GRU", ["s", "wg", "rg"], ["g"], hidden_size=2),
            node("Einsum", ["x", "x"], ["e"], equation="ij,kj->ik"),
            node("CumSum", ["e", "which"], ["c"]),
        ],
        [tensor("x", _F, (2, 3))],
        [tensor(name, _F, None) for name in ("t", "h", "g", "c")],
        domains={"ai.onnx.ml": 3},
        initializers=[
            *(_weights("w", 1, 8, 3), _weights("r", 1, 8, 2), _weights("wg", 1, 6, 3), _weights("rg", 1, 6, 2)),
            *(_ints("axis", 1), _number("which", 1)),
        ],
    )


MODELS = {
    "subgraphs": _subgraphs,
    "network": _network,
    "texts": _texts_and_sequences,
    "quantized": _quantized,
    "trees": _trees_and_rnn,
}


def main(folder: Path) -> None:
    """Write every model to `folder`, as .onnx and as .ort for the release that the kits are of.

    The files are kept, since neither ONNX Runtime nor every release of `onnx` writes one model twice alike.
    """
    import ortpack
    from support.official import OLDER, library

    runtime = ortpack.load_runtime(library(OLDER))
    for name, make in MODELS.items():
        data = make()
        (folder / f"{name}.onnx").write_bytes(data)
        options = ortpack.SessionOptions()
        options.optimized_model_filepath = folder / f"{name}.ort"
        # As `ortpack-build convert` does: the layout of NCHWc is that of the CPU at hand.
        options.add_session_config_entry("optimization.disable_specified_optimizers", "NchwcTransformer")
        ortpack.InferenceSession(data, options, runtime=runtime)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
