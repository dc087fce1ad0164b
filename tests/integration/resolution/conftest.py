from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

from support.sites import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    spec = importlib.util.find_spec("ortpack")
    assert spec is not None
    assert spec.origin is not None
    folder = tmp_path / "site"
    shutil.copytree(Path(spec.origin).parent, folder / "ortpack", ignore=shutil.ignore_patterns("__pycache__"))
    return Site(folder=folder)


@pytest.fixture
def driver(tmp_path: Path) -> str:
    """A folder with a stand-in for NVIDIA's driver: a library that reports a version and can do nothing else."""
    code = b"int cuInit(unsigned f) { return 100; } int cuDriverGetVersion(int *v) { *v = 13000; return 0; }"
    file = tmp_path / "driver" / "libcuda.so.580.65.06"
    file.parent.mkdir()
    command = ["cc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-x", "c", "-", "-o", str(file)]
    subprocess.run(command, input=code, check=True)
    (file.parent / "libcuda.so.1").symlink_to(file.name)
    return str(file.parent)
