"""Runs one model on one runtime, through the `ortpack` loader; `proof` starts it as a process of its own.

The request is JSON on standard input, the answer the last line `RESULT {…}` on standard output. Its `task` is one of:
`inputs` names the inputs of the model, `record` finds values for them that it takes and records those with the outputs,
`compare` runs the model with what was recorded and compares its outputs.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ortpack_build.proof import made_up_inputs, recorded_runs
from ortpack_build.proof.compare import leaves

if TYPE_CHECKING:
    import ortpack

_ALL = 99


def main() -> int:
    request = json.load(sys.stdin)
    try:
        answer = {"inputs": _inputs, "record": _record, "compare": _compare}[request["task"]](request)
    except Exception as error:  # whatever ONNX Runtime or the loader says
        answer = {"refused": f"{error}"}
    print("RESULT " + json.dumps(answer), flush=True)
    return 0


def _session(request: dict[str, Any], level: int = _ALL) -> ortpack.InferenceSession:
    api = _api(request)
    options = api.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = api.GraphOptimizationLevel(level)
    for library in request["custom_ops"]:
        options.register_custom_ops_library(library)
    session: ortpack.InferenceSession = api.InferenceSession(
        request["model"], options, runtime=api.load_runtime(request["runtime"])
    )
    return session


def _api(request: dict[str, Any]) -> Any:
    """The loader, or the package that is one itself: that one may be all there is."""
    if request.get("package"):
        return _package(request["package"], Path(request["runtime"]))
    return importlib.import_module("ortpack")


@functools.cache
def _package(name: str, folder: Path) -> Any:
    """Import a package that carries the runtime from its folder, whatever else there is of its parents' names.

    Its parents are made up, as empty packages: `from . import x` within the package asks for the topmost one.
    """
    parts = name.split(".")
    for end in range(1, len(parts)):
        parent = ".".join(parts[:end])
        sys.modules.setdefault(parent, ModuleType(parent))
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    assert spec is not None  # noqa: S101 - the file's name says what it is
    assert spec.loader is not None  # noqa: S101 - the same
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _outputs(session: ortpack.InferenceSession, feeds: made_up_inputs.Feeds) -> dict[str, Any]:
    values = zip(session.get_outputs(), session.run(None, feeds), strict=True)
    return {name: array for item, value in values for name, array in leaves(value, item.name)}


def _inputs(request: dict[str, Any]) -> dict[str, Any]:
    return {"inputs": [item.name for item in _session(request, 0).get_inputs()]}


def _record(request: dict[str, Any]) -> dict[str, Any]:
    session = _session(request)
    folder, bounds = Path(request["folder"]), request["bounds"]
    known = session.get_inputs()
    shapes: list[dict[str, list[int]]] = []

    def record(feeds: made_up_inputs.Feeds) -> None:
        recorded_runs.record(folder, len(shapes), feeds, _outputs(session, feeds))
        shapes.append({name: list(np.shape(value)) for name, value in feeds.items()})

    for file in request["inputs"]:
        with np.load(file, allow_pickle=False) as arrays:
            record({item.name: recorded_runs.for_session(arrays[item.name]) for item in known})
    if request["inputs"]:
        return {"shapes": shapes}
    inputs = [
        made_up_inputs.Input(name=item.name, type=item.type, shape=tuple(item.shape), bound=bounds.get(item.name))
        for item in known
    ]
    reason, ends = "", time.monotonic() + request["seconds"]
    try:
        for feeds in made_up_inputs.candidates(inputs, request["seed"]):
            try:
                record(feeds)
            except _api(request).errors.OrtpackError as error:
                reason = f"{error}"
            if len(shapes) == request["count"] or time.monotonic() > ends:
                break
    except made_up_inputs.CannotFeedError as error:
        return {"unfed": f"{error}"}
    return {"shapes": shapes} if shapes else {"unfed": reason or "all inputs that were tried are too large"}


def _compare(request: dict[str, Any]) -> dict[str, Any]:
    folder, largest = Path(request["folder"]), 0.0
    for level in request["levels"]:
        session = _session(request, level)
        for number in range(request["runs"] if level == _ALL else 1):
            amount, problem = recorded_runs.compare(
                folder, number, level, _outputs(session, recorded_runs.feeds(folder, number))
            )
            if problem:
                return {"differs": problem}
            largest = max(largest, amount)
    return {"largest": largest}


if __name__ == "__main__":
    sys.exit(main())
