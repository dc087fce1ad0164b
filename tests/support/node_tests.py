"""The node tests of ONNX: a model of one or a few nodes each, with inputs and the outputs that the specification wants.

They are those of `onnx` 1.17, the release that ONNX Runtime 1.21.0 was made for; later packages have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

import ortpack
from support.packages import Source, fetch_folder

if TYPE_CHECKING:
    from pathlib import Path

_DATA = Source(
    requirement="onnx==1.17.0",
    sha256="4f3fb5cc4e2898ac5312a7dc03a65133dd2abf9a5e520e69afb880a7251ec97a",
    member="onnx/backend/test/data/node",
    tags=("--platform=manylinux2014_x86_64", "--python-version=3.12", "--implementation=cp", "--abi=cp312"),
)


def folders() -> list[Path]:
    """The folder of every test, by name: `model.onnx`, and `test_data_set_*` with inputs and outputs."""
    return sorted(path.parent for path in fetch_folder(_DATA).glob("*/model.onnx"))


def to_ort(folder: Path, target: Path, library: Path) -> bool:
    """Write a test's model in the ORT format, as `library` reads it and not optimized; False if it refuses it."""
    options = _quiet()
    options.graph_optimization_level = ortpack.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(target)
    options.add_session_config_entry("session.save_model_format", "ORT")
    try:
        ortpack.InferenceSession(str(folder / "model.onnx"), options, runtime=library)
    except Exception:  # whatever the library refuses is an answer
        return False
    return True


def outcome(folder: Path, library: Path, model: Path | None = None) -> str:
    """`pass`, `wrong`, or the class of the error; of the test's own model, or the same in another format."""
    described = onnx.load(folder / "model.onnx").graph
    try:
        session = ortpack.InferenceSession(str(model or folder / "model.onnx"), _quiet(), runtime=library)
        for data in sorted(folder.glob("test_data_set_*")):
            names = [value.name for value in session.get_inputs()]
            feed = dict(zip(names, _values(data, "input", described.input), strict=False))
            outputs = _values(data, "output", described.output)
            for expected, actual in zip(outputs, session.run(None, feed), strict=True):
                _compare(expected, actual)
    except AssertionError:
        return "wrong"
    except Exception as error:  # whatever the library refuses is an outcome
        return f"error: {type(error).__name__}"
    return "pass"


def _quiet() -> ortpack.SessionOptions:
    options = ortpack.SessionOptions()
    options.log_severity_level = 4  # that a model is refused is no news here
    options.intra_op_num_threads = 1
    return options


def _values(folder: Path, kind: str, described: Any) -> list[Any]:
    values = []
    for index, value in enumerate(described):
        path = folder / f"{kind}_{index}.pb"
        if not path.exists():
            break
        values.append(_value(path.read_bytes(), value.type))
    return values


def _value(data: bytes, kind: Any) -> Any:
    if kind.HasField("sequence_type"):
        sequence = onnx.SequenceProto.FromString(data)
        return numpy_helper.to_list(sequence)
    if kind.HasField("optional_type"):
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
    return numpy_helper.to_array(onnx.TensorProto.FromString(data))


def _compare(expected: Any, actual: Any) -> None:
    if isinstance(expected, list):
        assert len(expected) == len(actual)
        for left, right in zip(expected, actual, strict=True):
            _compare(left, right)
    elif expected is None:
        assert actual is None
    else:
        left, right = np.asarray(expected), np.asarray(actual)
        assert left.shape == right.shape
        if left.dtype.kind in "OUS":
            assert [str(x) for x in left.ravel()] == [str(x) for x in right.ravel()]
        else:
            np.testing.assert_allclose(right.astype(np.float64), left.astype(np.float64), rtol=1e-3, atol=1e-7)
