from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest

from support.command import run

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGETS = ("linux-x86_64", "linux-aarch64", "macos-arm64", "win-amd64", "win-arm64")


@pytest.fixture(scope="session")
def cache() -> Path:
    """A cache that outlives the tests, so that official wheels are fetched once a machine."""
    return platformdirs.user_cache_path("ortpack") / "tests" / "build"


@pytest.fixture(scope="session")
def wheels(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The wheel of the cpu variant for every target, made by one command."""
    out = tmp_path_factory.mktemp("wheels")
    done = run("wheel", "cpu", "--target", "all", "--out", out, "--cache", cache)
    assert done.returncode == 0, done.stderr
    return dict(zip(TARGETS, map(Path, done.stdout.splitlines()), strict=True))
