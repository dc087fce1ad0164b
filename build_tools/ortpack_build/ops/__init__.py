"""What models need of a runtime: operators with opsets and types, from configs and models, closed over optimizers."""

from __future__ import annotations

from ortpack_build.ops.config import parse, read, write
from ortpack_build.ops.opset import Need, Operator, OpSet, Types, union

__all__ = ["Need", "OpSet", "Operator", "Types", "parse", "read", "union", "write"]
