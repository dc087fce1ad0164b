"""Whether a reduced runtime runs its models as the full runtime of the release does: each in a process of its own.

The full one runs on this machine, the reduced one too, or on the emulated machine of its target (`abroad`).
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from ortpack_build.base import process
from ortpack_build.base.errors import ModelError, UsageError, VerificationError
from ortpack_build.bundle.runtime_json import Proven, Verification
from ortpack_build.ops import models
from ortpack_build.proof.bounds import index_bounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ortpack_build.base.report import Reporter
    from ortpack_build.ops.full_runtime import FullRuntime
    from ortpack_build.proof.emulated import Abroad

_RUNS = 5
_SECONDS = 60.0  # for finding inputs; one that was found is enough then
_ALL = 99
_LEVELS = (0, 1, 2, _ALL)  # of optimization
_GIVE = "Give some with --inputs FILE.npz, or look yourself and say --no-verify."


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model in the form that each runtime takes.

    Attributes:
        given: what the user named, for the full runtime.
        taken: for the reduced one: the same, or what it was converted to.
    """

    given: Path
    taken: Path


def prove(
    runtime: Path,
    cases: Sequence[Case],
    full: FullRuntime,
    report: Reporter,
    *,
    inputs: Sequence[Path] = (),
    custom_ops: Sequence[Path] = (),
    package: str | None = None,
    seed: int = 0,
    abroad: Abroad | None = None,
) -> Verification:
    """Run each model on both and compare.

    Args:
        runtime: the reduced runtime's folder.
        cases: models.
        full: of the same release, for this machine.
        report: told what is going on.
        inputs: files of arrays by name, each for every model all of whose inputs it has; where there is one, nothing
            is made up.
        custom_ops: libraries that bring operators of the user's.
        package: dotted name of the Python package that the reduced runtime is, if it is one.
        seed: of what is made up.
        abroad: runs the reduced runtime, if this machine can't.

    Raises:
        VerificationError: the reduced runtime refuses a model, dies of it or gives another result.
        ModelError: the full runtime refuses a model, or no inputs could be found that it takes.
        UsageError: a file of inputs can't be read or is for none of the models.
    """
    named = {path: _names(path) for path in inputs}
    used: set[Path] = set()
    proven = []
    where = f" below {abroad.below}" if abroad else ""
    for case in cases:
        with (
            report.step(f"Proving {case.given.name}{where}") as step,
            tempfile.TemporaryDirectory(prefix="ortpack-proof-") as folder,
        ):
            found = _prove(runtime, case, full, Path(folder), named, custom_ops, package, seed, used, abroad)
            step.detail(f"{found.runs} runs, largest difference {found.largest_difference:.2g}")
        proven.append(found)
    if unused := [path for path in inputs if path not in used]:
        raise UsageError(f"{unused[0]} has not all inputs of any model; it has {', '.join(sorted(named[unused[0]]))}.")
    return Verification(
        verified=True,
        against=f"{full.library.name}, the official library",
        below=abroad.below if abroad else UNSET,
        models=tuple(proven),
    )


def _prove(
    runtime: Path,
    case: Case,
    full: FullRuntime,
    folder: Path,
    named: dict[Path, frozenset[str]],
    custom_ops: Sequence[Path],
    package: str | None,
    seed: int,
    used: set[Path],
    abroad: Abroad | None,
) -> Proven:
    common: dict[str, Any] = {
        "folder": str(folder),
        "custom_ops": [str(path.absolute()) for path in custom_ops],
    }
    of_onnx = models.format_of(case.given) == "onnx"
    wanted = _inputs(full, case, common) if named else frozenset[str]()
    given = [path for path, names in named.items() if wanted <= names]
    used.update(given)
    request = common | {
        "task": "reference",
        "runtime": str(full.library),
        "model": str(case.given.absolute()),
        "given": [str(path.absolute()) for path in given],
        "bounds": index_bounds(case.given) if of_onnx else {},
        "seed": seed,
        "count": _RUNS,
        "seconds": _SECONDS,
    }
    answer = _run(request)
    if message := answer.get("refused") or answer.get("died"):
        where = f" (with {given[0]})" if given else ""
        raise ModelError(f"{case.given}: ONNX Runtime {full.ort} refuses it{where}: {message}")
    if message := answer.get("unfed"):
        raise ModelError(f"{case.given}: no inputs could be made up that it takes: {message}", hint=_GIVE)
    shapes = answer["shapes"]
    request = common | {
        "task": "subject",
        "runtime": str(runtime),
        "package": package,
        "model": str(case.taken.absolute()),
        "levels": _LEVELS if of_onnx and case.taken == case.given else (_ALL,),
        "runs": len(shapes),
    }
    answer = _run(request, abroad)
    if message := answer.get("refused") or answer.get("died") or answer.get("differs"):
        what = "gives another result on" if "differs" in answer else "does not run"
        raise VerificationError(f"The new runtime {what} {case.given}: {message}", hint="No wheel was written.")
    distinct = {json.dumps(shape, sort_keys=True): shape for shape in shapes}
    return Proven(
        name=case.given.name,
        runs=len(shapes),
        shapes=tuple({name: tuple(size) for name, size in shape.items()} for shape in distinct.values()),
        largest_difference=float(answer["largest"]),
    )


def _inputs(full: FullRuntime, case: Case, common: dict[str, Any]) -> frozenset[str]:
    request = common | {"task": "inputs", "runtime": str(full.library), "model": str(case.given.absolute())}
    answer = _run(request)
    if message := answer.get("refused") or answer.get("died"):
        raise ModelError(f"{case.given}: ONNX Runtime {full.ort} refuses it: {message}")
    return frozenset(answer["inputs"])


def _names(path: Path) -> frozenset[str]:
    import numpy as np  # noqa: PLC0415 - comes with the loader, which is optional

    try:
        with np.load(path, allow_pickle=False) as arrays:
            return frozenset(name for name in arrays.files if arrays[name].dtype != object)
    except (OSError, ValueError, EOFError, AttributeError) as error:
        raise UsageError(f"{path} is no file of arrays (.npz) that can be read: {error}.") from error


def _run(request: dict[str, Any], abroad: Abroad | None = None) -> dict[str, Any]:
    """The answer of a process of its own; `died` if it gave none."""
    try:
        reply = abroad.ask(request) if abroad else process.ask("-m", "ortpack_build.proof.worker", request=request)
    except process.OverdueError:
        return {"died": f"no result after {process.WORKER_TIMEOUT} s"}
    if reply.answer is None or reply.code != 0:
        return {"died": f"killed by signal {-reply.code}" if reply.code < 0 else reply.last}
    return reply.answer
