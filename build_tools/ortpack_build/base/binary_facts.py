"""What is known of a native library: one value for ELF, Mach-O and PE."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class BinaryFacts:
    """A native library.

    Attributes:
        os: linux, macos or windows; the format tells.
        machine: the processor that its header names, as `machine` of targets.toml spells it.
        needed: libraries that it needs, as it names them.
        exports: symbols that it offers.
        symbol_versions: ELF: versions of the symbols that it needs, e.g. GLIBC_2.28, of all needed libraries.
        versions_of: the same by needed library.
        minimum_os: Mach-O: the oldest macOS.
        rpaths: folders in which it has needed libraries looked for.
        hardening: protection that the format knows → whether it is on.
    """

    os: str
    machine: str
    needed: tuple[str, ...]
    exports: frozenset[str]
    symbol_versions: frozenset[str] = frozenset()
    versions_of: Mapping[str, frozenset[str]] = field(default_factory=dict)
    minimum_os: str | None = None
    rpaths: tuple[str, ...] = ()
    hardening: Mapping[str, bool] = field(default_factory=dict)
