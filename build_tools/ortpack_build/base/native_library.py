"""Reads native libraries of any format, with LIEF, and interprets what they say of themselves."""

from __future__ import annotations

import fnmatch
import re
import warnings
from typing import TYPE_CHECKING, TypeVar

from ortpack_build.base.errors import BinaryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from ortpack_build.base.binary_facts import BinaryFacts

_T = TypeVar("_T")
_SYMBOL_VERSION = re.compile(r"([A-Za-z]+)_(\d+(?:\.\d+)*)")


# LIEF, which the reader imports, takes a third of a second to import, and few commands look into a library.


def inspect(file: Path, machine: str = "") -> BinaryFacts:
    """Read a library; of a Mach-O file for several machines, the part for `machine`, or the first.

    Args:
        file: the library.
        machine: as targets.toml spells it.

    Raises:
        BinaryError: the file is no native library, or damaged.
    """
    from ortpack_build.base import native_library_reader  # noqa: PLC0415 - slow, see above

    return _read(file, lambda file: native_library_reader.read(file, machine))


def sections(file: Path) -> dict[str, int]:
    """Return section → bytes of it in the file, those of one name added up.

    Raises:
        BinaryError: the file is no native library, or damaged.
    """
    from ortpack_build.base import native_library_reader  # noqa: PLC0415 - slow, see above

    return _read(file, native_library_reader.sections)


def _read(file: Path, reader: Callable[[Path], _T | None]) -> _T:
    try:
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # of numbers that LIEF has no name for
            found = reader(file)
    except Exception as error:  # LIEF has no error class of its own: damaged files raise whatever comes up
        raise BinaryError(f"{file.name} is a damaged native library, or of a kind unknown here: {error!r}.") from error
    if found is None:
        raise BinaryError(f"{file.name} is no native library (not ELF, Mach-O or PE), or damaged.")
    return found


# An absolute path of a source or object file, and any path below where people and builders have their files.
_PATH = re.compile(
    rb"(?<![\w.:$~/\\-])(?:"
    rb"/(?:[\w.+@~-]+/)*[\w.+@~-]+\.(?:c|cc|cpp|cxx|h|hh|hpp|inc|S|s|a|o|py)(?![\w.])"
    rb"|/(?:home|root|Users|tmp|build|builds|mnt|__w)/[\w.+@~/-]+"
    rb"|[A-Za-z]:[\\/](?:[\w.+@~ -]+[\\/])+[\w.+@~-]+"
    rb")"
)


def build_paths(data: bytes) -> tuple[str, ...]:
    """Find paths in a library's bytes that look as if they were those of the machine that built it, each once."""
    return tuple(sorted({found[0].decode("ascii", "replace") for found in _PATH.finditer(data)}))


# Where Microsoft's 1DS client, which official libraries have since 1.29, sends its events
_COLLECTOR = re.compile(rb"https://([\w.-]+)/OneCollector/")
# The provider of events for Windows' own tracing (ETW), which libraries for Windows have had for longer
_TRACED = re.compile(rb"Microsoft\.ML\.ONNXRuntime(?![\w.])")


def collectors(data: bytes) -> tuple[str, ...]:
    """The hosts that a library's telemetry sends events to; none if it has no telemetry of that kind."""
    return tuple(sorted({found[1].decode() for found in _COLLECTOR.finditer(data)}))


def traces_events(data: bytes) -> bool:
    """Whether a library for Windows has ONNX Runtime's events for the system's own tracing (ETW)."""
    return data.startswith(b"MZ") and _TRACED.search(data) is not None


def split_version(symbol_version: str) -> tuple[str, str] | None:
    """Split `GLIBC_2.28` into (`GLIBC`, `2.28`); None when it has no number (`GLIBC_PRIVATE`, `CXXABI_TM_1`)."""
    match = _SYMBOL_VERSION.fullmatch(symbol_version)
    return (match[1], match[2]) if match else None


def whence(library: str, libraries: Mapping[str, Iterable[str]], bundled: Iterable[str], os: str) -> str | None:
    """Tell where a needed library comes from.

    Args:
        library: its name, as the library that needs it spells it.
        libraries: origin → patterns of the names that it provides.
        bundled: names of the libraries in the bundle itself.
        os: the target's; Windows does not distinguish capitals.

    Returns:
        `bundle`, a key of `libraries`, or None: nothing provides it.
    """

    def same(name: str, pattern: str) -> bool:
        if os == "windows":
            return fnmatch.fnmatchcase(name.lower(), pattern.lower())
        return fnmatch.fnmatchcase(name, pattern)

    if any(same(library.rpartition("/")[2], name) for name in bundled):
        return "bundle"
    return next((origin for origin, names in libraries.items() if any(same(library, name) for name in names)), None)
