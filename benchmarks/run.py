"""ortpack beside the official `onnxruntime` of the same release, in one run: a table of ratios (`nox -s bench`).

The two are measured in turn, A B A B …, and the ratio is the median of the pairwise ratios, so that a machine whose
speed drifts does not favour either. Times are wall-clock.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper

import ortpack
from support.models import feeds, model

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # or the official package reports usage, from its import on
import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable

OURS, OFFICIAL = "ortpack", "onnxruntime"
NUMPY_ONLY = "import numpy"
FIRST_RESULT = """
import numpy
import {package}
session = {package}.InferenceSession({path!r}, providers=["CPUExecutionProvider"])
session.run(None, {{
    "input": numpy.zeros((1, 576), numpy.float32),
    "state": numpy.zeros((2, 1, 128), numpy.float32),
    "sr": numpy.array(16000),
}})
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured thing; `target` is the largest ratio that is good enough."""

    what: str
    ours: str
    official: str
    ratio: float
    target: float


def process_seconds(code: str) -> float:
    """Wall-clock seconds of a new Python that runs `code`; its bytecode is compiled beforehand by earlier runs."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def processes(what: str, code: Callable[[str], str], *, target: float, rounds: int) -> Row:
    """Compare new processes, the time of importing NumPy alone taken off both."""
    for package in (OURS, OFFICIAL):
        process_seconds(code(package))
    base, ours, official = [], [], []
    for _ in range(rounds):
        base.append(process_seconds(NUMPY_ONLY))
        ours.append(process_seconds(code(OURS)))
        official.append(process_seconds(code(OFFICIAL)))
    numpy = statistics.median(base)
    net = [statistics.median(times) - numpy for times in (ours, official)]
    return Row(
        what=what,
        ours=f"{net[0] * 1e3:.1f} ms",
        official=f"{net[1] * 1e3:.1f} ms",
        ratio=max(net[0], 0) / net[1],
        target=target,
    )


def calls(what: str, ours: Callable[[], Any], official: Callable[[], Any], *, target: float, rounds: int) -> Row:
    """Compare calls in this process, in batches of about 50 ms that alternate."""
    official()
    start = time.perf_counter()
    official()
    batch = max(1, round(0.05 / (time.perf_counter() - start)))
    pairs = []
    for _ in range(rounds):
        pairs.append((_batch(ours, batch), _batch(official, batch)))
    return Row(
        what=what,
        ours=f"{statistics.median(a for a, _ in pairs) * 1e6:.1f} µs",
        official=f"{statistics.median(b for _, b in pairs) * 1e6:.1f} µs",
        ratio=statistics.median(a / b for a, b in pairs),
        target=target,
    )


def _batch(function: Callable[[], Any], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        function()
    return (time.perf_counter() - start) / count


def one_op(inputs: int) -> bytes:
    """A model of one Sum node over `inputs` float32 vectors of four elements."""
    names = [f"x{index}" for index in range(inputs)]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in names]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    graph = helper.make_graph([helper.make_node("Sum", names, ["y"])], "g", value, [result])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def sessions(source: str | bytes, threads: int) -> tuple[Any, Any]:
    """The same model in both packages, with `threads` intra-op threads (0: the default)."""
    pair = []
    for package in (ortpack, onnxruntime):
        options: Any = package.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        pair.append(package.InferenceSession(source, options, providers=["CPUExecutionProvider"]))
    return pair[0], pair[1]


def overhead(inputs: int, rounds: int) -> Row:
    ours, official = sessions(one_op(inputs), 1)
    feed = {f"x{index}": np.ones(4, np.float32) for index in range(inputs)}
    what = f"run() of one op, {inputs} input{'s' if inputs > 1 else ''}"
    return calls(what, lambda: ours.run(None, feed), lambda: official.run(None, feed), target=0.6, rounds=rounds)


def inference(name: str, threads: int, rounds: int) -> Row:
    ours, official = sessions(str(model(name)), threads)
    feed = feeds(name)
    for a, b in zip(ours.run(None, feed), official.run(None, feed), strict=True):
        np.testing.assert_array_equal(a, b)
    what = f"inference of {name}, {f'{threads} thread' if threads else 'all threads'}"
    return calls(what, lambda: ours.run(None, feed), lambda: official.run(None, feed), target=1.02, rounds=rounds)


def installed_bytes(*distributions: str) -> int:
    """Bytes of the files that the distributions installed, without bytecode."""
    return sum(
        Path(str(file.locate())).stat().st_size
        for name in distributions
        for file in importlib.metadata.files(name) or ()
        if file.suffix != ".pyc"
    )


def installed_size() -> Row:
    ours = installed_bytes("ortpack", "ortpack-cpu", "nanobind-backend")
    official = installed_bytes(OFFICIAL)
    return Row(
        what="installed size, without NumPy",
        ours=f"{ours / 1e6:.1f} MB",
        official=f"{official / 1e6:.1f} MB",
        ratio=ours / official,
        target=0.5,
    )


def wheel_size(folder: Path) -> Row:
    """Files to download: the loader and the runtime, beside the official wheel; all lie in `folder`."""
    official = sum(file.stat().st_size for file in folder.glob("onnxruntime-*.whl"))
    ours = sum(file.stat().st_size for file in folder.glob("ortpack*.whl"))
    return Row(
        what="wheels: loader and runtime",
        ours=f"{ours / 1e6:.1f} MB",
        official=f"{official / 1e6:.1f} MB",
        ratio=ours / official,
        target=0.55,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="pairs of measurements for each row")
    parser.add_argument(
        "--wheels", type=Path, help="folder with our wheels and the official one, to compare their size"
    )
    arguments = parser.parse_args()
    rounds = arguments.rounds
    silero = str(model("silero_vad"))
    if ortpack.get_version_string() != onnxruntime.__version__:
        raise SystemExit(f"the releases differ: {ortpack.get_version_string()} and {onnxruntime.__version__}")
    rows = [
        processes("import", lambda package: f"import numpy, {package}", target=0.35, rounds=rounds),
        processes(
            "new process to first silero-vad result",
            lambda package: FIRST_RESULT.format(package=package, path=silero),
            target=0.95,
            rounds=rounds,
        ),
        overhead(1, rounds),
        overhead(8, rounds),
    ]
    rows += [inference(name, 1, rounds) for name in ("silero_vad", "magika", "ppocr_det")]
    rows += [inference(name, 0, rounds) for name in ("silero_vad", "magika", "ppocr_det")]
    rows.append(installed_size())
    if arguments.wheels:
        rows.append(wheel_size(arguments.wheels))
    print(f"ORT {onnxruntime.__version__}, Python {sys.version.split()[0]}, NumPy {np.__version__}\n")
    print("| what | ortpack | onnxruntime | ratio | to reach |\n| --- | --- | --- | --- | --- |")
    for row in rows:
        print(f"| {row.what} | {row.ours} | {row.official} | {row.ratio:.3f} | {row.target} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
