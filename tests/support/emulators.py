"""Programs that run what is made for other machines, where they are installed."""

from __future__ import annotations

import os
import platform
import shutil
import sys

import pytest

from ortpack_build.catalog import manifests
from ortpack_build.verify import run_under_wine

WINE = run_under_wine.find(manifests.load().targets["win-amd64"], os.environ)
X86_64 = sys.platform == "linux" and platform.machine() == "x86_64"

needs_wine = pytest.mark.skipif(
    WINE is None or not X86_64, reason="wine is not installed (Debian: apt install wine), or zig is not pinned here"
)


def cpu_of_intel() -> list[str] | None:
    """The command that runs a program on a CPU that qemu plays; None where it can't."""
    emulator = shutil.which("qemu-x86_64")
    return [emulator, "-cpu", "Haswell"] if emulator and X86_64 else None
