"""Run in a process of its own by `onnx_model`: writes a model with its functions in line and its values' types.

onnx infers types in C++, which damaged models can bring down. The request is JSON on standard input, the answer the
last line `RESULT {…}` on standard output.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> int:
    request = json.load(sys.stdin)
    try:
        import onnx  # noqa: PLC0415 - a failure is an answer too
        import onnx.inliner  # noqa: PLC0415
        import onnx.shape_inference  # noqa: PLC0415

        model = onnx.load_model_from_string(Path(request["model"]).read_bytes())
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        model = onnx.shape_inference.infer_shapes(model)
        Path(request["out"]).write_bytes(model.SerializeToString())
    except Exception as error:
        return _answer(failed=f"{error}")
    return _answer(done=True)


def _answer(**answer: object) -> int:
    print("RESULT " + json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
