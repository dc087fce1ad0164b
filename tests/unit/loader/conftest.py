from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def manifest(**changes: Any) -> dict[str, Any]:
    """A valid `runtime.json` of a runtime with one library of three bytes."""
    data: dict[str, Any] = {
        "schema": 1,
        "name": "cpu",
        "variant": "cpu",
        "target": "linux-x86_64",
        "ort_version": "1.32.0",
        "api_version": 32,
        "linkage": "shared",
        "library": "libonnxruntime.so",
        "files": {"libonnxruntime.so": {"sha256": hashlib.sha256(b"abc").hexdigest(), "size": 3}},
        "providers": ["CPUExecutionProvider"],
        "devices": {"cpu": ["CPUExecutionProvider"]},
        "priority": 0,
        "model_formats": ["onnx", "ort"],
        "reduced": False,
        "platform": {"os": "linux", "arch": "x86_64", "libc": "glibc", "libc_version": "2.28"},
        "requires": [],
        "provenance": {"origin": "prebuilt"},
    }
    data.update(changes)
    return data


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., Path]:
    """Write a runtime's folder below `tmp_path`; returns it. `omit` drops keys of its `runtime.json`."""

    def write(*, omit: tuple[str, ...] = (), content: bytes = b"abc", **changes: Any) -> Path:
        data = manifest(**changes)
        for key in omit:
            del data[key]
        folder = tmp_path / "ortpack_runtimes" / str(changes.get("name", "cpu"))
        folder.mkdir(parents=True)
        (folder / "runtime.json").write_text(json.dumps(data))
        (folder / "libonnxruntime.so").write_bytes(content)
        return folder

    return write
