"""Applications that PyInstaller and cx_Freeze make as docs/freezing.md says run elsewhere, without an environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support import kits
from support.official import NEWEST, OLDER
from support.sites import Site
from support.wheels import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

MODELS = Path(__file__).parents[2] / "support" / "small_models"
APPLICATION = """
import sys
import numpy as np
import ortpack

for name, path in (("cpu", sys.argv[1]), ("mine", sys.argv[2])):
    session = ortpack.InferenceSession(path, runtime=name)
    feeds = {i.name: np.zeros([d if isinstance(d, int) else 1 for d in i.shape], "f4") for i in session.get_inputs()}
    print(session.run(None, feeds)[0].shape, session.runtime)
print(ortpack.InferenceSession(sys.argv[1]).runtime.info.name)
"""


@pytest.fixture(scope="module")
def environment(loader_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment: the loader, two runtimes, and what makes applications."""
    folder = tmp_path_factory.mktemp("frozen")
    source = Site(folder=folder / "source")
    source.add("cpu")
    source.add("mine", release=OLDER, reduced=True)
    wheels = []
    for name in ("cpu", "mine"):
        files = {f"ortpack_runtimes/{name}/__init__.py": b""}
        for file in (source.folder / "ortpack_runtimes" / name).iterdir():
            files[f"ortpack_runtimes/{name}/{file.name}"] = file.read_bytes()
        wheels.append(make_wheel(folder, f"ortpack-{name}", NEWEST, files))
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
    programs = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    install: list[str | Path] = [programs / "python", "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
    subprocess.run([*install, loader_wheel, *wheels, "pyinstaller>=6", "cx_Freeze>=8"], check=True)
    return programs


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    """A folder with the application; what was made there is large, and removed."""
    (tmp_path / "app.py").write_text(APPLICATION)
    yield tmp_path
    for name in ("build", "dist", "out"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)


def make(environment: Path, work: Path, *command: str) -> None:
    """Run a command as docs/freezing.md has it, in the environment."""
    program, *arguments = command
    path = f"{environment}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [environment / program, *arguments],
        cwd=work,
        env={**os.environ, "PATH": path, "PYINSTALLER_CONFIG_DIR": str(work / "config"), "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def run(program: Path) -> str:
    """What the application prints, run elsewhere with an environment of its own."""
    models = [MODELS / "network.onnx", MODELS / "network.ort"]
    moved = program.parent.parent / "moved" / program.parent.name
    shutil.move(program.parent, moved)
    environ = {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "error::ortpack.FallbackWarning"}
    command = [moved / program.name, *models]
    done = subprocess.run(command, env=environ, cwd="/", capture_output=True, text=True, check=False)
    shutil.rmtree(moved)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("kind", ["--onedir", "--onefile"])
def test_pyinstaller(environment: Path, work: Path, kind: str) -> None:
    make(environment, work, "pyinstaller", "--log-level=ERROR", kind, "app.py")
    said = run(work / "dist" / ("app/app" if kind == "--onedir" else "app"))
    assert f"(1, 4) cpu (ORT {NEWEST}) from " in said
    assert f"(1, 4) mine (ORT {OLDER}) from " in said
    assert said.splitlines()[-1] == "cpu"
    assert str(environment.parent) not in said


def test_pyinstaller_leaves_a_runtime_out(environment: Path, work: Path) -> None:
    arguments = ["--exclude-module=ortpack_runtimes.mine", "app.py"]
    make(environment, work, "pyinstaller", "--log-level=ERROR", *arguments)
    carried = work / "dist" / "app" / "_internal" / "ortpack_runtimes"
    assert [folder.name for folder in carried.iterdir()] == ["cpu"]


def test_cx_freeze(environment: Path, work: Path) -> None:
    """A runtime of one's own is named; those of the extras are found."""
    options = ["--target-dir=out", "--packages=ortpack_runtimes.mine"]
    make(environment, work, "cxfreeze", "build", "--script=app.py", *options)
    said = run(work / "out" / "app")
    assert f"(1, 4) cpu (ORT {NEWEST}) from " in said
    assert f"(1, 4) mine (ORT {OLDER}) from " in said
    assert str(environment.parent) not in said


@pytest.mark.kit
@pytest.mark.skipif(not os.environ.get("ORTPACK_TEST_KITS"), reason="ORTPACK_TEST_KITS is not set")
@pytest.mark.parametrize("maker", ["pyinstaller", "cxfreeze"])
def test_a_package_that_carries_its_runtime(environment: Path, work: Path, maker: str) -> None:
    """It needs no file beside its extension module."""
    (work / "mylib").mkdir()
    (work / "mylib" / "__init__.py").touch()
    options = ["--linkage", "static", "--embed", "mylib._ort", "--model", MODELS / "network.onnx", "--out", work]
    command = [sys.executable, "-m", "ortpack_build", "minimal", *kits.arguments()[2:], *options]
    subprocess.run(list(map(str, command)), check=True, cwd=work)
    text = APPLICATION.replace("import ortpack", "from mylib import _ort as ortpack").replace(", runtime=name", "")
    (work / "app.py").write_text(text.replace("sys.argv[1]", "sys.argv[2]"))
    if maker == "pyinstaller":
        make(environment, work, "pyinstaller", "--log-level=ERROR", "app.py")
        assert not list((work / "dist").rglob("runtime.json"))
        said = run(work / "dist" / "app" / "app")
    else:
        make(environment, work, "cxfreeze", "build", "--script=app.py", "--target-dir=out")
        said = run(work / "out" / "app")
    assert "(1, 4) " in said
    assert f"(ORT {kits.ORT}) in " in said
