"""Static libraries (`ar`), as compilers for ELF make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ortpack_build.base.errors import BinaryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_HEADER = 60  # bytes, before each member
_TABLES = {"/": 4, "/SYM64/": 8}  # tables of symbols → bytes of their numbers


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A static library.

    Attributes:
        symbols: that it defines, with the numbers of the members that do.
        names: of its members, in order; several may have the same.
    """

    path: Path
    symbols: Mapping[str, tuple[int, ...]]
    names: tuple[str, ...]

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of each object."""
        data = self.path.read_bytes()
        for name, start, size in _headers(data, self.path.name):
            yield name, data[start : start + size]

    def exchanged(self, members: Mapping[int, bytes]) -> bytes:
        """The library with other contents of some members, by their numbers; its symbol table is to be made anew."""
        data = self.path.read_bytes()
        parts, position = [], 0
        for number, (_, start, size) in enumerate(_headers(data, self.path.name)):
            if (new := members.get(number)) is not None:
                parts += [data[position : start - 12], f"{len(new):<10}`\n".encode(), new, b"\n" * (len(new) % 2)]
                position = start + size + size % 2
        return b"".join([*parts, data[position:]])


def read_archive(path: Path) -> Archive:
    """Read a static library's symbol table.

    Raises:
        BinaryError: it is damaged, or has no symbol table.
    """
    data = path.read_bytes()
    table = next((entry for entry in _headers(data, path.name, special=True) if entry[0] in _TABLES), None)
    if table is None:
        raise BinaryError(f"{path.name} has no symbol table.")
    kind, start, size = table
    width = _TABLES[kind]
    count = int.from_bytes(data[start : start + width], "big")
    ends = range(start + width, start + width * (count + 1), width)
    names = data[start + width * (count + 1) : start + size].split(b"\0")[:count]
    members = list(_headers(data, path.name))
    numbers = {begin - _HEADER: number for number, (_, begin, _) in enumerate(members)}
    symbols: dict[str, tuple[int, ...]] = {}
    for name, at in zip(names, ends, strict=True):
        number = numbers.get(int.from_bytes(data[at : at + width], "big"))
        if number is None:
            raise BinaryError(f"{path.name} is damaged: its symbol table leads nowhere.")
        symbol = name.decode("ascii", "replace")
        symbols[symbol] = (*symbols.get(symbol, ()), number)
    return Archive(path=path, symbols=symbols, names=tuple(name for name, _, _ in members))


def _headers(data: bytes, where: str, *, special: bool = False) -> Iterator[tuple[str, int, int]]:
    """Name, start and size of each member; of the tables of symbols too, if `special`."""
    if not data.startswith(b"!<arch>\n"):
        raise BinaryError(f"{where} is no static library.")
    long_names = b""
    position = 8
    while position < len(data):
        header = data[position : position + _HEADER]
        if len(header) < _HEADER or header[58:] != b"`\n":
            raise BinaryError(f"{where} is damaged.")
        raw, size, start = header[:16].decode("ascii", "replace").rstrip(), int(header[48:58]), position + _HEADER
        position = start + size + size % 2
        if raw == "//":
            long_names = data[start : start + size]
        elif raw in _TABLES:
            if special:
                yield raw, start, size
        elif raw.startswith("/"):
            name, _, _ = long_names[int(raw[1:]) :].partition(b"/\n")
            yield name.decode("utf-8", "replace"), start, size
        else:
            yield raw.rstrip("/"), start, size
