"""Archives of `ar`, made here byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ortpack_build.base import ar
from ortpack_build.base.errors import BinaryError

if TYPE_CHECKING:
    from pathlib import Path


def archive(*members: tuple[str, bytes]) -> bytes:
    parts = [ar.MAGIC]
    for name, data in members:
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
        parts += [head.encode(), data, b"\n" * (len(data) % 2)]
    return b"".join(parts)


def test_members_with_long_names_and_odd_sizes() -> None:
    data = archive(
        ("/", b"\0\0\0\0"), ("//", b"a_name_that_is_long.o/\n"), ("/0", b"odd"), ("b.o/", b"even"), ("c.o", b"")
    )
    found = [(name, data[start : start + size]) for name, start, size in ar.members(data, "a.a")]
    assert found == [("a_name_that_is_long.o", b"odd"), ("b.o", b"even"), ("c.o", b"")]
    assert next(member.name for member in ar.members(data, "a.a", special=True)) == "/"


def test_a_static_library_with_other_contents(tmp_path: Path) -> None:
    table = b"\0\0\0\1" + (len(ar.MAGIC) + 60 + 12).to_bytes(4, "big") + b"f\0\0\0"
    library = tmp_path / "a.a"
    library.write_bytes(archive(("/", table), ("a.o/", b"first"), ("b.o/", b"second")))
    read = ar.read_archive(library)
    assert (read.symbols, read.names) == ({"f": (0,)}, ("a.o", "b.o"))
    library.write_bytes(read.exchanged({0: b"longer than before", 1: b"x"}))
    assert list(read.members()) == [("a.o", b"longer than before"), ("b.o", b"x")]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"text", "is no archive"),
        (archive(("a.o/", b"x"))[:-20], "is damaged"),
        (archive(("a.o/", b"x" * 40))[:-20], "is cut off"),
        (archive(("a.o/", b"x")).replace(b"1         `", b"one       `"), "is damaged"),
        (archive(("/x", b"x")), "is damaged"),
    ],
)
def test_damage(data: bytes, says: str) -> None:
    with pytest.raises(BinaryError, match=rf"a\.a {says}"):
        list(ar.members(data, "a.a"))
