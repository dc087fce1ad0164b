"""The platform of this process (system, architecture, C library), which runtimes are compared with."""

from __future__ import annotations

import os
import sys

from ortpack._value import Value

_ARCH_32BIT = {"x86_64": "i686", "aarch64": "armv7l", "armv8l": "armv7l"}


class Machine(Value):
    """The platform of this process, in the words of `runtime.json`."""

    os: str  # "linux", "macos", "windows" or another sys.platform
    arch: str  # as a process of this Python sees it: "x86_64", "aarch64", "armv7l", "arm64", "amd64"
    libc: str | None = None  # "glibc" or "musl", on Linux
    libc_version: str | None = None  # "2.36"; None where it is not known
    os_version: str | None = None  # "14.5", on macOS

    def __str__(self) -> str:
        libc = f", {self.libc} {self.libc_version or ''}".rstrip() if self.libc else ""
        return f"{self.os} {self.os_version or ''}".rstrip() + f" on {self.arch}{libc}"


def this_machine() -> Machine:
    """Describe the platform that this process runs on; no library is looked at or loaded."""
    if sys.platform.startswith("linux"):
        arch = os.uname().machine.lower()
        if sys.maxsize < 2**32:  # a 32-bit Python under a 64-bit kernel
            arch = _ARCH_32BIT.get(arch, arch)
        libc, version = _libc()
        return Machine(os="linux", arch=arch, libc=libc, libc_version=version)
    import platform  # noqa: PLC0415 - slow to import

    arch = platform.machine().lower()
    if sys.platform == "win32":
        return Machine(os="windows", arch={"x86_64": "amd64", "aarch64": "arm64"}.get(arch, arch))
    if sys.platform == "darwin":
        return Machine(os="macos", arch=arch, os_version=platform.mac_ver()[0])
    return Machine(os=sys.platform, arch=arch)


def _libc() -> tuple[str | None, str | None]:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (ValueError, OSError):  # musl does not know the name
        return "musl", None
    return (name, version) if name == "glibc" else (None, None)
