"""Whether telemetry is on, and what stands in the environment when a library is loaded."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

import pytest

from ortpack import _telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """A process that starts with these variables: the module as it is then."""

    def begin(**variables: str) -> ModuleType:
        for name in (_telemetry.DISABLE_VARIABLE, _telemetry.WISH_VARIABLE):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return importlib.reload(_telemetry)

    yield begin
    monkeypatch.undo()
    importlib.reload(_telemetry)


def variable() -> str | None:
    return os.environ.get("ORT_DISABLE_TELEMETRY")


@pytest.mark.parametrize("wish", ["", "0", "no", "whatever"])
def test_it_is_off_unless_somebody_asks_for_it(start: Callable[..., ModuleType], wish: str) -> None:
    module = start(ORTPACK_TELEMETRY=wish)
    module.prepare()
    assert variable() == "1"
    assert module.choice() == (False, "ORT_DISABLE_TELEMETRY=1 set by ortpack")


@pytest.mark.parametrize("wish", ["1", "true", " YES "])
def test_the_variable_asks_for_it(start: Callable[..., ModuleType], wish: str) -> None:
    module = start(ORTPACK_TELEMETRY=wish)
    module.prepare()
    assert variable() is None
    assert module.choice() == (True, f"ORTPACK_TELEMETRY={wish} in the environment")


@pytest.mark.parametrize(("value", "on"), [("1", False), ("on", False), ("0", True), ("off", True)])
def test_what_the_user_has_set_stays(start: Callable[..., ModuleType], value: str, on: bool) -> None:
    module = start(ORT_DISABLE_TELEMETRY=value)
    module.prepare()
    assert variable() == value
    assert module.choice() == (on, f"ORT_DISABLE_TELEMETRY={value} in the environment")


def test_an_empty_variable_counts_as_not_set(start: Callable[..., ModuleType]) -> None:
    module = start(ORT_DISABLE_TELEMETRY="", ORTPACK_TELEMETRY="")
    module.prepare()
    assert variable() == "1"


def test_off_in_the_environment_is_stronger_than_any_wish(start: Callable[..., ModuleType]) -> None:
    module = start(ORT_DISABLE_TELEMETRY="1", ORTPACK_TELEMETRY="1")
    module.enable_telemetry_events()
    assert (variable(), module.choice()[0]) == ("1", False)


def test_functions_change_the_choice_before_a_library_is_loaded(start: Callable[..., ModuleType]) -> None:
    module = start()
    module.enable_telemetry_events()
    assert (variable(), module.choice()) == (None, (True, "enable_telemetry_events() was called"))
    module.disable_telemetry_events()
    assert (variable(), module.choice()) == ("1", (False, "disable_telemetry_events() was called"))
    module.enable_telemetry_events()  # the variable is ours, so it goes again
    assert (variable(), module.choice()[0]) == (None, True)


def test_disabling_is_stronger_than_a_variable_that_leaves_it_on(start: Callable[..., ModuleType]) -> None:
    module = start(ORT_DISABLE_TELEMETRY="0")
    module.disable_telemetry_events()
    assert (variable(), module.choice()[0]) == ("0", False)
