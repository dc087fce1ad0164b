"""Reads the map that LLD or GNU ld writes of a link (`-Map`)."""

from __future__ import annotations

import re
from typing import NamedTuple

# LLD: columns of numbers, then names indented by what they are: output section, input section, symbol.
_LLD_HEAD = re.compile(r"^ +VMA +LMA +Size Align Out     In      Symbol$", re.MULTILINE)
_LLD = re.compile(
    r"^ *[0-9a-f]+ +[0-9a-f]+ +(?P<size>[0-9a-f]+) +\d+ (?P<inner> {8})?(?P<what>[^ \n].*)$", re.MULTILINE
)
# GNU: an input section stands one column in, its numbers on the next line if its name is long.
_GNU_HEAD = "Linker script and memory map"
_GNU = re.compile(
    r"^(?P<inner> )?(?P<what>[A-Za-z_.][^\s=(*]*)\s+0x(?P<place>[0-9a-f]+) +0x(?P<size>[0-9a-f]+)(?: (?P<file>\S.*))?$"
    r"|^(?P<dropped>/DISCARD/)$",
    re.MULTILINE,
)


class Piece(NamedTuple):
    """An input section of the link, and how many bytes of the output it takes."""

    section: str  # of the output
    object: str  # "archive(member)", "object", or "<internal>"; without folders
    source: str  # name of the input section
    size: int  # bytes


def read_map(text: str) -> tuple[Piece, ...]:
    """Return the pieces of a link, in the order of the map; none if the text is no map that is known."""
    if head := _LLD_HEAD.search(text):
        return _lld(text, head.end())
    start = text.find(_GNU_HEAD)
    return _gnu(text, start) if start >= 0 else ()


def _lld(text: str, start: int) -> tuple[Piece, ...]:
    pieces, section = [], ""
    for found in _LLD.finditer(text, start):
        if found["inner"] is None:
            section = found["what"]
            continue
        file, _, name = found["what"].rpartition(":(")
        if file:  # else an assignment of a linker script
            source = name.removesuffix(")").partition("+0x")[0]
            pieces.append(Piece(section, _bare(file), source, int(found["size"], 16)))
    return tuple(pieces)


def _gnu(text: str, start: int) -> tuple[Piece, ...]:
    pieces, section = [], ""
    for found in _GNU.finditer(text, start):
        if found["inner"] is None:
            section = found["what"] or ""  # none: what follows was thrown away
        elif found["file"] and section and (size := int(found["size"], 16)):
            pieces.append(Piece(section, _bare(found["file"]), found["what"], size))
    return tuple(pieces)


def _bare(file: str) -> str:
    """Take the folders off the name of an object, and off that of its archive."""
    archive, opened, member = file.partition("(")
    return archive.rpartition("/")[2] + (f"({member.rpartition('/')[2]}" if opened else "")
