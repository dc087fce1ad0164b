"""Describes this machine in the words of the manifests."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ortpack_build.base.tags import version_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ortpack_build.catalog.model import Target
    from ortpack_build.catalog.spec import Platform

_OS = {"linux": "linux", "darwin": "macos", "win32": "windows"}


@dataclass(frozen=True, kw_only=True)
class Host:
    """The platform that this Python runs on; its version is glibc's, musl's or macOS's."""

    os: str
    arch: str
    libc: str | None = None
    version: str | None = None

    def target(self, targets: Mapping[str, Target]) -> str | None:
        """Name the target that this machine is one of; None if there is none."""
        key = (self.os, self.arch, self.libc)
        return next((name for name, entry in targets.items() if (entry.os, entry.arch, entry.libc) == key), None)

    def why_not(self, target: Target, platform: Platform, targets: Mapping[str, Target]) -> str | None:
        """Say why binaries for a target and platform can't run here; None if they can."""
        own = self.target(targets)
        if own not in target.runs_on:
            return f"this machine is {own or f'{self.os} {self.arch}'}"
        oldest = platform.libc_version or platform.os_version
        if own == target.name and oldest and self.version and version_key(self.version) < version_key(oldest):
            return f"needs {platform.libc or 'macOS'} {oldest}, this machine has {self.version}"
        return None


def detect() -> Host:
    """Describe the machine that this process runs on."""
    system = _OS.get(sys.platform, sys.platform)
    if system == "windows":
        kind = sysconfig.get_platform()  # win-amd64, win-arm64: of this Python, which may be emulated
        return Host(os=system, arch=kind.removeprefix("win-"))
    if system == "macos":
        return Host(os=system, arch=platform.machine(), version=platform.mac_ver()[0])
    libc, version = _libc()
    return Host(os=system, arch=platform.machine(), libc=libc, version=version)


def _libc() -> tuple[str | None, str | None]:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError):  # no such name: not glibc
        return "musl", None
    return (name or None), (version or None)
