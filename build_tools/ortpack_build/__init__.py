"""ortpack-build: manifests in, verified wheels of ONNX Runtime out."""

from __future__ import annotations

__version__ = "0.1.0"
