"""Makes rows of the pieces of a link; they add up to the size of the file."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

from ortpack_build.base import native_library
from ortpack_build.base.hashing import sha256_of
from ortpack_build.sizes.model import Row, Sizes, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ortpack_build.sizes.link_map import Piece

_PADDING = "padding"
_HEADERS = "headers, section names"
_OTHER = "other"


def measure(library: Path, pieces: Sequence[Piece], operators: Mapping[str, str]) -> Sizes:
    """Return the rows of a library that was just linked.

    Args:
        library: the file.
        pieces: of its link.
        operators: symbol of each kernel that it registers → name of the operator that the kernel implements.

    Raises:
        BinaryError: the file is no native library.
    """
    present = native_library.sections(library)
    pieces = [piece for piece in pieces if present.get(piece.section)]
    registered = _registered(pieces, operators)
    totals: dict[tuple[str, tuple[str, ...]], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    placed: dict[str, int] = defaultdict(int)
    for section, object_, source, size in pieces:
        name, has_kernels = _subsystem(section, object_)
        sharing = _operators(object_, source, registered) if has_kernels else ()
        totals[name, sharing][_column(section)] += size
        placed[section] += size
    for section, size in present.items():
        if section not in placed:  # a linker that does not say what is in it
            totals[_subsystem(section, "<internal>")[0], ()][_column(section)] += size
        else:
            totals[_PADDING, ()][_column(section)] += size - placed[section]
    totals[_HEADERS, ()]["data"] += library.stat().st_size - sum(present.values())
    return _sizes(library, totals)


def of_sections(library: Path) -> Sizes:
    """Return a row for each section of a library, which is all that is known without the map of its link.

    Raises:
        BinaryError: the file is no native library.
    """
    totals: dict[tuple[str, tuple[str, ...]], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    present = native_library.sections(library)
    for section, size in present.items():
        totals[section, ()][_column(section)] += size
    totals[_HEADERS, ()]["data"] += library.stat().st_size - sum(present.values())
    return _sizes(library, totals)


def _sizes(library: Path, totals: Mapping[tuple[str, tuple[str, ...]], Mapping[str, int]]) -> Sizes:
    rows = [Row(subsystem=name, operators=operators, **columns) for (name, operators), columns in totals.items()]
    rows = sorted((row for row in rows if row.size), key=lambda row: (-row.size, row.subsystem, row.operators))
    return Sizes(library=library.name, sha256=sha256_of(library), size=library.stat().st_size, rows=tuple(rows))


class _Registrations:
    """The kernels that an object registers."""

    def __init__(self, symbols: Mapping[str, str]) -> None:
        self.symbols = symbols  # → operator
        self.operators = tuple(sorted(set(symbols.values())))
        # The name of a class stands in a mangled name with its length before it.
        self.words: dict[str, list[str]] = defaultdict(list)
        for name in self.operators:
            word = name.rpartition(":")[2]
            self.words[f"{len(word)}{word}"].append(name)
        longest_first = sorted(self.words, key=len, reverse=True)
        self.pattern = re.compile(rf"(?<!\d)(?:{'|'.join(map(re.escape, longest_first))})")


def _registered(pieces: Iterable[Piece], symbols: Mapping[str, str]) -> dict[str, _Registrations]:
    """Return object → the kernels that it registers."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for piece in pieces:
        place = piece.source.find("_ZN")
        if place >= 0 and (name := symbols.get(piece.source[place:])):
            found[piece.object][piece.source[place:]] = name
    return {object_: _Registrations(names) for object_, names in found.items()}


def _operators(object_: str, source: str, registered: Mapping[str, _Registrations]) -> tuple[str, ...]:
    """Name whose a piece is: the kernel's whose registration or class it names, else all that its object registers."""
    here = registered.get(object_)
    if here is None:
        return ()
    place = source.find("_Z")
    if place >= 0:
        mangled = source[place:]
        if mangled in here.symbols:
            return (here.symbols[mangled],)
        if words := set(here.pattern.findall(mangled)):
            return tuple(sorted(name for word in words for name in here.words[word]))
    return here.operators


@lru_cache(maxsize=4096)
def _subsystem(section: str, object_: str) -> tuple[str, bool]:
    """Return the name of the row that a piece belongs to, and whether operators share it."""
    for entry in load().subsystems:
        if re.search(entry.sections, section) and re.search(entry.objects, object_):
            return entry.name, entry.kernels
    return _OTHER, False


@lru_cache(maxsize=256)
def _column(section: str) -> str:
    columns = load().columns
    if re.search(columns.code, section):
        return "code"
    return "unwinding" if re.search(columns.unwinding, section) else "data"
