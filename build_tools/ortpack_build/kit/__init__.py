"""Stage `kit`: ONNX Runtime compiled once for a target, ready to be linked."""

from __future__ import annotations

from ortpack_build.kit.build import Order, Programs, make
from ortpack_build.kit.kit import Kit, expect, read
from ortpack_build.kit.pack import pack, unpack

__all__ = ["Kit", "Order", "Programs", "expect", "make", "pack", "read", "unpack"]
