"""One wheel for all Pythons: each that this machine has installs it anew and runs a model on two ORT releases."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from support.interpreters import interpreters
from support.models import model
from support.official import NEWEST, OLDER, library

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.slow
@pytest.mark.parametrize("version", interpreters())
def test_the_wheel_works_on_every_python(version: str, loader_wheel: Path, tmp_path: Path) -> None:
    subprocess.run([interpreters()[version], "-m", "venv", tmp_path], check=True)
    python = tmp_path / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", loader_wheel], check=True)
    arguments = [str(model("silero_vad")), *(str(library(release)) for release in (OLDER, NEWEST))]
    done = subprocess.run([python, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [OLDER, NEWEST]
    assert done.stderr == ""
