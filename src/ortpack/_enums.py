"""Enumerations of session options: a module of its own, because importing `enum` is slow and few sessions need it."""

from __future__ import annotations

import enum
from typing import TypeVar

from ortpack import errors


class GraphOptimizationLevel(enum.IntEnum):
    """Which optimizations of the graph a session may make."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(enum.IntEnum):
    """Whether a session runs independent nodes one after the other or at the same time."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class ExecutionOrder(enum.IntEnum):
    """In which order a session visits the nodes of its graph."""

    DEFAULT = 0
    PRIORITY_BASED = 1
    MEMORY_EFFICIENT = 2


_E = TypeVar("_E", bound=enum.IntEnum)


def member(kind: type[_E], name: str, value: object) -> _E:
    """Find the member of an enumeration that `value` is, or is the number of.

    Args:
        kind: the enumeration.
        name: the option's name, for the message.
        value: what the user gave.

    Raises:
        InvalidArgument: there is no such member.
    """
    try:
        return kind(value)  # type: ignore[arg-type]
    except ValueError:
        allowed = ", ".join(f"{member.name} ({member.value})" for member in kind)
        raise errors.InvalidArgument(f"{name} can't be {value!r}; it is one of {allowed}") from None
