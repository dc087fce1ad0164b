"""Telling libraries from their headers, and truncated files from whole ones."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortpack._binary import NotALibraryError, identify
from ortpack._machine import this_machine


def elf(machine: int = 62, length: int = 300) -> bytes:
    """A 64-bit ELF header with one program header that wants `length` bytes."""
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    program = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, length, length, 4096)
    return (header + program).ljust(length, b"\0")


def pe(machine: int = 0x8664) -> bytes:
    dos = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", machine, 1, 0, 0, 0, 0, 0)
    section = b".text".ljust(8, b"\0") + struct.pack("<IIII", 16, 0, 16, 200) + bytes(16)
    return (dos + coff + section).ljust(216, b"\0")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.mark.parametrize(
    ("content", "os", "arch"),
    [
        (elf(), "linux", "x86_64"),
        (elf(183), "linux", "aarch64"),
        (elf(9999), "linux", "ELF machine 9999"),
        (pe(), "windows", "amd64"),
        (pe(0xAA64), "windows", "arm64"),
        (b"\xcf\xfa\xed\xfe" + struct.pack("<I", 0x0100000C) + bytes(24), "macos", "arm64"),
    ],
)
def test_the_header_tells_system_and_architecture(file: Path, content: bytes, os: str, arch: str) -> None:
    file.write_bytes(content)
    facts = identify(file)
    assert (facts.os, facts.arches) == (os, (arch,))


def test_both_halves_of_a_universal_library_are_told(file: Path) -> None:
    entries = [(0x01000007, 0, 100, 50, 0), (0x0100000C, 0, 200, 50, 0)]
    content = b"\xca\xfe\xba\xbe" + struct.pack(">I", 2) + b"".join(struct.pack(">5I", *entry) for entry in entries)
    file.write_bytes(content.ljust(250, b"\0"))
    assert identify(file).arches == ("x86_64", "arm64")
    file.write_bytes(content.ljust(249, b"\0"))
    with pytest.raises(NotALibraryError, match="truncated"):
        identify(file)


def macho(length: int = 200) -> bytes:
    """A 64-bit Mach-O header with one segment of `length` bytes."""
    segment = struct.pack("<II16sQQQQIIII", 0x19, 72, b"__TEXT", 0, length, 0, length, 5, 5, 0, 0)
    header = b"\xcf\xfa\xed\xfe" + struct.pack("<7I", 0x0100000C, 0, 6, 1, len(segment), 0, 0)
    return (header + segment).ljust(length, b"\0")


def universal(inner: bytes) -> bytes:
    head = b"\xca\xfe\xba\xbe" + struct.pack(">I5I", 1, 0x0100000C, 0, 100, 200, 0)
    return (head.ljust(100, b"\0") + inner).ljust(300, b"\0")


def test_headers_are_found_wherever_a_packager_put_them(file: Path) -> None:
    """patchelf moves those of the segments to the end of the file, or beyond the first page."""
    whole = bytearray(elf(length=9000))
    whole[32:40] = struct.pack("<Q", 8000)
    whole[8000:8056] = whole[64:120]
    whole[64:120] = bytes(56)
    file.write_bytes(whole)
    assert identify(file).arches == ("x86_64",)
    for end in (8999, 8010):
        file.write_bytes(whole[:end])
        with pytest.raises(NotALibraryError, match="truncated"):
            identify(file)


@pytest.mark.parametrize("content", [macho(), universal(macho())])
def test_whole_libraries_of_macos_are_told(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert identify(file).arches == ("arm64",)


@pytest.mark.parametrize(
    "content",
    [elf()[:-1], elf()[:30], pe()[:-1], pe()[:80], macho()[:-1], macho()[:60], macho()[:20], universal(macho(201))],
)
def test_a_truncated_library_is_told(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(NotALibraryError, match="truncated"):
        identify(file)


def test_an_empty_file_is_told(file: Path) -> None:
    file.write_bytes(b"")
    with pytest.raises(NotALibraryError, match="empty"):
        identify(file)


@given(st.sampled_from([b"", b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"]), st.binary(max_size=400))
def test_random_bytes_are_refused_or_told_but_never_crash(
    tmp_path_factory: pytest.TempPathFactory, start: bytes, rest: bytes
) -> None:
    file = tmp_path_factory.mktemp("random") / "library"
    file.write_bytes(start + rest)
    try:
        identify(file)
    except NotALibraryError as error:
        assert str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads this interpreter as an ELF file")
def test_this_interpreter_is_of_this_machine() -> None:
    machine = this_machine()
    facts = identify(Path(sys.executable).resolve())
    assert (facts.os, facts.arches) == (machine.os, (machine.arch,))
