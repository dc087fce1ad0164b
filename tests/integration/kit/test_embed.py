"""Packages that carry ONNX Runtime in an extension module of their own: needs a kit, see the marker `kit`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from support import kits, models, official
from support.command import run
from support.interpreters import interpreters

pytestmark = [*kits.NEEDED, kits.STATIC]

# Every module runs the model, then all at once in threads; prints the outputs.
_SCRIPT = """
import importlib, json, os, sys, threading
import numpy as np

request = json.loads(sys.argv[1])
feeds = {name: np.array(value, dtype) for name, (value, dtype) in request["feeds"].items()}
modules = {name: importlib.import_module(name) for name in request["models"]}
sessions = {name: modules[name].InferenceSession(model) for name, model in request["models"].items()}
outputs = {name: [value.tolist() for value in session.run(None, feeds)] for name, session in sessions.items()}

def again(name):
    for _ in range(50):
        if [value.tolist() for value in sessions[name].run(None, feeds)] != outputs[name]:
            raise AssertionError(name)

failures = []
threading.excepthook = lambda args: failures.append(repr(args.exc_value))
threads = [threading.Thread(target=again, args=(name,)) for name in sessions for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()

errors = {}
for name, module in modules.items():
    [getattr(module, each) for each in module.__all__]  # every name is there
    try:
        module.InferenceSession(b"no model")
    except Exception as error:
        errors[name] = type(error).__module__
loaded = sorted(name for name in ("ortpack", "nanobind_backend") if name in sys.modules)
versions = {name: module.get_version_string() for name, module in modules.items()}
print(json.dumps({"outputs": outputs, "failures": failures, "errors": errors, "loaded": loaded, "versions": versions}))
"""


def _wheel(package: str, out: Path) -> Path:
    made = run("wheel", "cpu", *kits.arguments(), "--linkage", "static", "--embed", package, "--out", out)
    assert made.returncode == 0, made.stderr
    return Path(made.stdout.strip())


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("wheels")
    return {package: _wheel(package, out) for package in ("mylib._ort", "other.deep.rt")}


@pytest.fixture(scope="module")
def silero(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in a format that the kit's flavour loads."""
    with zipfile.ZipFile(wheels["mylib._ort"]) as archive:
        formats = json.loads(archive.read("mylib/_ort/runtime.json"))["model_formats"]
    if "onnx" in formats:
        return models.model("silero_vad")
    folder = tmp_path_factory.mktemp("models")
    done = run("convert", models.model("silero_vad"), "--ort", "1.21.0", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder / "silero_vad.ort"


def _try(python: Path, paths: dict[str, Path], **environ: str) -> dict[str, Any]:
    feeds = {name: (value.tolist(), value.dtype.name) for name, value in models.feeds("silero_vad").items()}
    request = json.dumps({"models": {name: str(path) for name, path in paths.items()}, "feeds": feeds})
    done = subprocess.run(
        [python, "-c", _SCRIPT, request], capture_output=True, text=True, check=False, env=os.environ | environ
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _environment(folder: Path, *wheels: Path, interpreter: Path | str = sys.executable) -> Path:
    subprocess.run([interpreter, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--only-binary=:all:"]
    subprocess.run([*command, *map(str, wheels)], check=True)
    return python


def test_one_alone(wheels: dict[str, Path], silero: Path, tmp_path: Path) -> None:
    """In an environment with NumPy and nothing else."""
    wheel = wheels["mylib._ort"]
    assert wheel.name == "mylib_ort-1.21.0-cp310-abi3-manylinux_2_17_x86_64.whl"
    with zipfile.ZipFile(wheel) as archive:
        native = [name for name in archive.namelist() if archive.read(name)[:4] == b"\x7fELF"]
    assert native == ["mylib/_ort/_binding.abi3.so"]
    python = _environment(tmp_path / "env", wheel)
    result = _try(python, {"mylib._ort": silero}, ORTPACK_LIBRARY="/nowhere", ORTPACK_RUNTIME="none")
    assert result["loaded"] == []
    assert result["versions"] == {"mylib._ort": "1.21.0"}
    assert result["errors"] == {"mylib._ort": "mylib._ort.errors"}


def test_two_on_the_oldest_python(wheels: dict[str, Path], silero: Path, tmp_path: Path) -> None:
    found = interpreters()
    oldest = found[min(found, key=lambda version: int(version.partition(".")[2]))]
    python = _environment(tmp_path / "env", *wheels.values(), interpreter=oldest)
    result = _try(python, dict.fromkeys(wheels, silero))
    assert result["failures"] == result["loaded"] == []
    assert result["outputs"]["mylib._ort"] == result["outputs"]["other.deep.rt"]


def test_two_and_the_loader_in_one_process(
    wheels: dict[str, Path], silero: Path, loader_wheel: Path, tmp_path: Path
) -> None:
    """Each has its own types, errors and threads, and all give what the official library of the release gives."""
    python = _environment(tmp_path / "env", *wheels.values(), loader_wheel)
    paths = {"mylib._ort": silero, "ortpack": models.model("silero_vad"), "other.deep.rt": silero}
    library = str(official.library(official.OLDER))
    for order in (paths, dict(reversed(paths.items()))):
        result = _try(python, order, ORTPACK_LIBRARY=library)
        assert result["failures"] == []
        assert result["errors"] == {name: f"{name}.errors" for name in paths}
        outputs = result["outputs"]
        assert outputs["mylib._ort"] == outputs["other.deep.rt"]
        for ours, theirs in zip(outputs["mylib._ort"], outputs["ortpack"], strict=True):
            assert _flat(ours) == pytest.approx(_flat(theirs), abs=1e-5)


def _flat(value: Any) -> list[float]:
    return [number for part in value for number in _flat(part)] if isinstance(value, list) else [float(value)]


def test_the_same_bytes_again(wheels: dict[str, Path], tmp_path: Path) -> None:
    assert _wheel("mylib._ort", tmp_path).read_bytes() == wheels["mylib._ort"].read_bytes()


def test_verify(wheels: dict[str, Path]) -> None:
    arguments = () if kits.request().flavour == "onnx" else ("--no-run",)  # it runs an .onnx
    done = run("verify", "--json", *arguments, wheels["other.deep.rt"])
    assert done.returncode == 0, done.stdout
    rows = {row["check"]: row for row in json.loads(done.stdout)["checks"]}
    assert rows["exports"]["detail"] == "1 symbols, all expected"
    assert rows["hardening"]["verdict"] == rows["paths"]["verdict"] == "pass"
