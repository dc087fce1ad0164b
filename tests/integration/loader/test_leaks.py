"""Nothing is leaked: references of Python, and memory of ONNX Runtime."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import ortpack
from support import graphs
from support.graphs import f32

if TYPE_CHECKING:
    from collections.abc import Callable

    Opener = Callable[..., ortpack.InferenceSession]


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def growth(call: Callable[[], object], *, rounds: int) -> int:
    """Bytes that the process grows by in `rounds` calls, after as many that warm it up."""
    for _ in range(rounds):
        call()
    gc.collect()
    before = resident()
    for _ in range(rounds):
        call()
    gc.collect()
    return resident() - before


def test_references_of_a_run(session: Opener) -> None:
    opened = session(graphs.add())
    a, b = np.ones((1, 2), np.float32), np.ones((1, 2), np.float64)[:, ::-1]
    feeds = {"a": a, "b": a}
    wrong = {"a": a, "b": b}
    options, names = ortpack.RunOptions(), ["y"]
    watched: list[Any] = [a, b, feeds, wrong, options, names, opened, None]

    def count() -> list[int]:
        return [sys.getrefcount(item) for item in watched[:-1]]

    before = count()
    for _ in range(100):
        opened.run(names, feeds, options)
        opened.run(None, feeds)
        opened.run_with_ort_values(names, feeds)
        for bad in (wrong, {"a": a}, {"a": a, "q": b}, {"a": a, "b": np.ones((1, 3), np.float32)}):
            with pytest.raises(ortpack.errors.InvalidArgument):
                opened.run(names, bad)
    del bad
    assert count() == before


def test_references_of_strings_and_dtypes(session: Opener) -> None:
    opened = session(graphs.identity(TensorProto.STRING))
    text = "a text that nothing else refers to"
    value = np.array([text] * 3, dtype=object)
    descr = value.dtype
    before = sys.getrefcount(text), sys.getrefcount(descr)
    for _ in range(100):
        opened.run(None, {"x": value})
    assert (sys.getrefcount(text), sys.getrefcount(descr)) == before
    floats = session(graphs.identity())
    plain, swapped = f32(1), np.zeros(1, ">f4")
    before = sys.getrefcount(plain.dtype), sys.getrefcount(swapped.dtype)
    for _ in range(100):
        floats.run(None, {"x": plain})
        floats.run(None, {"x": swapped})
    assert (sys.getrefcount(plain.dtype), sys.getrefcount(swapped.dtype)) == before


MEGABYTE = np.zeros(1 << 18, np.float32)


def test_memory_of_outputs(session: Opener) -> None:
    opened = session(graphs.identity())
    assert growth(lambda: opened.run(None, {"x": MEGABYTE}), rounds=100) < 20 << 20


def test_memory_of_runs_that_fail(session: Opener) -> None:
    opened = session(graphs.identity(shape=("N", 2)))

    def fail() -> None:
        with pytest.raises(ortpack.errors.InvalidArgument):
            opened.run(None, {"x": MEGABYTE})
        with pytest.raises(ortpack.errors.InvalidArgument):
            opened.run(None, {"x": MEGABYTE.astype(">f8")})

    assert growth(fail, rounds=50) < 20 << 20


def test_memory_of_sequences_and_values(session: Opener) -> None:
    kind = helper.make_sequence_type_proto(graphs.tensor_type())
    model = graphs.model([graphs.node("Identity", ["x"], ["y"])], [graphs.typed("x", kind)], [graphs.typed("y", kind)])
    opened = session(model)

    def run() -> None:
        opened.run(None, {"x": [MEGABYTE, MEGABYTE]})
        (value,) = opened.run_with_ort_values(None, {"x": [MEGABYTE]})
        opened.run(None, {"x": value})
        ortpack.OrtValue.ortvalue_from_shape_and_type(MEGABYTE.shape, np.float32).numpy()[:] = 1

    assert growth(run, rounds=50) < 20 << 20


def test_memory_of_sessions(session: Opener) -> None:
    model = graphs.identity()

    def work() -> None:
        opened = session(model)
        binding = opened.io_binding()
        binding.bind_cpu_input("x", MEGABYTE)
        binding.bind_output("y")
        opened.run_with_iobinding(binding)
        with pytest.raises(ortpack.errors.OrtError):
            session(model[:-5])

    assert growth(work, rounds=60) < 20 << 20
