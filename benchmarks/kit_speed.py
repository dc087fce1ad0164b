"""Inference speed of libraries of ONNX Runtime, side by side: `python benchmarks/kit_speed.py OFFICIAL OTHER MODEL...`.

Every library runs every model in one process, through the same binding, turn by turn: a burst of runs of the one, a
burst of the other, so that both see the same noise. With one thread the processor's time is measured, which other
processes disturb least, with all of them the time on the wall. The figure is the ratio of the lower quartiles.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import ortpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Sizes of the free dimensions in order, by how a model's name starts and the input's name.
_FREE = {
    ("silero_vad", "input"): (1, 512),
    ("silero_vad", "state"): (1,),
    ("magika", "bytes"): (1,),
    ("ch_PP-OCRv4_det", "x"): (1, 320, 320),
    ("ch_PP-OCRv4_rec", "x"): (1, 48, 320),
    ("ch_ppocr_mobile_v2.0_cls", "x"): (1, 48, 192),
}


def main() -> None:
    """Print a line a model and thread count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("libraries", nargs=2, type=Path, help="the library to compare with, and the other")
    parser.add_argument("models", nargs="+", type=Path, help="a model: .onnx, or .ort, loaded by both")
    parser.add_argument("--bursts", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a burst")
    options = parser.parse_args()
    print(f"{'model':40} threads  {options.libraries[0].parent.name:>12} {'other':>12}  ratio  difference")
    for model in options.models:
        for threads in (1, 0):
            runs, outputs = [], []
            for library in options.libraries:
                session = _session(library.absolute(), model, threads)
                feed = _feed(session, model.name)
                outputs.append(session.run(None, feed))
                runs.append(_runner(session, feed))
            first, other = _compare(runs, time.process_time if threads == 1 else time.perf_counter, options)
            print(
                f"{model.name:40} {threads or 'all':>7}  {first * 1e3:9.3f} ms {other * 1e3:9.3f} ms  "
                f"{other / first:5.3f}  {_difference(*outputs)}",
                flush=True,
            )


def _session(library: Path, model: Path, threads: int) -> ortpack.InferenceSession:
    settings = ortpack.SessionOptions()
    settings.intra_op_num_threads = threads
    return ortpack.InferenceSession(str(model), settings, runtime=library)


def _runner(session: ortpack.InferenceSession, feed: Mapping[str, np.ndarray]) -> Callable[[], object]:
    return lambda: session.run(None, feed)


def _feed(session: ortpack.InferenceSession, model: str) -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    feed = {}
    for argument in session.get_inputs():
        free = iter(next((v for (m, i), v in _FREE.items() if model.startswith(m) and i == argument.name), ()))
        shape = [size if isinstance(size, int) else next(free, 1) for size in argument.shape]
        kind = argument.type.removeprefix("tensor(").removesuffix(")")
        if kind == "float":
            feed[argument.name] = random.random(shape, dtype=np.float32)
        else:
            feed[argument.name] = np.full(shape, 16000, dtype={"int64": np.int64, "int32": np.int32}[kind])
    return feed


def _compare(
    runs: Sequence[Callable[[], object]], clock: Callable[[], float], options: argparse.Namespace
) -> tuple[float, ...]:
    """Seconds of a run of each: the lower quartile of the bursts' medians."""
    medians: list[list[float]] = [[] for _ in runs]
    for _ in range(options.bursts):
        for run, kept in zip(runs, medians, strict=True):
            times: list[float] = []
            end = time.perf_counter() + options.seconds
            while not times or time.perf_counter() < end:
                start = clock()
                run()
                times.append(clock() - start)
            kept.append(statistics.median(times))
    return tuple(statistics.quantiles(kept, n=4)[0] for kept in medians)


def _difference(first: list[np.ndarray], other: list[np.ndarray]) -> str:
    worst = 0.0
    for a, b in zip(first, other, strict=True):
        if a.shape != b.shape:
            return f"shapes {a.shape} and {b.shape}"
        if not np.array_equal(a, b):
            worst = max(worst, float(np.max(np.abs(a.astype(np.float64) - b.astype(np.float64)))))
    return "same bits" if worst == 0 else f"at most {worst:.1e}"


if __name__ == "__main__":
    main()
