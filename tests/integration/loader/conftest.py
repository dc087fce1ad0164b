from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import ortpack
from support.official import NEWEST, OLDER, library

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session", params=[NEWEST, OLDER])
def runtime(request: pytest.FixtureRequest) -> ortpack.LoadedRuntime:
    """Each official release in turn."""
    return ortpack.load_runtime(library(request.param))


@pytest.fixture(scope="session")
def newest() -> ortpack.LoadedRuntime:
    return ortpack.load_runtime(library(NEWEST))


@pytest.fixture(scope="session")
def older() -> ortpack.LoadedRuntime:
    return ortpack.load_runtime(library(OLDER))


@pytest.fixture(scope="session", autouse=True)
def default_runtime() -> None:
    """What the package uses where a test names no runtime."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORTPACK_LIBRARY", str(library(NEWEST)))
        ortpack.runtime()


@pytest.fixture
def session(runtime: ortpack.LoadedRuntime) -> Callable[..., ortpack.InferenceSession]:
    """Open a model on the release under test."""

    def make(model: Any, *arguments: Any, **options: Any) -> ortpack.InferenceSession:
        return ortpack.InferenceSession(model, *arguments, runtime=runtime, **options)

    return make
