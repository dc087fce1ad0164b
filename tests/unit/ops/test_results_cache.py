"""Results about models are kept by the hash of all that goes into them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from ortpack_build.base.cache import Cache
from ortpack_build.base.errors import ModelError
from ortpack_build.ops import vocabulary
from ortpack_build.ops.closure import Goal
from ortpack_build.ops.full_runtime import FullRuntime
from ortpack_build.ops.opset import Need, Operator, OpSet, Types
from ortpack_build.ops.results_cache import Found, ModelResults

FULL = FullRuntime(ort="1.21.0", library=Path("libonnxruntime.so"), arch="x86_64", key="a")
NEED = Need("ai.onnx", 13, "Abs")
TYPES = {Operator("ai.onnx", "Abs"): Types.of({0: ["float"]}, custom=[("float", "int64_t")])}
FOUND = Found(ops=OpSet.of([NEED], TYPES), nodes=((NEED, "n1"),))


class Maker:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def operators(self) -> Found:
        self.calls += 1
        return FOUND

    def file(self, into: Path) -> None:
        self.calls += 1
        into.write_bytes(b"converted")


@pytest.fixture
def results(tmp_path: Path) -> ModelResults:
    goal = Goal(arch="x86_64", vocabulary=vocabulary.shipped(any_custom=False))
    return ModelResults(cache=Cache(root=tmp_path / "cache"), goal=goal, full=FULL)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"a model")
    return path


def test_the_second_time_nothing_is_made(results: ModelResults, model: Path, tmp_path: Path) -> None:
    maker, into = Maker(), tmp_path / "m.ort"
    assert [results.operators(model, "onnx", maker.operators) for _ in range(2)] == [FOUND, FOUND]
    for _ in range(2):
        results.converted(model, into, maker.file)
        assert into.read_bytes() == b"converted"
        into.unlink()
    assert maker.calls == 2


def test_whatever_counts_makes_another_key(results: ModelResults, model: Path, tmp_path: Path) -> None:
    maker, library = Maker(), tmp_path / "ops.so"
    library.write_bytes(b"1")
    arm, custom = replace(results.goal, arch="aarch64"), replace(results.goal, custom_ops=(library,))
    others = (replace(results, goal=arm), replace(results, full=replace(FULL, key="b")), replace(results, full=None))
    for one in (results, *others, replace(results, goal=custom)):
        one.operators(model, "onnx", maker.operators)
    library.write_bytes(b"2")
    replace(results, goal=custom).operators(model, "onnx", maker.operators)
    results.operators(model, "ort", maker.operators)
    model.write_bytes(b"another model")
    results.operators(model, "onnx", maker.operators)
    assert maker.calls == 8


def test_a_model_with_tensors_in_other_files_is_not_kept(results: ModelResults, model: Path) -> None:
    maker = Maker()
    model.write_bytes(b"... \x0a\x08location\x12\x04data ...")
    assert [results.operators(model, "onnx", maker.operators) for _ in range(2)] == [FOUND, FOUND]
    assert maker.calls == 2


def test_damaged_entries_are_made_anew(results: ModelResults, model: Path, tmp_path: Path) -> None:
    maker, into = Maker(), tmp_path / "m.ort"
    results.operators(model, "onnx", maker.operators)
    results.converted(model, into, maker.file)
    for path in (tmp_path / "cache").rglob("*"):
        if path.name in ("operators.json", "model.ort"):
            path.write_bytes(b"{")
    assert results.operators(model, "onnx", maker.operators) == FOUND
    results.converted(model, into, maker.file)
    assert (into.read_bytes(), maker.calls) == (b"converted", 4)


_THREADS = """
import importlib, sys, threading
from ortpack_build.ops import opset, results_cache

sys.setswitchinterval(1e-7)
for _ in range(40):
    importlib.reload(opset), importlib.reload(results_cache)
    gate = threading.Barrier(8)

    def read():
        gate.wait()
        results_cache.parse(sys.argv[1].encode())

    threads = [threading.Thread(target=read) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
"""


def test_threads_that_read_at_once() -> None:
    subprocess.run([sys.executable, "-c", _THREADS, msgspec.json.encode(FOUND).decode()], check=True)


def test_a_failure_is_not_kept(results: ModelResults, model: Path, tmp_path: Path) -> None:
    def refuse() -> Found:
        raise ModelError("no")

    with pytest.raises(ModelError):
        results.operators(model, "onnx", refuse)
    assert results.operators(model, "onnx", Maker().operators) == FOUND
