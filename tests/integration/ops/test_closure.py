"""The closed set holds whatever the official package runs, at any level, with any of the options that matter."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ortpack_build.base.errors import ModelError
from ortpack_build.ops import Need, Operator, OpSet, closure, models, needs, usage, vocabulary
from ortpack_build.ops.full_runtime import FullRuntime, Job
from support import tricky
from support.contexts import context
from support.models import MODELS, feeds, model
from support.official import NEWEST

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Profiles a run with the official package and prints the operators that were run.
PROFILE = """
import json, sys, numpy, onnxruntime
request = json.loads(sys.argv[1])
seen = set()
for level, config in request["runs"]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel(level)
    options.enable_profiling = True
    options.profile_file_prefix = request["prefix"]
    for key, value in config.items():
        options.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(request["model"], options, providers=["CPUExecutionProvider"])
    session.run(None, dict(numpy.load(request["feeds"])))
    with open(session.end_profiling()) as file:
        seen |= {event["args"]["op_name"] for event in json.load(file) if "op_name" in event.get("args", {})}
print(json.dumps(sorted(seen)))
"""
GELU = "optimization.enable_gelu_approximation"
INT8 = "session.qdqisint8allowed"
PRECISE = "session.x64quantprecision"
RUNS: list[tuple[int, dict[str, str]]] = [
    *((level, {}) for level in (0, 1, 2, 3, 99)),
    *((99, {key: value}) for key, value in ((GELU, "1"), (INT8, "0"), (INT8, "1"), (PRECISE, "1"))),
    (99, {"optimization.disable_specified_optimizers": "NchwcTransformer"}),
]
GOAL = closure.Goal(arch="x86_64", vocabulary=vocabulary.shipped())


def executed(path: Path, inputs: dict[str, Any], scratch: Path) -> set[str]:
    import numpy

    numpy.savez(scratch / "feeds.npz", **inputs)
    request = {
        "model": str(path),
        "feeds": str(scratch / "feeds.npz"),
        "prefix": str(scratch / "profile"),
        "runs": RUNS,
    }
    done = subprocess.run(
        [sys.executable, "-c", PROFILE, json.dumps(request)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def closed(path: Path, full: FullRuntime, scratch: Path, goal: closure.Goal = GOAL) -> OpSet:
    folder = scratch / f"closure-{goal.arch}"
    folder.mkdir()
    return closure.closed(models.read(path), full, goal, folder)


def names(ops: OpSet) -> set[str]:
    return {need.name for need in ops.needs}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_real_models(name: str, full: FullRuntime, tmp_path: Path) -> None:
    ops = closed(model(name), full, tmp_path)
    if full.ort == NEWEST:  # the release of the package
        assert executed(model(name), feeds(name), tmp_path) <= names(ops)
    as_it_is = {need.operator for need in models.read(model(name)).ops.needs}
    assert as_it_is <= ops.operators


@pytest.mark.parametrize("name", sorted(tricky.MODELS))
def test_models_that_optimizers_change_a_lot(name: str, full: FullRuntime, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    inputs = tricky.MODELS[name](path)
    ops = closed(path, full, tmp_path)
    if full.ort == NEWEST:
        ran = executed(path, inputs, tmp_path)
        assert ran <= names(ops)
        assert ran - names(models.read(path).ops), "the model tests nothing: it runs as it is written"


def kernels() -> set[tuple[str, str, int, int]]:
    """Domain, operator, first and last opset of every CPU kernel of the official package."""
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    found = (kernel for kernel in native.get_all_opkernel_def() if kernel.provider == "CPUExecutionProvider")
    return {(kernel.domain or "ai.onnx", kernel.op_name, *kernel.version_range) for kernel in found}


@pytest.mark.parametrize("name", [*sorted(MODELS), *sorted(tricky.MODELS)])
def test_every_need_has_a_kernel(name: str, full: FullRuntime, tmp_path: Path) -> None:
    """Neither an opset nor an operator is asked for that the full runtime could not serve itself."""
    if full.ort != NEWEST:
        pytest.skip("the package is of another release")
    path = tmp_path / "m.onnx"
    if name in tricky.MODELS:
        tricky.MODELS[name](path)
    else:
        path = model(name)
    served = kernels()
    for need in closed(path, full, tmp_path).needs:
        mine = [line for line in served if line[:2] == need.operator]
        assert any(first <= need.opset <= last for _, _, first, last in mine), need


def test_operators_without_a_kernel_are_what_they_are_made_of(full: FullRuntime, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    tricky.functions(path)
    assert "NegativeLogLikelihoodLoss" in names(models.read(path).ops)
    assert "NegativeLogLikelihoodLoss" not in names(closed(path, full, tmp_path))


def test_what_folding_needs_stays(full: FullRuntime, tmp_path: Path) -> None:
    """`Exp` is run once, when the model is loaded: no session ever shows it."""
    path = tmp_path / "m.onnx"
    tricky.folded(path)
    out = tmp_path / "all.ort"
    full.run(path, [Job(level=99, out=out)])
    assert "Exp" not in names(models.read(out).ops)
    assert "Exp" in names(closed(path, full, tmp_path))


def test_another_architecture(full: FullRuntime, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    tricky.half(path)
    arm = closure.Goal(arch="aarch64", vocabulary=vocabulary.shipped())
    ops = closed(path, full, tmp_path, arm)
    assert Need("com.microsoft", 1, "NhwcFusedConv") in ops.needs
    assert dict(ops.types_of(Operator("ai.onnx", "Conv")).inputs)[0] >= {"float", "MLFloat16"}
    assert ("com.microsoft.nchwc" in ops.domains) == (full.ort == NEWEST)
    assert Need("com.microsoft", 1, "NhwcFusedConv") not in closed(path, full, tmp_path).needs


def needed(paths: Iterable[Path], full: FullRuntime, flavour: needs.Flavour) -> OpSet:
    request = needs.OperatorQuery(models=tuple(paths), flavour=flavour, arch="x86_64")
    return needs.needed(request, lambda: full, context(request.models[0].parent / "cache"))


def test_several_models_are_the_union_of_each(full: FullRuntime) -> None:
    paths = [model("magika"), model("ppocr_cls")]
    assert needed(paths, full, "ort") == needed(paths[:1], full, "ort") | needed(paths[1:], full, "ort")


def test_the_ort_flavour_needs_what_the_converted_model_has(full: FullRuntime) -> None:
    ops = needed([model("ppocr_det")], full, "ort")
    assert "com.microsoft.nchwc" not in ops.domains  # its block size is of the machine that converts
    assert ops.operators < needed([model("ppocr_det")], full, "onnx").operators


def test_a_model_that_the_runtime_refuses(full: FullRuntime, tmp_path: Path) -> None:
    import onnx

    path = tmp_path / "m.onnx"
    tricky.half(path)
    broken = onnx.load(path)
    broken.graph.node[0].input[1] = "nothing"
    onnx.save(broken, path)
    with pytest.raises(ModelError, match=rf"m\.onnx: ONNX Runtime {full.ort} refuses it: .*nothing"):
        closed(path, full, tmp_path)


def test_a_model_that_brings_the_runtime_down(
    full: FullRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever kills the process, it is told; here it is the worker that kills itself."""
    worker = tmp_path / "worker.py"
    worker.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr("ortpack_build.ops.full_runtime._WORKER", worker)
    with pytest.raises(ModelError, match=r"died of it \(signal 11\)"):
        full.run(model("magika"), [Job(level=0, out=tmp_path / "o.ort")])


def test_types_of_the_closed_set_are_those_of_all_graphs(full: FullRuntime, tmp_path: Path) -> None:
    """What each level's graph is used with is in the set's types."""
    ops = closed(model("magika"), full, tmp_path)
    for level in (0, 99):
        out = tmp_path / f"{level}.ort"
        full.run(model("magika"), [Job(level=level, out=out)])
        seen = usage.opset(models.read(out).uses)
        assert seen | ops == ops
