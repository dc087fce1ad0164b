"""Makes the source tree of an ONNX Runtime release out of pinned archives."""

from __future__ import annotations

from ortpack_build.origin.source.manifest import Sources, default_release, load, releases
from ortpack_build.origin.source.tree import SourceTree, obtain

__all__ = ["SourceTree", "Sources", "default_release", "load", "obtain", "releases"]
