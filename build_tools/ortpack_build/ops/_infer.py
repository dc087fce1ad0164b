"""Inlines the functions of a model and infers the types of its values, in a process that `onnx_model` starts.

onnx infers types in C++, which a damaged model can crash. The request is JSON on standard input; there is no answer
but the file and the exit code.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnx
import onnx.inliner
import onnx.shape_inference


def main() -> None:
    request = json.load(sys.stdin)
    model = onnx.load_model_from_string(Path(request["model"]).read_bytes())
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    Path(request["out"]).write_bytes(onnx.shape_inference.infer_shapes(model).SerializeToString())


if __name__ == "__main__":
    main()
