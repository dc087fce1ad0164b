"""A native library's format, system and architecture are read from its header here, before it is loaded.

dlopen's own messages are poor, and mapping a truncated file can kill the process with SIGBUS. So the loader looks
at the header first: it reads at most 4 KB, and executes nothing.
"""

from __future__ import annotations

import os
import struct

from ortpack._value import Value

TYPE_CHECKING = False  # typing's takes long to import

if TYPE_CHECKING:
    from typing import BinaryIO

# e_machine of ELF (System V ABI supplements), Machine of PE (Microsoft PE format), cputype of Mach-O (<mach/machine.h>)
_ELF_MACHINES = {3: "i686", 22: "s390x", 40: "armv7l", 21: "ppc64le", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_PE_MACHINES = {0x14C: "x86", 0x8664: "amd64", 0xAA64: "arm64"}
_MACHO = b"\xcf\xfa\xed\xfe"  # of 64 bits, as all of those CPUs are
_LC_SEGMENT_64 = 0x19
_MACHO_CPUS = {0x01000007: "x86_64", 0x0100000C: "arm64"}


class BinaryFacts(Value):
    """Format, operating system and architecture of a library, in the words of `runtime.json`."""

    format: str  # "ELF", "PE" or "Mach-O"
    os: str  # "linux", "windows" or "macos"
    arches: tuple[str, ...]  # several for a universal Mach-O file


class NotALibraryError(ValueError):
    """The file is no complete native library; the message says what it is instead."""


def identify(path: str | os.PathLike[str]) -> BinaryFacts:
    """Read the header of the library at `path`.

    Raises:
        NotALibraryError: for an empty, foreign or truncated file.
        OSError: when the file can't be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(4096)
        if not head:
            raise NotALibraryError("the file is empty")
        if head.startswith(b"\x7fELF"):
            return _elf(file, head, size)
        if head.startswith(b"MZ"):
            return _pe(head, size)
        if head[:4] in (_MACHO, b"\xca\xfe\xba\xbe"):
            return _macho(file, head, size)
    raise NotALibraryError(f"it is no native library (it starts with {head[:4].hex(' ')})")


def _at(file: BinaryIO, head: bytes, offset: int, length: int) -> bytes:
    """Bytes of the file, which begins with `head`."""
    if offset + length <= len(head):
        return head[offset : offset + length]
    file.seek(offset)
    return file.read(length)


def _unpack(layout: str, head: bytes, offset: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, head, offset)
    except struct.error as error:
        raise NotALibraryError("the file is truncated inside its header") from error


def _elf(file: BinaryIO, head: bytes, size: int) -> BinaryFacts:
    wide, order = _unpack("2B", head, 4)
    end = "<" if order == 1 else ">"
    (machine,) = _unpack(end + "H", head, 18)
    program_offset, section_offset = _unpack(end + ("QQ" if wide == 2 else "II"), head, 32 if wide == 2 else 28)
    entry, count, section_entry, section_count = _unpack(end + "4H", head, 54 if wide == 2 else 42)
    needed = max(section_offset + section_entry * section_count, program_offset + entry * count)
    if size >= needed:
        programs = _at(file, head, program_offset, entry * count)  # patchelf moves them to the end
        for header in range(0, entry * count, entry or 1):
            if wide == 2:
                offset, _, _, length = _unpack(end + "4Q", programs, header + 8)
            else:
                offset, _, _, length = _unpack(end + "4I", programs, header + 4)
            needed = max(needed, offset + length)
    _check_size(size, needed)
    name = _ELF_MACHINES.get(machine, f"ELF machine {machine}")
    return BinaryFacts(format="ELF", os="linux", arches=(name,))


def _check_size(size: int, needed: int) -> None:
    if size < needed:
        raise NotALibraryError(f"the file is truncated: {size:,} bytes of {needed:,}")


def _pe(head: bytes, size: int) -> BinaryFacts:
    (start,) = _unpack("<I", head, 60)
    if head[start : start + 4] != b"PE\0\0":
        raise NotALibraryError("it is a DOS program, or truncated")
    machine, sections = _unpack("<2H", head, start + 4)
    (optional_size,) = _unpack("<H", head, start + 20)
    needed = 0
    for index in range(sections):
        length, offset = _unpack("<2I", head, start + 24 + optional_size + index * 40 + 16)
        needed = max(needed, offset + length)
    _check_size(size, needed)
    return BinaryFacts(format="PE", os="windows", arches=(_PE_MACHINES.get(machine, f"PE machine {machine:#x}"),))


def _macho(file: BinaryIO, head: bytes, size: int) -> BinaryFacts:
    if head[:4] == _MACHO:
        return BinaryFacts(format="Mach-O", os="macos", arches=(_macho_slice(file, 0, size),))
    (count,) = _unpack(">I", head, 4)
    arches = []
    for index in range(min(count, 16)):
        cpu, _, offset, length, _ = _unpack(">5I", head, 8 + index * 20)
        _check_size(size, offset + length)
        file.seek(offset)
        thin = file.read(4) == _MACHO
        arches.append(_macho_slice(file, offset, offset + length) if thin else _cpu_name(cpu))
    return BinaryFacts(format="Mach-O", os="macos", arches=tuple(arches))


def _macho_slice(file: BinaryIO, start: int, end: int) -> str:
    """The architecture of the library at `start`, whose segments have to lie before `end`."""
    file.seek(start)
    head = file.read(32)
    cpu, _, _, count, length = _unpack("<5I", head, 4)
    commands, place, needed = file.read(length), 0, 32 + length
    for _ in range(count):
        if end - start < needed:
            break
        kind, step = _unpack("<2I", commands, place)
        if kind == _LC_SEGMENT_64:
            offset, segment = _unpack("<2Q", commands, place + 40)
            needed = max(needed, offset + segment)
        place += max(step, 8)
    _check_size(end - start, needed)
    return _cpu_name(cpu)


def _cpu_name(cpu: int) -> str:
    return _MACHO_CPUS.get(cpu, f"Mach-O CPU {cpu:#x}")
