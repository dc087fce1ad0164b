"""The last check: install the wheel beside the loader in a new environment, and run a model through it there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from ortpack_build.base.errors import UsageError
from ortpack_build.verify import Row, Verdict
from ortpack_build.verify.tiny_model import SUM, A, B, tiny_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ortpack_build.machines.emulation import Machine

_INSTALL_TIMEOUT = 900  # seconds
_RUN_TIMEOUT = 600  # seconds

# Runs in the new environment, which has the loader (or a package with its own), the runtime and NumPy, and not this
# package.
_SCRIPT = """
import importlib, json, sys
import numpy

TYPES = {"float": "float32", "double": "float64", "float16": "float16", "bool": "bool", "string": "object",
         **{f"{u}int{n}": f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)}}

def feed(item):
    kind = item.type.removeprefix("tensor(").removesuffix(")")
    if kind not in TYPES:
        raise SystemExit(f"input {item.name} is of type {item.type}, which no feed can be made up for")
    shape = [size if isinstance(size, int) and size > 0 else 1 for size in item.shape]
    return numpy.full(shape, "", dtype="object") if kind == "string" else numpy.zeros(shape, TYPES[kind])

request = json.loads(sys.argv[1])
ortpack = importlib.import_module(request["package"])
session = ortpack.InferenceSession(request["model"], device=request["device"])
runtime = session.runtime
given = request["feeds"]
feeds = {name: numpy.array(value, "float32") for name, value in given.items()} if given else {
    item.name: feed(item) for item in session.get_inputs()}
outputs = session.run(None, feeds)
print("RESULT " + json.dumps({
    "name": runtime.info.name, "folder": str(runtime.info.path), "version": runtime.library.version,
    "providers": session.get_providers(), "first": numpy.ravel(outputs[0])[:8].tolist() if given else None,
    "outputs": {item.name: list(numpy.shape(value)) for item, value in zip(session.get_outputs(), outputs)}}))
"""


def loader_requirement(loader: Path | None) -> str:
    """What pip installs as the loader: a wheel, the one wheel in a folder, a source tree, or `ortpack` by name.

    Raises:
        UsageError: the path is none of these.
    """
    if loader is None:
        return "ortpack"
    if loader.is_file() or (loader / "pyproject.toml").is_file():
        return str(loader.resolve())
    found = sorted(loader.glob("ortpack-*.whl"))
    if len(found) != 1:
        raise UsageError(
            f"{loader} holds {len(found)} wheels of the loader (ortpack-*.whl); one is expected.",
            hint="--loader wants a wheel, a folder with one, or a source tree.",
        )
    return str(found[0].resolve())


def run(
    wheel: Path,
    runtime: str,
    *,
    loader: str | None,
    model: Path | None,
    scratch: Path,
    device: str | None = None,
    machine: Machine | None = None,
) -> list[Row]:
    """Install and run.

    Args:
        wheel: the runtime's wheel, for this machine or the emulated one.
        runtime: the runtime's name, which is asked for by name.
        loader: what pip installs beside it; None for a package of the runtime's name that needs no loader.
        model: an .onnx or .ort file, fed with zeros (free dimensions are 1); a made-up one if None.
        scratch: an empty folder, for the environment.
        device: to run it on; the runtime's own choice if None.
        machine: the emulated machine that does all of this; None for this one.

    Returns:
        A row for installing and, if that worked, one for running.
    """
    requirements = [*([loader] if loader else []), str(wheel.resolve())]
    try:
        python = environment(scratch / "env", requirements, machine)
    except InstallError as error:
        return [Row(check="install", verdict=Verdict.FAIL, detail=str(error))]
    beside = "with the loader" if loader else "alone"
    where = f", below {machine.emulator.name}" if machine else ""
    rows = [Row(check="install", verdict=Verdict.PASS, detail=f"{beside}, in a new environment{where}")]
    return [*rows, _run(python, runtime, "ortpack" if loader else runtime, model, scratch, device)]


class InstallError(Exception):
    """What kept an environment from being made."""


def environment(folder: Path, requirements: Sequence[str], machine: Machine | None = None) -> list[str]:
    """A new environment in `folder` with the requirements installed; the command that runs its Python.

    Raises:
        InstallError: with the line that says why.
    """
    if machine is None:
        python = [str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")), "-I"]
        pip, options = [sys.executable, "-m", "pip", "--python", python[0]], []
        venv = [sys.executable, "-m", "venv", "--without-pip"]
    else:
        python = machine.python(folder / "bin" / "python")
        pip, options = [*python, str(machine.root.pip)], ["--no-compile"]
        # The root's NumPy serves the environment: not every target has wheels of it.
        venv = [*machine.python(), "-m", "venv", "--without-pip", "--system-site-packages"]
    steps = ([*venv, str(folder)], [*pip, "install", "--no-input", "-q", *options, *requirements])
    for command in steps:
        code, output, errors = _call(command, _INSTALL_TIMEOUT, cwd=folder.parent)
        if code != 0:
            raise InstallError(_last(errors or output, code))
    return python


def _run(
    python: Sequence[str], runtime: str, package: str, model: Path | None, scratch: Path, device: str | None
) -> Row:
    def failed(detail: str) -> Row:
        return Row(check="run", verdict=Verdict.FAIL, detail=detail)

    path = model.resolve() if model else scratch / "tiny.onnx"
    if model is None:
        path.write_bytes(tiny_model())
    feeds = {} if model else {"a": A, "b": B}
    request = {"package": package, "model": str(path), "feeds": feeds, "device": device}
    script = scratch / "trial.py"
    script.write_text(_SCRIPT, encoding="utf-8")
    environ = {key: value for key, value in os.environ.items() if not key.startswith("ORTPACK_")}
    environ["ORTPACK_RUNTIME"] = runtime
    code, output, errors = _call(
        [*python, str(script), json.dumps(request)], _RUN_TIMEOUT, cwd=scratch, environ=environ
    )
    found = next((line for line in output.splitlines() if line.startswith("RESULT ")), None)
    if code != 0 or found is None:
        return failed(_last(errors or output, code))
    result: dict[str, Any] = json.loads(found.removeprefix("RESULT "))
    if model is None and tuple(result["first"]) != SUM:
        return failed(f"{A} + {B} gave {result['first']}")
    shapes = ", ".join(f"{name} {shape}" for name, shape in result["outputs"].items())
    return Row(
        check="run",
        verdict=Verdict.PASS,
        detail=f"runtime {result['name']}, ORT {result['version']}, {', '.join(result['providers'])}: "
        f"{path.name} gave {shapes}",
    )


def _call(
    command: Sequence[str], timeout: float, *, cwd: Path, environ: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            cwd=cwd,
            env=environ,
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"no end after {timeout:.0f} s"
    except OSError as error:
        return 1, "", str(error)
    return done.returncode, done.stdout, done.stderr


def _last(text: str, code: int) -> str:
    """The line that says why a program failed."""
    if code < 0:
        return f"killed by signal {-code}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("ERROR:")), lines[-1] if lines else f"exit code {code}")
