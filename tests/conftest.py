"""Nobody's machine reports to ONNX Runtime's makers because tests start the official package."""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
