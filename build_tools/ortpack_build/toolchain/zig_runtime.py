"""What zig links by itself, put right: its compiler-rt without the functions that libc has, and musl's own name.

zig links one object with everything that compilers may call, and beside what libgcc has (128-bit division and the
like) it defines memcpy, memset, mathematical functions and those of the stack protector. As soon as one of its
functions is needed all of them win over libc's, which are faster, tuned to the processor, and what the official
library calls. So what libc exports is taken out of it: the definitions become references.

zig's musl calls itself libc.so, as glibc's linker script does. Tags of wheels go by Alpine's name for it, and
musl's loader takes either for itself, whatever files there are.
"""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ortpack_build.base import ar, process
from ortpack_build.base.errors import BinaryError, ToolError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_ELF = b"\x7fELF"
_SYMTAB = 2
_GLOBAL_UNTYPED = 1 << 4
_MUSL = "libc.so"  # what zig's calls itself
_TIMEOUT = 1800  # seconds: zig compiles what is missing for the target


class _Layout(NamedTuple):
    """Where things are in an ELF file of one class (32 or 64 bits), as offsets and `struct` formats."""

    shoff: int
    word: str
    sizes: int
    header: str
    symbol: str
    fields: tuple[int, int, int, int, int, int]  # places of name, value, size, info, other, section in a symbol


_LAYOUTS = {
    1: _Layout(0x20, "I", 0x2E, "IIIIIIIIII", "IIIBBH", (0, 1, 2, 3, 4, 5)),
    2: _Layout(0x28, "Q", 0x3A, "IIQQQQIIQQ", "IBBHQQ", (0, 4, 5, 1, 2, 3)),
}


class ZigRuntime(Struct, frozen=True, kw_only=True):
    """What zig links besides what it is given.

    Attributes:
        emulation: LLD's name of the target.
        builtins: its compiler-rt, without what libc has.
        libraries: libc++, the unwinder, and the stubs of libc.
        musl: the name that musl's stub was given, if it was asked for.
    """

    emulation: str
    builtins: str
    libraries: tuple[str, ...]
    musl: str


def cached(cxx: Path, environ: Mapping[str, str], work: Path, *, musl: str, at: Path) -> ZigRuntime:
    """What `zig_runtime` gives, cached in the folder `at`.

    Raises:
        ToolError, BinaryError: as `zig_runtime`.
    """
    said = at / "brought.json"
    try:
        found = msgspec.json.decode(said.read_bytes(), type=ZigRuntime)
        if found.musl == musl and all(Path(path).is_file() for path in (found.builtins, *found.libraries)):
            return found
    except (FileNotFoundError, msgspec.DecodeError):
        pass  # not there yet, or of another version of this
    made = zig_runtime(cxx, environ, work, musl=musl)
    at.mkdir(parents=True, exist_ok=True)

    def moved(path: str) -> str:
        if not Path(path).is_relative_to(work):
            return path
        place = at / Path(path).name
        _put(place, Path(path).read_bytes())
        return str(place)

    result = replace(made, builtins=moved(made.builtins), libraries=tuple(map(moved, made.libraries)))
    _put(said, msgspec.json.encode(result))
    return result


def _put(path: Path, data: bytes) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_bytes(data)
    partial.replace(path)  # whoever comes second writes the same


def zig_runtime(cxx: Path, environ: Mapping[str, str], work: Path, *, musl: str) -> ZigRuntime:
    """What zig links into a shared library for the target of `cxx`; what is rewritten is in the folder `work`.

    Args:
        musl: what a library shall call musl, should its target have that.

    Raises:
        ToolError: zig failed, or does not say what it links.
        BinaryError: its files are of an unknown form.
    """
    import lief  # noqa: PLC0415 - slow, and this is done once a target

    source, probe = work / "probe.c", work / "probe.so"
    source.write_text("int ortpack_probe(void) { return 0; }\n", encoding="utf-8")
    try:
        done = process.run(
            # Optimised for size, which its libraries are then too: none of their code is run in an inference.
            [cxx, "-Os", "-shared", "-x", "c", source, "-o", probe, "-lm"],
            environ={**environ, "ZIG_VERBOSE_LINK": "1"},
            cwd=work,
            timeout=_TIMEOUT,
        )
    except process.OverdueError as error:
        raise ToolError(f"zig came to no end in {_TIMEOUT} s.", hint="The same command goes on from there.") from error
    # zig says the links of what it had to compile for the target as well; the last is the one of the probe.
    words = next((line.split() for line in reversed(done.errors.splitlines()) if probe.name in line), [])
    linked = [work / word for word in words if re.search(r"\.(?:a|so(?:\.\d+)?)$", word) and probe.name not in word]
    builtins = [path for path in linked if path.name == "libcompiler_rt.a"]
    libc = [path for path in linked if re.fullmatch(r"lib[cm]\.so(?:\.\d+)?", path.name)]
    if done.code != 0 or len(builtins) != 1 or not libc or "-m" not in words:
        raise ToolError(f"zig does not say what it links: {done.errors[-500:]}")
    theirs: set[str] = set()
    renamed: dict[Path, Path] = {}
    for library in libc:
        parsed = lief.ELF.parse(str(library))
        if parsed is None:
            raise BinaryError(f"{library} can't be read.")
        theirs |= {str(symbol.name) for symbol in parsed.exported_symbols}
        soname = parsed.get(lief.ELF.DynamicEntry.TAG.SONAME)
        if isinstance(soname, lief.ELF.DynamicSharedObject) and soname.name == _MUSL:
            soname.name, renamed[library] = musl, work / musl
            parsed.write(str(renamed[library]))
    target = work / "builtins.a"
    target.write_bytes(without(builtins[0].read_bytes(), theirs))
    return ZigRuntime(
        emulation=words[words.index("-m") + 1],
        builtins=str(target),
        libraries=tuple(str(renamed.get(path, path)) for path in linked if path != builtins[0]),
        musl=musl,
    )


def without(archive: bytes, names: Collection[str]) -> bytes:
    """A static library whose objects refer to the named symbols instead of defining them.

    Raises:
        BinaryError: it is no static library of ELF objects.
    """
    data = bytearray(archive)
    objects = [member for member in ar.members(archive, "zig's compiler-rt") if archive.startswith(_ELF, member.start)]
    if not objects:
        raise BinaryError("zig's compiler-rt holds no ELF object.")
    for member in objects:
        _undefine(memoryview(data)[member.start : member.start + member.size], names)
    return bytes(data)


def _undefine(elf: memoryview, names: Collection[str]) -> None:
    """Turn the definitions of `names` in an object into references, in place."""
    layout, order = _LAYOUTS[elf[4]], "<" if elf[5] == 1 else ">"
    (sections,) = struct.unpack_from(order + layout.word, elf, layout.shoff)
    entry, count = struct.unpack_from(f"{order}HH", elf, layout.sizes)
    headers = [struct.unpack_from(order + layout.header, elf, sections + entry * i) for i in range(count)]
    form = order + layout.symbol
    name_, value_, size_, info_, other_, section_ = layout.fields
    for header in headers:
        if header[1] != _SYMTAB:
            continue
        offset, length, strings = header[4], header[5], headers[header[6]][4]
        for place in range(offset, offset + length, struct.calcsize(form)):
            symbol = list(struct.unpack_from(form, elf, place))
            start = strings + symbol[name_]
            name = bytes(elf[start : start + 64]).split(b"\0")[0].decode("ascii", "replace")
            if name in names and symbol[info_] >> 4 and symbol[section_]:
                symbol[value_] = symbol[size_] = symbol[other_] = symbol[section_] = 0
                symbol[info_] = _GLOBAL_UNTYPED
                struct.pack_into(form, elf, place, *symbol)
