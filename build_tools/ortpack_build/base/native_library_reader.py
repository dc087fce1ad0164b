"""Reads native libraries with LIEF. `native_library` imports this module only when there is a library to be read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import lief

from ortpack_build.base.binary_facts import BinaryFacts

if TYPE_CHECKING:
    from pathlib import Path

lief.logging.disable()  # what it can't read becomes an error of ours


def sections(file: Path) -> dict[str, int] | None:
    """What `native_library.sections` returns; None if the file is no native library. Raises whatever LIEF raises."""
    parsed = lief.parse(str(file))
    if not isinstance(parsed, lief.ELF.Binary | lief.PE.Binary | lief.MachO.Binary):
        return None
    found: dict[str, int] = {}
    for section in parsed.sections:
        if isinstance(section, lief.ELF.Section) and section.type == lief.ELF.Section.TYPE.NOBITS:
            continue  # made of zeros when it is loaded
        if isinstance(section, lief.MachO.Section) and not section.offset:
            continue
        size = section.sizeof_raw_data if isinstance(section, lief.PE.Section) else section.size
        name = section.name if isinstance(section.name, str) else section.name.decode("utf-8", "replace")
        if name and size:
            found[name] = found.get(name, 0) + size
    return found


def read(file: Path, machine: str) -> BinaryFacts | None:
    """What `native_library.inspect` returns; None if the file is no native library. Raises whatever LIEF raises."""
    whole = lief.MachO.parse(str(file)) if lief.is_macho(str(file)) else lief.parse(str(file))
    parsed = whole
    if isinstance(whole, lief.MachO.FatBinary) and whole.size > 0:
        # `whole` owns its parts and has to outlive them.
        parts = {part.header.cpu_type.name: part for part in whole}
        parsed = parts.get(machine) or next(iter(parts.values()))
    if isinstance(parsed, lief.ELF.Binary):
        end = max(segment.file_offset + segment.physical_size for segment in parsed.segments)
        facts = _elf(parsed)
    elif isinstance(parsed, lief.PE.Binary):
        end = max(section.pointerto_raw_data + section.sizeof_raw_data for section in parsed.sections)
        facts = _pe(parsed)
    elif isinstance(parsed, lief.MachO.Binary):
        end = parsed.fat_offset + max(segment.file_offset + segment.file_size for segment in parsed.segments)
        facts = _macho(parsed)
    else:
        return None
    size = file.stat().st_size
    if end > size:
        msg = f"cut off at {size} of {end} bytes"
        raise ValueError(msg)
    return facts


def _elf(binary: lief.ELF.Binary) -> BinaryFacts:
    tags = lief.ELF.DynamicEntry.TAG
    entries = list(binary.dynamic_entries)
    rpaths = [path for entry in entries if isinstance(entry, _RPATHS) for path in entry.paths]
    now = any(isinstance(entry, lief.ELF.DynamicEntryFlags) and _binds_now(entry) for entry in entries)
    now = now or any(entry.tag == tags.BIND_NOW for entry in entries)
    segments = lief.ELF.Segment
    stack = next((segment for segment in binary.segments if segment.type == segments.TYPE.GNU_STACK), None)
    relro = any(segment.type == segments.TYPE.GNU_RELRO for segment in binary.segments)
    imported = {symbol.name for symbol in binary.imported_symbols}
    versions = {
        str(requirement.name): frozenset(str(version.name) for version in requirement.get_auxiliary_symbols())
        for requirement in binary.symbols_version_requirement
    }
    return BinaryFacts(
        os="linux",
        machine=binary.header.machine_type.name,
        needed=tuple(str(name) for name in binary.libraries),
        exports=frozenset(str(symbol.name) for symbol in binary.exported_symbols),
        symbol_versions=frozenset().union(*versions.values()),
        versions_of=versions,
        rpaths=tuple(rpaths),
        hardening={
            "RELRO": relro,
            "BIND_NOW": now,
            "NX": stack is not None and not stack.has(segments.FLAGS.X),
            "stack protector": any(str(name).startswith("__stack_chk_fail") for name in imported),
            "FORTIFY": any(_FORTIFIED.fullmatch(str(name)) for name in imported),
            "no TEXTREL": not any(_relocates_text(entry) for entry in entries),
            "position independent": binary.header.file_type == lief.ELF.Header.FILE_TYPE.DYN,
            "CET/BTI": _marks_branches(binary),
        },
    )


# What glibc calls the functions that check sizes, e.g. __memcpy_chk.
_FORTIFIED = re.compile(r"__(?!stack_chk)\w+_chk")
_RPATHS = (lief.ELF.DynamicEntryRpath, lief.ELF.DynamicEntryRunPath)


def _binds_now(entry: lief.ELF.DynamicEntryFlags) -> bool:
    flags = lief.ELF.DynamicEntryFlags.FLAG
    return flags.BIND_NOW in entry.flags or flags.NOW in entry.flags


def _relocates_text(entry: lief.ELF.DynamicEntry) -> bool:
    if isinstance(entry, lief.ELF.DynamicEntryFlags) and lief.ELF.DynamicEntryFlags.FLAG.TEXTREL in entry.flags:
        return True
    return entry.tag == lief.ELF.DynamicEntry.TAG.TEXTREL


def _marks_branches(binary: lief.ELF.Binary) -> bool:
    """Whether indirect branches may only land on marked places (x86 IBT, Arm BTI)."""
    features = (lief.ELF.X86Features, lief.ELF.AArch64Feature)
    for note in binary.notes:
        if isinstance(note, lief.ELF.NoteGnuProperty):
            found = " ".join(str(item) for item in note.properties if isinstance(item, features)).upper()
            if "IBT" in found or "BTI" in found:
                return True
    return False


def _pe(binary: lief.PE.Binary) -> BinaryFacts:
    characteristics = lief.PE.OptionalHeader.DLL_CHARACTERISTICS
    has = binary.optional_header.has
    return BinaryFacts(
        os="windows",
        machine=binary.header.machine.name,
        needed=tuple(str(library.name) for library in [*binary.imports, *binary.delay_imports]),
        exports=frozenset(str(function.name) for function in binary.exported_functions),
        hardening={
            "NX": has(characteristics.NX_COMPAT),
            "ASLR": has(characteristics.DYNAMIC_BASE),
            "high-entropy ASLR": has(characteristics.HIGH_ENTROPY_VA),
            "control flow guard": has(characteristics.GUARD_CF),
            "signed": binary.has_signatures,
        },
    )


def _macho(binary: lief.MachO.Binary) -> BinaryFacts:
    flags = lief.MachO.Header.FLAGS
    minimum = [0, 0]
    if binary.build_version is not None:
        minimum = binary.build_version.minos
    elif binary.version_min is not None:
        minimum = binary.version_min.version
    own = binary.get(lief.MachO.LoadCommand.TYPE.ID_DYLIB)
    names = [str(library.name) for library in binary.libraries]
    if isinstance(own, lief.MachO.DylibCommand):
        names.remove(str(own.name))  # its own install name is listed too
    return BinaryFacts(
        os="macos",
        machine=binary.header.cpu_type.name,
        needed=tuple(names),
        exports=frozenset(str(symbol.name).removeprefix("_") for symbol in binary.exported_symbols),
        minimum_os=f"{minimum[0]}.{minimum[1]}",
        rpaths=tuple(str(command.path) for command in binary.rpaths) if binary.has_rpath else (),
        hardening={
            "NX": flags.ALLOW_STACK_EXECUTION not in binary.header.flags_list,
            "signed": binary.has_code_signature,
        },
    )
