"""The node tests of the `onnx` package on two libraries: `python benchmarks/node_tests.py OFFICIAL OTHER`.

Prints how many pass on each and every test whose outcome differs; exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import collections
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

import ortpack

_DATA = Path(onnx.__file__).parent / "backend" / "test" / "data" / "node"


def main() -> int:
    """Run every test on every library."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("libraries", nargs=2, type=Path)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth test")
    options = parser.parse_args()
    ortpack.set_default_logger_severity(4)
    outcomes: dict[str, list[str]] = {}
    for folder in sorted(_DATA.iterdir())[:: options.every]:
        if (folder / "model.onnx").is_file():
            outcomes[folder.name] = [_outcome(folder, library.absolute()) for library in options.libraries]
    for place, library in enumerate(options.libraries):
        counts = collections.Counter(outcome[place].partition(":")[0] for outcome in outcomes.values())
        print(f"{library}: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
    differ = {name: outcome for name, outcome in outcomes.items() if outcome[0] != outcome[1]}
    for name, (first, other) in differ.items():
        print(f"{name}: {first} | {other}")
    return 1 if differ else 0


def _outcome(folder: Path, library: Path) -> str:
    """`pass`, or what went wrong in one line."""
    try:
        model = onnx.load(folder / "model.onnx")
        session = ortpack.InferenceSession(str(folder / "model.onnx"), runtime=library)
        for data in sorted(folder.glob("test_data_set_*")):
            names = [value.name for value in session.get_inputs()]
            feed = dict(zip(names, _values(data, "input", model.graph.input), strict=False))
            for expected, actual in zip(
                _values(data, "output", model.graph.output), session.run(None, feed), strict=True
            ):
                _compare(expected, actual)
    except AssertionError:
        return "wrong"
    except Exception as error:  # whatever the library refuses is an outcome
        return f"error: {type(error).__name__}"
    return "pass"


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


if __name__ == "__main__":
    sys.exit(main())
