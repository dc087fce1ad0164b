"""Runs the reduced runtime of a proof on the emulated machine of another target.

A library is opened from C by `verify/run_model.c`, which needs nothing of the target but its C library. A package with
an extension module is imported by the Python of the target's root.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ortpack_build.base import process
from ortpack_build.base.errors import FetchError, ToolError, UsageError
from ortpack_build.bundle.runtime_json import NAME, parse
from ortpack_build.machines import emulation
from ortpack_build.verify import run_from_c

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ortpack_build.base.context import Context
    from ortpack_build.catalog.model import Target

_INSTEAD = "--no-verify, which makes it without proof, as its runtime.json then says."
# NumPy's types by their number in ONNXTensorElementDataType.
_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16",
    11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128",
}  # fmt: skip
_STRINGS = 8
# Starts proof/worker.py by the root's Python. Its parent packages are made up, as empty ones: the root lacks what their
# own __init__.py import.
_START = """
import json, runpy, sys, types
for name, folder in json.loads(sys.argv.pop(1)).items():
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
runpy.run_module("ortpack_build.proof.worker", run_name="__main__")
"""


@dataclass(frozen=True, kw_only=True)
class EmulatedWorker:
    """Does on an emulated machine what `proof.worker` does here: it answers requests with the task `compare`.

    Attributes:
        below: the emulator's name, or that of the loader of the target's C library.
        program: opens a library there; None if the runtime is a package, which `python` imports.
        python: the command of the root's interpreter.
    """

    below: str
    program: run_from_c.Program | None = None
    python: Sequence[str] = ()

    def ask(self, request: Mapping[str, Any]) -> process.Reply:
        """The reply to a request.

        Raises:
            OverdueError: Python had none in time.
        """
        if self.program is None:
            return process.ask(*_start(), request=request, python=self.python)
        try:
            answer = _compared(self.program, request)
        except ToolError as error:
            answer = {"refused": str(error)}
        return process.Reply(answer=answer, code=0, last="")


def prepare(target: Target, host: str | None, context: Context, *, package: str | None) -> EmulatedWorker:
    """Set up the emulated machine of a target, for libraries or for packages.

    Args:
        target: a target whose programs this machine can't run itself.
        host: name of the target that this machine is; None if it is none.
        context: cache, reporter and environment.
        package: the Python package that the runtime is, if it is one.

    Raises:
        UsageError: the target's programs can't be run here.
        ToolError: the emulator is not on this machine, or a program can't be compiled.
        FetchError: what the machine is made of can't be had.
    """
    try:
        if package is None:
            program = run_from_c.below_emulator(target, host, context)
            return EmulatedWorker(below=program.below, program=program)
        machine = emulation.machine(target, context)
        return EmulatedWorker(below=machine.emulator.name, python=machine.python())
    except (UsageError, ToolError, FetchError) as error:
        hint = f"{error.hint}; or say {_INSTEAD}" if error.hint else f"Say {_INSTEAD}"
        raise type(error)(f"The models can't be run on {target.name}: {error}", hint=hint) from error


def _start() -> tuple[str, ...]:
    """The arguments for the root's Python that start the worker."""
    proof = Path(__file__).parent
    return "-c", _START, json.dumps({"ortpack_build": str(proof.parent), "ortpack_build.proof": str(proof)})


def _compared(program: run_from_c.Program, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run a model as the request says, and compare its outputs with the recorded ones: the worker's answer."""
    from ortpack_build.proof import recorded_runs  # noqa: PLC0415 - NumPy comes with the loader, which is optional

    folder, largest = Path(request["folder"]), 0.0
    library = Path(request["runtime"])
    if library.is_dir():
        library /= str(parse((library / NAME).read_bytes()).library)
    for level in request["levels"]:
        numbers = range(request["runs"] if level == run_from_c.ALL else 1)
        runs = [
            {name: _tensor(value) for name, value in recorded_runs.feeds(folder, number).items()} for number in numbers
        ]
        with tempfile.TemporaryDirectory(prefix="ortpack-proof-") as scratch:
            outcome = program.run(
                library,
                Path(request["model"]),
                runs,
                scratch=Path(scratch),
                level=level,
                timeout=process.WORKER_TIMEOUT,
            )
        for number, outputs in zip(numbers, outcome.runs, strict=True):
            got = {name: _array(name, value) for name, value in outputs.items()}
            amount, problem = recorded_runs.compare(folder, number, level, got)
            if problem:
                return {"differs": problem}
            largest = max(largest, amount)
    return {"largest": largest}


def _tensor(value: NDArray[Any]) -> run_from_c.Tensor:
    import numpy as np  # noqa: PLC0415 - comes with the loader, which is optional

    if value.dtype == object:
        data = b"".join(str(text).encode() + b"\0" for text in value.ravel())
    else:
        data = np.ascontiguousarray(value).tobytes()
    return run_from_c.Tensor(shape=value.shape, data=data)


def _array(name: str, value: run_from_c.Tensor) -> NDArray[Any]:
    import numpy as np  # noqa: PLC0415 - comes with the loader, which is optional

    if value.type == _STRINGS:
        texts = value.data.decode(errors="replace").split("\0")[:-1]
        return np.array(texts, str).reshape(value.shape)
    if value.type not in _DTYPES:
        raise ToolError(f"the output {name} is of type {value.type}, which NumPy lacks")
    return np.frombuffer(value.data, _DTYPES[value.type]).reshape(value.shape)
