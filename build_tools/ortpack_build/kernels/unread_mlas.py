"""Finds code that nothing in a library can reach, but that MLAS's tables would keep in it.

MLAS fills in one structure for the processor at hand, MLAS_PLATFORM: pointers to functions, and to tables of them. So
one constructor refers to the code of every precision and every quantization, whatever the kernels of the library need.
A symbol that is only stored there may be left out while no code that reads its field is in the library; which code
that is follows from the sources (which files name the field) and the objects (which sections of theirs refer to the
structure, or to the symbol itself).
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from msgspec import Struct

from ortpack_build.base.ar import read_archive
from ortpack_build.base.errors import BinaryError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from ortpack_build.sizes import Piece

_MLAS = "onnxruntime/core/mlas/lib"
_PLATFORM = "platform.cpp"
_HEADER = "mlasi.h"  # declares the structure and every symbol
_STORED = re.compile(
    r"\bthis->(?P<field>\w+)(?:\[\w+\])?\s*=\s*&?(?P<symbol>Mlas\w+)\s*;|"  # in the constructor
    r"\b(?P<field2>\w+Dispatch)\s*\{\s*&(?P<symbol2>\w+)\s*\}\s*;"  # a default of the structure
)
_INCLUDE = re.compile(r'^\s*#\s*include\s+"(?:[\w./]*/)?([\w.]+)"', re.MULTILINE)
# The structure is a local variable of an inline function; either may be what an object refers to.
_STRUCTURE = re.compile(r"GetMlasPlatformv")
# A function that gives one field and does nothing else, conditions of the preprocessor aside.
_GETTER = re.compile(
    r"\b(?P<name>Mlas\w+)\(\s*(?:void)?\s*\)\s*(?:/\*.*?\*/\s*)?\{\s*(?:#[^\n]*\n\s*)?"
    r"return GetMlasPlatform\(\)\.(?P<field>\w+);\s*(?:#else[^\n]*\s+return \w+;\s*)?(?:#endif[^\n]*\s+)?\}",
    re.DOTALL,
)


class RemovableCode(Struct, frozen=True, kw_only=True):
    """Symbols that a library can be without, unless it has one of the sections.

    Attributes:
        symbols: as the linker sees them.
        readers: `object:section` of the kit.
    """

    symbols: tuple[str, ...]
    readers: tuple[str, ...]


def find(ort: Path, archives: Iterable[Path]) -> tuple[RemovableCode, ...]:
    """Find what the libraries of a kit may be without.

    Args:
        ort: ONNX Runtime's tree.
        archives: static libraries that were compiled from it; MLAS's is the one that has the constructor.

    Raises:
        BinaryError: an archive is damaged.
    """
    sources = _sources(ort / _MLAS)
    stored = _stored(sources)
    if not stored:
        return ()
    objects = _objects(archives)
    files = {field: _readers(field, sources) for fields in stored.values() for field in fields}
    reading: dict[str, set[str]] = defaultdict(set)  # source file → its sections that refer to the structure
    getters = _getters(sources)
    getting: dict[str, set[str]] = defaultdict(set)  # field → sections that read it and no other
    direct: dict[str, set[str]] = defaultdict(set)  # symbol → sections that refer to it
    for name, references in objects:
        source = name.removesuffix(".o")
        if source == _PLATFORM:
            continue
        for section, target in references:
            if _STRUCTURE.search(target):
                field = getters.get(section.rpartition(".")[2])
                (getting[field] if field else reading[source]).add(f"{name}:{section}")
            if target in stored:
                direct[target].add(f"{name}:{section}")
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for symbol, fields in stored.items():
        sections = direct[symbol].union(*(reading[file] for field in fields for file in files[field]))
        sections = sections.union(*(getting[field] for field in fields))
        groups[tuple(sorted(sections))].append(symbol)
    return tuple(
        RemovableCode(symbols=tuple(sorted(names)), readers=sections) for sections, names in sorted(groups.items())
    )


def still_removable(candidates: Collection[RemovableCode], pieces: Iterable[Piece]) -> list[RemovableCode]:
    """Return those of `candidates` that a library still does without: it has none of their readers.

    Args:
        pieces: of the library's link.
    """
    live = {f"{piece.object.partition('(')[2].removesuffix(')')}:{piece.source}" for piece in pieces}
    return [one for one in candidates if live.isdisjoint(one.readers)]


def _sources(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        return {}
    return {
        path.name: path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".cpp", ".h"}
    }


def _stored(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return symbol → the fields that it is stored in."""
    stored: dict[str, set[str]] = defaultdict(set)
    for name in (_PLATFORM, _HEADER):
        for found in _STORED.finditer(sources.get(name, "")):
            stored[found["symbol"] or found["symbol2"]].add(found["field"] or found["field2"])
    return stored


def _getters(sources: Mapping[str, str]) -> dict[str, str]:
    """Return function that reads one field, as the linker names it → the field."""
    found = (match for text in sources.values() for match in _GETTER.finditer(text))
    return {f"_Z{len(match['name'])}{match['name']}v": match["field"] for match in found}


def _readers(field: str, sources: Mapping[str, str]) -> set[str]:
    """Find the files that read a field, themselves or through a header of theirs."""
    use = re.compile(rf"(?:->|\.)\s*{field}\b")
    readers = {name for name, text in sources.items() if name != _PLATFORM and use.search(text)}
    while True:
        more = {
            name
            for name, text in sources.items()
            if name != _PLATFORM and not readers.isdisjoint(_INCLUDE.findall(text))
        }
        if more <= readers:
            return readers
        readers |= more


def _objects(archives: Iterable[Path]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Give each object of the static library with the constructor: its name, and its (section, symbol) references."""
    import lief  # noqa: PLC0415 - slow, and a kit that is made has its removable code

    for path in archives:
        archive = read_archive(path)
        if not any("MLAS_PLATFORMC" in symbol for symbol in archive.symbols):
            continue
        for name, data in archive.members():
            parsed = lief.ELF.parse(list(data))
            if parsed is None:
                raise BinaryError(f"{path.name}: {name} can't be read.")
            references = []
            for relocation in parsed.relocations:
                section, target = relocation.section, relocation.symbol
                if section is not None and target is not None:
                    references.append((str(section.name), str(target.name)))
            yield name, references
