"""Stage `toolchain`: compilers behind one protocol."""

from __future__ import annotations

from ortpack_build.toolchain.base import Compilers, Link, Toolchain, Workplace, set_up
from ortpack_build.toolchain.system import System, find
from ortpack_build.toolchain.zig import Zig

__all__ = ["Compilers", "Link", "System", "Toolchain", "Workplace", "Zig", "find", "set_up"]
