"""What the emulated tests share."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def loader_command() -> tuple[object, ...]:
    """Compiles the loader of this checkout."""
    return "loader", "--source", ROOT


@pytest.fixture(scope="session")
def cache() -> Path:
    """The user's own: roots and compiled loaders are kept from one run to the next."""
    root = os.environ.get("ORTPACK_BUILD_CACHE") or platformdirs.user_cache_path("ortpack-build", appauthor=False)
    return Path(root).absolute()
