"""Reads FlatBuffers of a known schema. A file is not trusted: every offset is checked before it is followed."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class DamagedError(ValueError):
    """An offset, a length or a text that can't be right."""


@dataclass(frozen=True)
class Table:
    """A table: fields are read by their slot, the number of the field in the schema (from 0; a union takes two)."""

    data: bytes
    position: int

    def integer(self, slot: int, form: str) -> int:
        """A number of a form of the `struct` module; 0 where the field is left out."""
        at = self._field(slot)
        return _unpack(self.data, at, form) if at else 0

    def text(self, slot: int) -> str:
        """A string; empty where the field is left out."""
        at = self._field(slot)
        return _text(self.data, _follow(self.data, at)) if at else ""

    def texts(self, slot: int) -> tuple[str, ...]:
        """A vector of strings."""
        return tuple(_text(self.data, at) for at in self._elements(slot))

    def table(self, slot: int) -> Table | None:
        """A table; None where the field is left out."""
        at = self._field(slot)
        return Table(self.data, _follow(self.data, at)) if at else None

    def tables(self, slot: int) -> Iterator[Table]:
        """A vector of tables."""
        return (Table(self.data, at) for at in self._elements(slot))

    def _field(self, slot: int) -> int:
        """Where the field is; 0 where it is left out."""
        vtable = self.position - _unpack(self.data, self.position, "<i")
        entry = 4 + 2 * slot
        if entry + 2 > _unpack(self.data, vtable, "<H"):
            return 0
        offset = _unpack(self.data, vtable + entry, "<H")
        return self.position + offset if offset else 0

    def _elements(self, slot: int) -> Iterator[int]:
        """Where the things are that a vector of offsets points to."""
        at = self._field(slot)
        if not at:
            return
        start = _follow(self.data, at)
        count = _unpack(self.data, start, "<I")
        if count > len(self.data) // 4:
            raise DamagedError(f"a vector of {count} elements")
        for index in range(count):
            yield _follow(self.data, start + 4 + 4 * index)


def root(data: bytes) -> Table:
    """The outermost table."""
    return Table(data, _follow(data, 0))


def _unpack(data: bytes, at: int, form: str) -> int:
    if at < 0:
        raise DamagedError(f"an offset of {at}")
    try:
        (value,) = struct.unpack_from(form, data, at)
    except struct.error as error:
        raise DamagedError(f"an offset of {at} in {len(data)} bytes") from error
    return int(value)


def _follow(data: bytes, at: int) -> int:
    return at + _unpack(data, at, "<I")


def _text(data: bytes, at: int) -> str:
    length = _unpack(data, at, "<I")
    if length > len(data) - at - 4:
        raise DamagedError(f"a text of {length} bytes")
    try:
        return data[at + 4 : at + 4 + length].decode()
    except UnicodeDecodeError as error:
        raise DamagedError("a text that is not UTF-8") from error
