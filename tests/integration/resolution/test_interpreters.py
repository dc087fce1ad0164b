"""One wheel for all Pythons: each that this machine has installs it and runs a model on two ORT releases."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from support import binding
from support.command import run
from support.interpreters import interpreters
from support.models import model
from support.official import NEWEST, OLDER, library

ROOT = Path(__file__).parents[3]

SCRIPT = """
import sys
import numpy as np
import ortpack

model, *libraries = sys.argv[1:]
feeds = {
    "input": np.linspace(-1, 1, 576, dtype=np.float32)[np.newaxis],
    "state": np.zeros((2, 1, 128), np.float32),
    "sr": np.array(16000, np.int64),
}
results = []
for path in libraries:
    session = ortpack.InferenceSession(model, runtime=path)
    results.append(session.run(None, feeds))
    try:
        session.run(None, {"input": feeds["input"]})
    except ortpack.errors.InvalidArgument as error:
        assert "state" in str(error), error
    else:
        raise AssertionError("a missing input was accepted")
    version = session.runtime.library.version
    del session
    print(version, [array.shape for array in results[-1]])
for first, second in zip(*results):
    np.testing.assert_allclose(first, second, atol=1e-5)
"""


pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def compiled_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The loader's wheel as it is made for other targets: with nanobind in it."""
    if sys.platform != "linux" or shutil.which("apt-get") is None:
        pytest.skip("made on Linux, Python's headers come with apt")
    cache = os.environ.get("ORTPACK_BUILD_CACHE") or platformdirs.user_cache_path("ortpack-build", appauthor=False)
    out = tmp_path_factory.mktemp("compiled")
    done = run("loader", "--tree", ROOT, "--out", out, "--cache", Path(cache).absolute())
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@pytest.fixture(scope="module", params=interpreters())
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of a new environment, with NumPy alone."""
    folder = tmp_path_factory.mktemp("env")
    subprocess.run([interpreters()[request.param], "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "numpy"], check=True)
    return python


def _runs(python: Path) -> None:
    arguments = [str(model("silero_vad")), *(str(library(release)) for release in (OLDER, NEWEST))]
    done = subprocess.run([python, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [OLDER, NEWEST]
    assert done.stderr == ""


def test_the_compiled_wheel_needs_numpy_alone(python: Path, compiled_wheel: Path) -> None:
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-index", compiled_wheel], check=True)
    subprocess.run([python, "-m", "pip", "check"], check=True)
    assert subprocess.run([python, "-c", "import nanobind_backend"], capture_output=True, check=False).returncode == 1
    _runs(python)
    # All that stands in for what an older Python lacks: types and their metaclass, vector calls, exceptions.
    done = subprocess.run([python, "-c", binding.SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_wheel_works_on_every_python(python: Path, loader_wheel: Path) -> None:
    subprocess.run([python, "-m", "pip", "uninstall", "--quiet", "--yes", "ortpack"], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", loader_wheel], check=True)
    _runs(python)
