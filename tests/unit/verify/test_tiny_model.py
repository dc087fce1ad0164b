from __future__ import annotations

import numpy as np
import onnx
import onnx.reference

from ortpack_build.verify.tiny_model import SUM, A, B, tiny_model


def test_the_bytes_are_a_valid_model_that_adds() -> None:
    model = onnx.load_from_string(tiny_model())
    onnx.checker.check_model(model, full_check=True)
    evaluator = onnx.reference.ReferenceEvaluator(model)
    (result,) = evaluator.run(None, {"a": np.array(A, np.float32), "b": np.array(B, np.float32)})
    assert tuple(result) == SUM
