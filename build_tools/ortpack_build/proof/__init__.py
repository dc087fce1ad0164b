"""Whether a reduced runtime runs its models as the full runtime of the release does.

Each runs in a process of its own: the full one on this machine, the reduced one on this machine too, or on the emulated
machine of its target (`emulated`). Inputs and outputs go from one to the other through files (`recorded_runs`).
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
from ortpack_build.verify.run_from_c import ALL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ortpack_build.base.report import Reporter
    from ortpack_build.ops.full_runtime import FullRuntime
    from ortpack_build.proof.emulated import EmulatedWorker

_RUNS = 5
_SECONDS = 60.0  # for finding inputs of a model; when they are over, it is proven with those that were found
_LEVELS = (0, 1, 2, ALL)  # of optimization
_GIVE = "Give some with --inputs FILE.npz, or look yourself and say --no-verify."


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model, as the full and the reduced runtime load it.

    Attributes:
        original: the file that the user named; the full runtime loads it.
        converted: the file that the reduced runtime loads; the same one if it needs no conversion.
    """

    original: Path
    converted: Path


@dataclass(frozen=True, kw_only=True)
class ReducedRuntime:
    """The runtime that is to be proven.

    Attributes:
        path: its folder, or a library of ONNX Runtime.
        package: dotted name of the Python package that it is, if it is one.
        worker: runs it on an emulated machine; None if this machine runs it.
    """

    path: Path
    package: str | None = None
    worker: EmulatedWorker | None = None

    @property
    def below(self) -> str | None:
        """The emulator that it runs below."""
        return self.worker.below if self.worker else None

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of the process that runs it."""
        asked = {**request, "runtime": str(self.path), "package": self.package}
        return _answer(asked, self.worker)


def prove(
    runtime: ReducedRuntime,
    cases: Sequence[Case],
    full: FullRuntime,
    report: Reporter,
    *,
    inputs: Sequence[Path] = (),
    custom_ops: Sequence[Path] = (),
    seed: int = 0,
) -> Verification:
    """Run each model on both runtimes and compare the outputs.

    Args:
        runtime: the reduced runtime.
        cases: the models.
        full: the full runtime of the same release, for this machine.
        report: told what is going on.
        inputs: files of arrays by name. Each serves every model all of whose inputs it has; inputs are made up for a
            model that none serves.
        custom_ops: libraries with operators of the user's.
        seed: the same one makes up the same inputs.

    Raises:
        VerificationError: the reduced runtime refuses a model, dies of it or gives another result.
        ModelError: the full runtime refuses a model, or no inputs could be found that it takes.
        UsageError: a file of inputs can't be read or serves none of the models.
    """
    names = {path: _names(path) for path in inputs}
    proof = _Proof(runtime=runtime, full=full, names=names, custom_ops=custom_ops, seed=seed)
    unused = list(inputs)
    proven = []
    where = f" below {runtime.below}" if runtime.below else ""
    for case in cases:
        with (
            report.step(f"Proving {case.original.name}{where}") as step,
            tempfile.TemporaryDirectory(prefix="ortpack-proof-") as folder,
        ):
            files = proof.files_for(case, Path(folder))
            found = proof.of(case, Path(folder), files)
            step.detail(f"{found.runs} runs, largest difference {found.largest_difference:.2g}")
        proven.append(found)
        unused = [path for path in unused if path not in files]
    if unused:
        raise UsageError(f"{unused[0]} has not all inputs of any model; it has {', '.join(sorted(names[unused[0]]))}.")
    return Verification(
        verified=True,
        against=f"{full.library.name}, the official library",
        below=runtime.below or UNSET,
        models=tuple(proven),
    )


@dataclass(frozen=True, kw_only=True)
class _Proof:
    """What the proofs of all models have in common.

    Attributes:
        runtime: the reduced runtime.
        full: the full one.
        names: file of inputs → the names of its arrays.
        custom_ops: libraries with operators of the user's.
        seed: of inputs that are made up.
    """

    runtime: ReducedRuntime
    full: FullRuntime
    names: Mapping[Path, frozenset[str]]
    custom_ops: Sequence[Path]
    seed: int

    def files_for(self, case: Case, folder: Path) -> list[Path]:
        """The files that have all inputs of a model.

        Raises:
            ModelError: the full runtime refuses the model.
        """
        if not self.names:
            return []
        answer = self._ask_full({"task": "inputs"}, case, folder)
        wanted = frozenset(answer["inputs"])
        return [path for path, names in self.names.items() if wanted <= names]

    def of(self, case: Case, folder: Path, files: Sequence[Path]) -> Proven:
        """The proof of a model.

        Args:
            case: the model.
            folder: an empty folder for its inputs and outputs.
            files: inputs for it; if there are none, some are made up.

        Raises:
            VerificationError: the reduced runtime refuses the model, dies of it or gives another result.
            ModelError: the full runtime refuses the model, or no inputs could be found that it takes.
        """
        shapes = self._recorded(case, folder, files)
        of_onnx = models.format_of(case.original) == "onnx"
        request = self._request(folder) | {
            "task": "compare",
            "model": str(case.converted.absolute()),
            "levels": _LEVELS if of_onnx and case.converted == case.original else (ALL,),
            "runs": len(shapes),
        }
        answer = self.runtime.ask(request)
        if message := answer.get("refused") or answer.get("died") or answer.get("differs"):
            what = "gives another result on" if "differs" in answer else "does not run"
            raise VerificationError(f"The new runtime {what} {case.original}: {message}", hint="No wheel was written.")
        distinct = {json.dumps(shape, sort_keys=True): shape for shape in shapes}
        return Proven(
            name=case.original.name,
            runs=len(shapes),
            shapes=tuple({name: tuple(size) for name, size in shape.items()} for shape in distinct.values()),
            largest_difference=float(answer["largest"]),
        )

    def _recorded(self, case: Case, folder: Path, files: Sequence[Path]) -> list[dict[str, list[int]]]:
        """Let the full runtime run the model and record inputs and outputs in the folder; the shapes of each run."""
        request = {
            "task": "record",
            "inputs": [str(path.absolute()) for path in files],
            "bounds": index_bounds(case.original) if models.format_of(case.original) == "onnx" else {},
            "seed": self.seed,
            "count": _RUNS,
            "seconds": _SECONDS,
        }
        answer = self._ask_full(request, case, folder, f" (with {files[0]})" if files else "")
        if message := answer.get("unfed"):
            raise ModelError(f"{case.original}: no inputs could be made up that it takes: {message}", hint=_GIVE)
        shapes: list[dict[str, list[int]]] = answer["shapes"]
        return shapes

    def _ask_full(self, request: dict[str, Any], case: Case, folder: Path, where: str = "") -> dict[str, Any]:
        """What the process with the full runtime answers about the original model."""
        runtime = {"runtime": str(self.full.library), "model": str(case.original.absolute())}
        answer = _answer({**self._request(folder), **request, **runtime})
        if message := answer.get("refused") or answer.get("died"):
            raise ModelError(f"{case.original}: ONNX Runtime {self.full.ort} refuses it{where}: {message}")
        return answer

    def _request(self, folder: Path) -> dict[str, Any]:
        return {"folder": str(folder), "custom_ops": [str(path.absolute()) for path in self.custom_ops]}


def _names(path: Path) -> frozenset[str]:
    """The names of the arrays in a file, but for those that hold Python objects."""
    import numpy as np  # noqa: PLC0415 - comes with the loader, which is optional

    try:
        with np.load(path, allow_pickle=False) as arrays:
            return frozenset(name for name in arrays.files if arrays[name].dtype != object)
    except (OSError, ValueError, EOFError, AttributeError) as error:
        raise UsageError(f"{path} is no file of arrays (.npz) that can be read: {error}.") from error


def _answer(request: Mapping[str, Any], worker: EmulatedWorker | None = None) -> dict[str, Any]:
    """What a worker process answers, here or on an emulated machine; `died` says why if it gave no answer."""
    try:
        reply = worker.ask(request) if worker else process.ask("-m", "ortpack_build.proof.worker", request=request)
    except process.OverdueError:
        return {"died": f"no result after {process.WORKER_TIMEOUT} s"}
    if reply.answer is None or reply.code != 0:
        return {"died": f"killed by signal {-reply.code}" if reply.code < 0 else reply.last}
    return reply.answer
