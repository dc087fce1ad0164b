"""Reads platform tags of wheels: family, version and architecture."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TAG = re.compile(
    r"(?:(?P<family>manylinux|musllinux|macosx)_(?P<major>\d{1,3})_(?P<minor>\d{1,3})_|(?P<windows>win)_)"
    r"(?P<arch>[a-z0-9_]+)"
)
_OS = {"manylinux": "linux", "musllinux": "linux", "macosx": "macos", "win": "windows"}
_LIBC = {"manylinux": "glibc", "musllinux": "musl"}


@dataclass(frozen=True, kw_only=True)
class PlatformTag:
    """A platform tag: `manylinux_2_28_x86_64` is family manylinux, version 2.28, architecture x86_64."""

    family: str  # manylinux, musllinux, macosx or win
    version: str | None  # of the C library or of macOS; None on Windows
    arch: str

    @property
    def os(self) -> str:
        return _OS[self.family]

    @property
    def libc(self) -> str | None:
        return _LIBC.get(self.family)

    def __str__(self) -> str:
        version = f"_{self.version.replace('.', '_')}" if self.version is not None else ""
        return f"{self.family}{version}_{self.arch}"


def parse_tag(tag: str) -> PlatformTag | None:
    """Split a tag into its parts; None for a tag that names no platform of ours (`any`, `linux_x86_64`, ...)."""
    match = _TAG.fullmatch(tag)
    if match is None:
        return None
    if match["windows"]:
        return PlatformTag(family="win", version=None, arch=match["arch"])
    return PlatformTag(
        family=match["family"], version=f"{int(match['major'])}.{int(match['minor'])}", arch=match["arch"]
    )


def version_key(version: str) -> tuple[int, ...]:
    """Make a dotted version comparable; trailing zeros don't count.

    Raises:
        ValueError: a part is no number.
    """
    parts = [int(part) for part in version.split(".")]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return tuple(parts)
