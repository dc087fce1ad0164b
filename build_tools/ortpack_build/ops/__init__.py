"""Finds the operators, opsets and types that models and configs need, with those that optimizers insert."""

from __future__ import annotations

from ortpack_build.ops.config import parse, read, write
from ortpack_build.ops.opset import Need, Operator, OpSet, Types, union

__all__ = ["Need", "OpSet", "Operator", "Types", "parse", "read", "union", "write"]
