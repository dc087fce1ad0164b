"""The libraries that zig links by itself, with two corrections that the kit's own links make.

First, zig's compiler-rt defines memcpy, memset, mathematical functions and those of the stack protector, besides what
libgcc has too (128-bit division and the like), and all of it is one object. As soon as a link needs one of these
functions, the whole object goes in, and its definitions win over those of libc, which are faster, tuned to the
processor, and what the official library calls. So every function that libc exports is taken out of compiler-rt: its
definition becomes a reference.

Second, zig's musl names itself libc.so. Wheels are for Alpine, whose musl has another name, and checkers of wheels go
by that. (At run time either name works: musl's loader takes both for itself.)
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
_SYMTAB = 2  # type of the section with the symbol table
_GLOBAL_UNTYPED = 1 << 4  # info of a symbol that another file defines
_MUSL = "libc.so"  # the name that zig's musl gives itself
_TIMEOUT = 1800  # seconds: zig compiles what is missing for the target


class _Layout(NamedTuple):
    """Where things are in an ELF file of one class (32 or 64 bits), as offsets and formats of the `struct` module."""

    shoff: int  # of the file header's field with the offset of the section headers
    word: str  # that field's format
    sizes: int  # of its fields with the size and the number of section headers
    header: str  # a section header
    symbol: str  # an entry of the symbol table
    fields: tuple[int, int, int, int, int, int]  # places of name, value, size, info, other, section in that entry


_LAYOUTS = {
    1: _Layout(0x20, "I", 0x2E, "IIIIIIIIII", "IIIBBH", (0, 1, 2, 3, 4, 5)),
    2: _Layout(0x28, "Q", 0x3A, "IIQQQQIIQQ", "IBBHQQ", (0, 4, 5, 1, 2, 3)),
}


class ZigRuntime(Struct, frozen=True, kw_only=True):
    """What a link for a target needs besides its own objects.

    Attributes:
        emulation: LLD's name of the target.
        builtins: path of zig's compiler-rt, without the functions that libc has.
        libraries: paths of libc++, of the unwinder, and of the stubs of libc.
        musl: the name that musl's stub was given; it is without effect where the target has no musl.
    """

    emulation: str
    builtins: str
    libraries: tuple[str, ...]
    musl: str


def cached(cxx: Path, environ: Mapping[str, str], work: Path, *, musl: str, at: Path) -> ZigRuntime:
    """Return what `zig_runtime` does, from the folder `at` if it was called for this target before.

    Raises:
        ToolError, BinaryError: as `zig_runtime`.
    """
    said = at / "runtime.json"
    try:
        found = msgspec.json.decode(said.read_bytes(), type=ZigRuntime)
        if found.musl == musl and all(Path(path).is_file() for path in (found.builtins, *found.libraries)):
            return found
    except (FileNotFoundError, msgspec.DecodeError):
        pass  # not there yet, or written by another version of this module
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
    partial.replace(path)  # another process may do the same at this time; its bytes are the same


def zig_runtime(cxx: Path, environ: Mapping[str, str], work: Path, *, musl: str) -> ZigRuntime:
    """Find out what zig links into a shared library, and correct it as the module's docstring says.

    Args:
        cxx: zig as the C++ compiler of the target.
        environ: of its process.
        work: an existing folder, for the corrected files.
        musl: the name that a library shall have for musl, should its target have that.

    Raises:
        ToolError: zig failed, or does not say what it links.
        BinaryError: its files are of an unknown form.
    """
    emulation, linked = _link_of_probe(cxx, environ, work)
    builtins = [path for path in linked if path.name == "libcompiler_rt.a"]
    libc = [path for path in linked if re.fullmatch(r"lib[cm]\.so(?:\.\d+)?", path.name)]
    if len(builtins) != 1 or not libc:
        raise ToolError(f"zig links no compiler-rt or no libc, but {', '.join(path.name for path in linked)}.")
    theirs: set[str] = set()
    renamed: dict[Path, Path] = {}
    for library in libc:
        exports, copy = _stub(library, work, musl)
        theirs |= exports
        if copy is not None:
            renamed[library] = copy
    target = work / "builtins.a"
    target.write_bytes(without(builtins[0].read_bytes(), theirs))
    return ZigRuntime(
        emulation=emulation,
        builtins=str(target),
        libraries=tuple(str(renamed.get(path, path)) for path in linked if path != builtins[0]),
        musl=musl,
    )


def _link_of_probe(cxx: Path, environ: Mapping[str, str], work: Path) -> tuple[str, list[Path]]:
    """Have zig link an almost empty library, and read its linker command: LLD's name of the target, and the libraries.

    Raises:
        ToolError: zig failed, or does not say what it links.
    """
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
    # zig prints the links of libraries that it had to compile for the target as well; the probe's is the last.
    words = next((line.split() for line in reversed(done.errors.splitlines()) if probe.name in line), [])
    if done.code != 0 or "-m" not in words:
        raise ToolError(f"zig does not say what it links: {done.errors[-500:]}")
    linked = [work / word for word in words if re.search(r"\.(?:a|so(?:\.\d+)?)$", word) and probe.name not in word]
    return words[words.index("-m") + 1], linked


def _stub(library: Path, work: Path, musl: str) -> tuple[set[str], Path | None]:
    """Return the names that a stub of libc exports, and if it is musl's, a copy of it with the name `musl`.

    Raises:
        BinaryError: it can't be read.
    """
    import lief  # noqa: PLC0415 - slow, and this is done once a target

    parsed = lief.ELF.parse(str(library))
    if parsed is None:
        raise BinaryError(f"{library} can't be read.")
    exports = {str(symbol.name) for symbol in parsed.exported_symbols}
    soname = parsed.get(lief.ELF.DynamicEntry.TAG.SONAME)
    if not isinstance(soname, lief.ELF.DynamicSharedObject) or soname.name != _MUSL:
        return exports, None
    soname.name, copy = musl, work / musl
    parsed.write(str(copy))
    return exports, copy


def without(archive: bytes, names: Collection[str]) -> bytes:
    """Turn the definitions of `names` in a static library into references.

    Args:
        archive: the static library.
        names: symbols, defined or not.

    Returns:
        A static library of the same size, whose objects want these symbols from elsewhere.

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
    """Turn the definitions of `names` in one object into references, in place."""
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
