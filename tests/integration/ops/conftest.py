from __future__ import annotations

from typing import TYPE_CHECKING

import platformdirs
import pytest

from ortpack_build.catalog import manifests
from ortpack_build.ops import full_runtime
from support.contexts import context
from support.official import NEWEST, OLDER

if TYPE_CHECKING:
    from pathlib import Path

    from ortpack_build.ops.full_runtime import FullRuntime


@pytest.fixture(scope="session")
def cache() -> Path:
    """A cache that outlives the tests, so that official wheels are fetched once a machine."""
    return platformdirs.user_cache_path("ortpack") / "tests" / "build"


@pytest.fixture(scope="session", params=[NEWEST, OLDER])
def full(cache: Path, request: pytest.FixtureRequest) -> FullRuntime:
    return full_runtime.obtain(manifests.load(None), context(cache), request.param)
