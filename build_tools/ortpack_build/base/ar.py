"""Reads archives of `ar`: static libraries, as compilers for ELF make them, and the outside of Debian packages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ortpack_build.base.errors import BinaryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAGIC = b"!<arch>\n"
_HEADER = 60  # bytes, before each member
_TABLES = {"/": 4, "/SYM64/": 8}  # tables of symbols → bytes of their numbers


class Member(NamedTuple):
    """A file in an archive: its name, and where its content is."""

    name: str
    start: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A static library.

    Attributes:
        path: the file.
        symbols: symbol that it defines → the numbers of the members that do.
        names: the names of its members, in order; several may have the same.
    """

    path: Path
    symbols: Mapping[str, tuple[int, ...]]
    names: tuple[str, ...]

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of each object."""
        data = self.path.read_bytes()
        for name, start, size in members(data, self.path.name):
            yield name, data[start : start + size]

    def exchanged(self, contents: Mapping[int, bytes]) -> bytes:
        """Return the library's bytes with other contents of some members, by their numbers.

        The symbol table stays as it was, so the caller has to run ranlib.
        """
        data = self.path.read_bytes()
        parts, position = [], 0
        for number, (_, start, size) in enumerate(members(data, self.path.name)):
            if (new := contents.get(number)) is not None:
                parts += [data[position : start - 12], f"{len(new):<10}`\n".encode(), new, b"\n" * (len(new) % 2)]
                position = start + size + size % 2
        return b"".join([*parts, data[position:]])


def read_archive(path: Path) -> Archive:
    """Read a static library's symbol table.

    Raises:
        BinaryError: it is damaged, or has no symbol table.
    """
    data = path.read_bytes()
    table = next((member for member in members(data, path.name, special=True) if member.name in _TABLES), None)
    if table is None:
        raise BinaryError(f"{path.name} has no symbol table.")
    kind, start, size = table
    width = _TABLES[kind]
    count = int.from_bytes(data[start : start + width], "big")
    ends = range(start + width, start + width * (count + 1), width)
    names = data[start + width * (count + 1) : start + size].split(b"\0")[:count]
    objects = list(members(data, path.name))
    numbers = {member.start - _HEADER: number for number, member in enumerate(objects)}
    symbols: dict[str, tuple[int, ...]] = {}
    for name, at in zip(names, ends, strict=True):
        number = numbers.get(int.from_bytes(data[at : at + width], "big"))
        if number is None:
            raise BinaryError(f"{path.name} is damaged: its symbol table leads nowhere.")
        symbol = name.decode("ascii", "replace")
        symbols[symbol] = (*symbols.get(symbol, ()), number)
    return Archive(path=path, symbols=symbols, names=tuple(member.name for member in objects))


def members(data: bytes, where: str, *, special: bool = False) -> Iterator[Member]:
    """Yield the members of an archive, in order.

    Args:
        data: the archive.
        where: its name, for messages.
        special: whether the tables of symbols are wanted as well.

    Raises:
        BinaryError: it is damaged, or no archive.
    """
    if not data.startswith(MAGIC):
        raise BinaryError(f"{where} is no archive of ar.")
    long_names = b""
    position = len(MAGIC)
    while position < len(data):
        header = data[position : position + _HEADER]
        if len(header) < _HEADER or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
            raise BinaryError(f"{where} is damaged.")
        raw, size, start = header[:16].decode("ascii", "replace").rstrip(), int(header[48:58]), position + _HEADER
        if start + size > len(data):
            raise BinaryError(f"{where} is cut off.")
        position = start + size + size % 2
        if raw == "//":
            long_names = data[start : start + size]
        elif raw in _TABLES:
            if special:
                yield Member(raw, start, size)
        elif raw.startswith("/"):
            if not raw[1:].isdigit():
                raise BinaryError(f"{where} is damaged.")
            name, _, _ = long_names[int(raw[1:]) :].partition(b"/\n")
            yield Member(name.decode("utf-8", "replace"), start, size)
        else:
            yield Member(raw.rstrip("/"), start, size)
