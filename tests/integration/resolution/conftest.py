from __future__ import annotations

import importlib.util
import shutil
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
