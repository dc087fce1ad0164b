"""Stage `kit`: ONNX Runtime compiled once for a target, ready to be linked."""

from __future__ import annotations

from ortpack_build.kit.build import make
from ortpack_build.kit.kit import Kit, expect, read
from ortpack_build.kit.order import Order, Programs
from ortpack_build.kit.pack import pack, unpack
from ortpack_build.kit.reduced import Reduced, exchanged, reduce_types

__all__ = [
    "Kit",
    "Order",
    "Programs",
    "Reduced",
    "exchanged",
    "expect",
    "make",
    "pack",
    "read",
    "reduce_types",
    "unpack",
]
