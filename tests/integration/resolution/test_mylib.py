"""A library with extras, installed by its users from an index on this machine: with pip and with uv."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest

from support.command import run
from support.index import serve_folder
from support.official import NEWEST, library
from support.wheels import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

MYLIB = Path(__file__).parents[3] / "examples" / "mylib"
RESULT = "0.0193 0.0879 0.8928"  # of the row 1,2,3,4, computed with NumPy
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def test_the_expected_result_is_what_numpy_computes() -> None:
    import numpy as np

    weights = np.linspace(-1, 1, 12).reshape(4, 3)
    exponents = np.exp(np.array([1, 2, 3, 4]) @ weights + np.array([0.1, -0.2, 0.3]))
    assert " ".join(f"{value:.4f}" for value in exponents / exponents.sum()) == RESULT


def requirements(wheel: Path, extra: str) -> list[str]:
    """What an extra of a wheel asks for, as name==version; empty when the wheel has no such extra."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_bytes(archive.read(name))
    lines = [line for line in metadata.get_all("Requires-Dist", []) if re.search(rf"extra == .{extra}\b", line)]
    return [re.split(r"[;\s]", line)[0] for line in lines]


def pip(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "pip", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def folder(loader_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels that the index serves: ours, as they are published, and what they depend on."""
    folder = tmp_path_factory.mktemp("index")
    shutil.copy(loader_wheel, folder)
    pip("wheel", "--quiet", "--no-deps", f"--wheel-dir={folder}", MYLIB)
    pip("download", "--quiet", "--only-binary=:all:", f"--dest={folder}", "numpy", "nanobind-backend")
    cache = platformdirs.user_cache_path("ortpack") / "tests" / "build"
    for variant in ("cpu", "openvino"):
        if requirements(loader_wheel, variant):
            done = run("wheel", variant, "--out", folder, "--cache", cache)
            assert done.returncode == 0, done.stderr
    if requirements(loader_wheel, "openvino"):
        pip("download", "--quiet", "--no-deps", f"--dest={folder}", "onnxruntime-ep-openvino==1.8.1")
    stand_in_for_cuda(folder, loader_wheel)
    return folder


def stand_in_for_cuda(folder: Path, loader: Path) -> None:
    """Wheels with the names of those for CUDA, which have gigabytes; ours tells what it needs of the machine."""
    for requirement in requirements(loader, "cuda"):
        name, version = re.split(r"[~=<>]+", f"{requirement}==1.0")[:2]
        if name.startswith("nvidia-"):
            make_wheel(folder, name, version, {f"nvidia/{name}.txt": ""})
    native = library(NEWEST)
    manifest = {
        "schema": 1,
        "name": "cuda",
        "variant": "cuda",
        "target": "linux-x86_64",
        "ort_version": NEWEST,
        "api_version": int(NEWEST.split(".")[1]),
        "linkage": "shared",
        "library": native.name,
        "files": {native.name: {"sha256": "", "size": native.stat().st_size}},
        "providers": [CUDA, CPU],
        "devices": {"cuda": [CUDA, CPU], "cpu": [CPU]},
        "priority": 100,
        "model_formats": ["onnx", "ort"],
        "reduced": False,
        "platform": {"os": "linux", "arch": "x86_64"},
        "needs": [{"fact": "nvidia-driver", "mend": "install NVIDIA's driver"}],
        "requires": [],
        "extra": "cuda",
        "provenance": {"origin": "test"},
    }
    place = "ortpack_runtimes/cuda"
    make_wheel(
        folder,
        "ortpack-cuda",
        NEWEST,
        {f"{place}/runtime.json": json.dumps(manifest), f"{place}/{native.name}": native.read_bytes()},
    )


@pytest.fixture(scope="module")
def index(folder: Path) -> Iterator[str]:
    with serve_folder(folder) as url:
        yield url


def install(tool: str, place: Path, index: str, *requirements: str) -> Path:
    """Make an environment and install into it from the index alone; returns the folder of its commands."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "ORTPACK_"))
    }
    if tool == "pip":
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        command = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-cache-dir"]
        command += ["--disable-pip-version-check", f"--index-url={index}"]
        environment["PIP_CONFIG_FILE"] = os.devnull
    else:
        uv = [sys.executable, "-m", "uv", "--no-config", "--no-cache"]
        subprocess.run([*uv, "venv", "--quiet", f"--python={sys.executable}", place], check=True, env=environment)
        command = [*uv, "pip", "install", "--quiet", f"--python={place / 'bin' / 'python'}", f"--default-index={index}"]
    subprocess.run([*command, *requirements], check=True, env=environment)
    return place / "bin"


def score(commands: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ORTPACK_"))}
    command = [str(commands / "mylib"), "1,2,3,4", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def no_driver() -> bool:
    from ortpack._facts import these_facts

    return these_facts()["nvidia-driver"] == ()


@pytest.fixture(params=["pip", "uv"])
def tool(request: pytest.FixtureRequest) -> str:
    if request.param == "uv" and importlib.util.find_spec("uv") is None:
        pytest.skip("uv is not installed")
    return str(request.param)


def test_the_cpu_runtime_comes_with_its_extra(tool: str, index: str, tmp_path: Path) -> None:
    commands = install(tool, tmp_path / "env", index, "mylib[cpu]")
    done = score(commands)
    assert done.stdout.splitlines() == [RESULT, f"computed by {CPU}"], done.stderr
    assert done.stderr == ""


def test_without_a_runtime_the_library_says_what_to_install(tool: str, index: str, tmp_path: Path) -> None:
    commands = install(tool, tmp_path / "env", index, "mylib")
    done = score(commands)
    assert done.returncode == 1
    assert "no ONNX Runtime is installed for ortpack: pip install ortpack[cpu]" in done.stderr


def test_openvino_comes_with_its_extra(tool: str, index: str, loader_wheel: Path, tmp_path: Path) -> None:
    if not requirements(loader_wheel, "openvino"):
        pytest.skip("the loader's wheel has no extra for OpenVINO")
    commands = install(tool, tmp_path / "env", index, "mylib[openvino]")
    done = score(commands)
    result, by = done.stdout.splitlines()
    assert result == RESULT
    if "GenuineIntel" in Path("/proc/cpuinfo").read_text():
        assert by == "computed by OpenVINOExecutionProvider"
        assert done.stderr == ""
    else:
        assert by == f"computed by {CPU}"
        assert "FallbackWarning: ortpack runs on 'cpu' because: openvino: this machine has no" in done.stderr
    assert "openvino" in score(commands, "--device", "nowhere").stderr


@pytest.mark.skipif(not no_driver(), reason="this machine has an NVIDIA driver")
def test_cuda_without_a_driver_runs_on_the_cpu_and_says_why(
    tool: str, index: str, loader_wheel: Path, tmp_path: Path
) -> None:
    if not requirements(loader_wheel, "cuda"):
        pytest.skip("the loader's wheel has no extra for CUDA")
    commands = install(tool, tmp_path / "env", index, "mylib[cuda]")
    done = score(commands)
    assert done.stdout.splitlines() == [RESULT, f"computed by {CPU}"], done.stderr
    assert done.stderr.count("FallbackWarning") == 1
    assert "cuda: this machine has no NVIDIA driver: install NVIDIA's driver" in done.stderr
    named = score(commands, "--device", "cuda")
    assert named.returncode == 1
    assert "RuntimeUnusableError" in named.stderr
    assert "no NVIDIA driver" in named.stderr
