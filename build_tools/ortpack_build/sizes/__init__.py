"""Tells what a linked library is made of, in bytes: by subsystem and, within the kernels, by operator."""

from __future__ import annotations

from ortpack_build.sizes.link_map import Piece, read_map
from ortpack_build.sizes.model import NAME, Row, Sizes, dump, parse
from ortpack_build.sizes.rows import measure, of_sections

__all__ = ["NAME", "Piece", "Row", "Sizes", "dump", "measure", "of_sections", "parse", "read_map"]
