"""Stage `kit`: ONNX Runtime compiled once for a target, ready to be linked."""

from __future__ import annotations

from ortpack_build.kit.compile import make
from ortpack_build.kit.format import Kit, expect, read
from ortpack_build.kit.inputs import KitBuild, KitInputs, Programs
from ortpack_build.kit.pack import pack, unpack
from ortpack_build.kit.type_reduction import Reduced, exchanged, reduce_types

__all__ = [
    "Kit",
    "KitBuild",
    "KitInputs",
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
