"""Inference speed of libraries of ONNX Runtime, side by side: `python benchmarks/kit_speed.py OFFICIAL OTHER MODEL...`.

Each library runs a model in a process of its own, through the same binding, turn by turn: a burst of runs of the one, a
burst of the other, so that both see the same noise and neither the other's threads. (In bursts much shorter than half a
second threads still look for their cores.) With one thread the processor's time is measured, which other processes
disturb least, with all of them the time on the wall. Where a process's memory comes to lie moves its runs by up to 3 %,
so there are several processes of each, one pair after the other. The figure is the median of the pairs' ratios, each of
the lower quartiles of its bursts.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import ortpack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

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
    parser.add_argument("--starts", type=int, default=5, help="pairs of processes")
    parser.add_argument("--bursts", type=int, default=6, help="of each process")
    parser.add_argument("--seconds", type=float, default=0.5, help="of a burst")
    options = parser.parse_args()
    print(
        f"{'model':40} threads  {options.libraries[0].parent.name:>12} {'other':>12}  ratio  (from, to)      difference"
    )
    for model in options.models:
        for threads in (1, 0):
            pairs, difference = [], ""
            for _ in range(options.starts):
                first, other = (
                    _Runner(library.absolute(), model, threads, options.seconds) for library in options.libraries
                )
                with first, other:
                    pairs.append(_compare((first, other), options.bursts))
                    difference = _difference(first.outputs, other.outputs)
            seconds = [statistics.median(times) for times in zip(*pairs, strict=True)]
            ratios = sorted(theirs / ours for ours, theirs in pairs)
            print(
                f"{model.name:40} {threads or 'all':>7}  {seconds[0] * 1e3:9.3f} ms {seconds[1] * 1e3:9.3f} ms  "
                f"{statistics.median(ratios):5.3f}  ({ratios[0]:.3f}, {ratios[-1]:.3f})  {difference}",
                flush=True,
            )


class _Runner:
    """A process that has loaded a model, and runs it in bursts when it is told to."""

    def __init__(self, library: Path, model: Path, threads: int, seconds: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, library, model, threads, seconds), daemon=True)
        self._process.start()
        theirs.close()
        self.outputs: list[np.ndarray] = self._connection.recv()

    def burst(self) -> float:
        """Seconds of a run: the median of a burst."""
        self._connection.send(True)
        seconds: float = self._connection.recv()
        return seconds

    def __enter__(self) -> _Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.send(False)
        self._process.join()


def _serve(connection: Connection, library: Path, model: Path, threads: int, seconds: float) -> None:
    session = _session(library, model, threads)
    feed = _feed(session, model.name)
    clock = time.process_time if threads == 1 else time.perf_counter
    connection.send(session.run(None, feed))
    while connection.recv():
        times: list[float] = []
        end = time.perf_counter() + seconds
        while not times or time.perf_counter() < end:
            start = clock()
            session.run(None, feed)
            times.append(clock() - start)
        connection.send(statistics.median(times))


def _session(library: Path, model: Path, threads: int) -> ortpack.InferenceSession:
    settings = ortpack.SessionOptions()
    settings.intra_op_num_threads = threads
    return ortpack.InferenceSession(str(model), settings, runtime=library)


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


def _compare(runners: Sequence[_Runner], bursts: int) -> tuple[float, ...]:
    """Seconds of a run of each: the lower quartile of the bursts."""
    kept = [[runner.burst() for runner in runners] for _ in range(bursts)]
    return tuple(statistics.quantiles(times, n=4)[0] for times in zip(*kept, strict=True))


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
