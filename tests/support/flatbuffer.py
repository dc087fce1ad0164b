"""Writes FlatBuffers for tests, right and wrong ones: a table is its slots, laid out before what it refers to."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field


@dataclass
class Number:
    """A number of a form of the `struct` module."""

    value: int
    form: str = "<i"


@dataclass(eq=False, repr=False)
class Table:
    """Slot → what is there; the same table may be referred to from many places."""

    slots: dict[int, object] = field(default_factory=dict)


def write(root: Table, *, identifier: bytes) -> bytes:
    """The bytes, with the root's offset and the identifier in front."""
    data = bytearray(4) + identifier
    places: dict[int, int] = {}
    pending: deque[tuple[int, object]] = deque([(0, root)])  # level by level, so that shared tables come late enough
    while pending:
        at, value = pending.popleft()
        if id(value) not in places or not isinstance(value, Table):
            place, more = _place(data, value)
            places[id(value)] = place
            pending += more
        if places[id(value)] < at:
            raise AssertionError("offsets only lead forward")
        struct.pack_into("<I", data, at, places[id(value)] - at)
    return bytes(data)


def _place(data: bytearray, value: object) -> tuple[int, list[tuple[int, object]]]:
    """Append a value; where it is, and where offsets to what it refers to have to go."""
    data += bytes(-len(data) % 8)
    if isinstance(value, str):
        start = len(data)
        text = value.encode()
        data += struct.pack("<I", len(text)) + text + b"\0"
        return start, []
    if isinstance(value, list):
        start = len(data)
        data += struct.pack("<I", len(value)) + bytes(4 * len(value))
        return start, [(start + 4 + 4 * index, item) for index, item in enumerate(value)]
    assert isinstance(value, Table)
    count = max(value.slots, default=-1) + 1
    vtable = len(data)
    data += bytes(4 + 2 * count)
    data += bytes(-len(data) % 8)
    start = len(data)
    data += struct.pack("<i", start - vtable)
    more: list[tuple[int, object]] = []
    for slot, item in sorted(value.slots.items()):
        data += bytes(-len(data) % 8)
        struct.pack_into("<H", data, vtable + 4 + 2 * slot, len(data) - start)
        if isinstance(item, Number):
            data += struct.pack(item.form, item.value)
        else:
            more.append((len(data), item))
            data += bytes(4)
    struct.pack_into("<HH", data, vtable, 4 + 2 * count, len(data) - start)
    return start, more
