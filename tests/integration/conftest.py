from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def loader_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The loader's wheel: the one that the task runner built, or a new one."""
    if built := os.environ.get("ORTPACK_TEST_LOADER"):
        return Path(built)
    folder = tmp_path_factory.mktemp("loader")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={folder}", str(ROOT)]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("ortpack-*.whl")
    return wheel
