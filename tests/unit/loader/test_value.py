from __future__ import annotations

import copy

import pytest

from ortpack._value import Value


class Point(Value):
    """Two numbers."""

    x: int
    y: int = 2


def test_fields_are_given_by_keyword_and_may_have_defaults() -> None:
    point = Point(x=1)
    assert (point.x, point.y) == (1, 2)
    assert repr(point) == "Point(x=1, y=2)"
    assert repr(Point(y=1, x=3)) == "Point(x=3, y=1)"


def test_what_is_missing_or_unknown_is_named() -> None:
    with pytest.raises(TypeError, match="Point needs x="):
        Point(y=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Point has no z"):
        Point(x=1, z=3)  # type: ignore[call-arg]


def test_a_value_does_not_change() -> None:
    point = Point(x=1)
    with pytest.raises(AttributeError, match=r"Point\.x can't be changed"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match=r"Point\.x can't be deleted"):
        del point.x
    changed = point._replace(x=2)
    assert (point.x, changed) == (1, Point(x=2))


def test_equal_values_have_equal_fields_and_hashes() -> None:
    class Other(Value):
        x: int
        y: int

    assert Point(x=1) == Point(x=1, y=2)
    assert hash(Point(x=1)) == hash(Point(x=1, y=2))
    assert Point(x=1) != Point(x=2)
    assert Point(x=1) != Other(x=1, y=2)


def test_values_can_be_copied() -> None:
    point = Point(x=1)
    assert copy.deepcopy(point) == point
