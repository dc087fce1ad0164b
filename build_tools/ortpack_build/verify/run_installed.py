"""Installs a wheel beside the loader in a new environment, here or below an emulator, and runs a model there."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from msgspec import UnsetType

from ortpack_build.base import process
from ortpack_build.base.errors import ToolError, UsageError
from ortpack_build.machines import emulation
from ortpack_build.verify.row import RUN, failed, passed
from ortpack_build.verify.tiny_model import SUM, A, B, tiny_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ortpack_build.base.context import Context
    from ortpack_build.catalog.host import Host
    from ortpack_build.verify.row import Row
    from ortpack_build.verify.wheel_reader import WheelReader
    from ortpack_build.verify.wish import Wish

INSTALL = "install"  # name of the row
_INSTALL_TIMEOUT = 900  # seconds
_RUN_TIMEOUT = 600  # seconds

# Runs in the new environment. That has NumPy, the runtime and the loader, or a package that is both; this package it
# lacks.
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
    """What pip is told to install as the loader: the path of a wheel or a source tree, or `ortpack` by name.

    Args:
        loader: a wheel, a folder that holds one, or a source tree; None for the name.

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


@dataclass(frozen=True)
class InstalledHere:
    """Installs a wheel and runs a model with it on this machine."""

    context: Context
    here: Host
    name: ClassVar[str] = "installed in a new environment"

    def why_not(self, wheel: WheelReader) -> str | None:
        """Why it can't run this wheel; None if it can."""
        return self.here.why_not(wheel.target, wheel.runtime.platform, wheel.catalog.targets)

    def run(self, wheel: WheelReader, wish: Wish, scratch: Path) -> list[Row]:
        """The rows of installing the wheel and of running a model.

        Raises:
            UsageError: `wish.loader` is no loader.
        """
        return _install_and_run(wheel, wish, scratch, self.context)


@dataclass(frozen=True)
class InstalledBelowEmulator:
    """Installs a wheel and runs a model with it below an emulator, by the Python of the target's root."""

    context: Context
    name: ClassVar[str] = "installed in a root of its target, below an emulator"

    def why_not(self, wheel: WheelReader) -> str | None:
        """Why it can't run this wheel; None if it can.

        Raises:
            UsageError: nothing emulates its target.
        """
        if emulation.load().python(wheel.target) is None:
            return f"there is no Python for {wheel.target.name}"
        return None

    def run(self, wheel: WheelReader, wish: Wish, scratch: Path) -> list[Row]:
        """The rows of installing the wheel and of running a model.

        Raises:
            UsageError: `wish.loader` is no loader.
            ToolError: the emulator is not on this machine.
            FetchError: a package of the root can't be had.
        """
        return _install_and_run(wheel, wish, scratch, self.context, emulation.machine(wheel.target, self.context))


def _install_and_run(
    wheel: WheelReader, wish: Wish, scratch: Path, context: Context, machine: emulation.Machine | None = None
) -> list[Row]:
    """A row for installing and, if that worked, one for running; `machine` None is this machine."""
    loader = None if wheel.package else loader_requirement(wish.loader)
    requirements = [*([loader] if loader else []), str(wheel.path.resolve())]
    try:
        python = environment(scratch / "env", requirements, machine)
    except InstallError as error:
        return [failed(INSTALL, str(error))]
    beside = "with the loader" if loader else "alone"
    where = f", below {machine.emulator.name}" if machine else ""
    installed = passed(INSTALL, f"{beside}, in a new environment{where}")
    return [installed, _run(python, wheel, wish, scratch, context.environ)]


class InstallError(Exception):
    """An environment could not be made; the message is the line of pip or venv that says why."""


def environment(folder: Path, requirements: Sequence[str], machine: emulation.Machine | None = None) -> list[str]:
    """Make an environment with some requirements installed.

    Args:
        folder: where; it is not there yet.
        requirements: for pip.
        machine: the emulated machine whose Python makes it; None for this machine's.

    Returns:
        The command that runs its Python.

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
        try:
            done = process.run(command, cwd=folder.parent, timeout=_INSTALL_TIMEOUT)
        except ToolError as error:
            raise InstallError(str(error)) from error
        if done.code != 0:
            raise InstallError(_why(done))
    return python


def _run(python: Sequence[str], wheel: WheelReader, wish: Wish, scratch: Path, environ: Mapping[str, str]) -> Row:
    """The row of running a model in an environment that has the wheel, with the runtime asked for by name."""
    runtime, given = wheel.runtime.name, {} if wish.model else {"a": A, "b": B}
    path = wish.model.resolve() if wish.model else scratch / "tiny.onnx"
    if wish.model is None:
        path.write_bytes(tiny_model())
    request = {
        "package": wheel.package or "ortpack",
        "model": str(path),
        "feeds": given,
        # What it needs of the machine may be missing here, but its CPU provider needs nothing.
        "device": None if isinstance(wheel.runtime.needs, UnsetType) else "cpu",
    }
    script = scratch / "run_model.py"
    script.write_text(_SCRIPT, encoding="utf-8")
    try:
        done = process.run(
            [*python, str(script), json.dumps(request)],
            cwd=scratch,
            environ={key: value for key, value in environ.items() if not key.startswith("ORTPACK_")}
            | {"ORTPACK_RUNTIME": runtime},
            timeout=_RUN_TIMEOUT,
        )
    except ToolError as error:
        return failed(RUN, str(error))
    result = process.result(done.output)
    if done.code != 0 or result is None:
        return failed(RUN, _why(done))
    if wish.model is None and tuple(result["first"]) != SUM:
        return failed(RUN, f"{A} + {B} gave {result['first']}")
    shapes = ", ".join(f"{name} {shape}" for name, shape in result["outputs"].items())
    by = f"runtime {result['name']}, ORT {result['version']}, {', '.join(result['providers'])}"
    return passed(RUN, f"{by}: {path.name} gave {shapes}")


def _why(done: process.Finished) -> str:
    """The line that says why a program failed."""
    if done.code < 0:
        return f"killed by signal {-done.code}"
    lines = [line.strip() for line in (done.errors or done.output).splitlines() if line.strip()]
    last = lines[-1] if lines else f"exit code {done.code}"
    return next((line for line in lines if line.startswith("ERROR:")), last)
