"""A folder that packages are installed into, to start new Pythons with."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.official import NEWEST, library

if TYPE_CHECKING:
    from pathlib import Path

SILENT = {"PYTHONWARNINGS": "default", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True, kw_only=True)
class Site:
    """A folder that packages are installed into (as `pip install --target` does), with a copy of the built loader."""

    folder: Path

    def add(self, name: str, *, source: Path | None = None, release: str = NEWEST, **changes: Any) -> Path:
        """Install a runtime: a link to `source`, or to the official library of `release`. Returns its folder."""
        source = source or library(release)
        folder = self.folder / "ortpack_runtimes" / name
        folder.mkdir(parents=True)
        (folder / source.name).symlink_to(source)
        content = source.read_bytes()
        data = {
            "schema": 1,
            "name": name,
            "variant": name,
            "target": "linux-x86_64",
            "ort_version": release,
            "api_version": int(release.split(".")[1]),
            "linkage": "shared",
            "library": source.name,
            "files": {source.name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}},
            "providers": ["CPUExecutionProvider"],
            "devices": {"cpu": ["CPUExecutionProvider"]},
            "priority": 0,
            "model_formats": ["onnx", "ort"],
            "reduced": False,
            "platform": {"os": "linux", "arch": "x86_64", "libc": "glibc", "libc_version": "2.17"},
            "requires": [],
            "provenance": {"origin": "test"},
            **changes,
        }
        (folder / "runtime.json").write_text(json.dumps(data))
        return folder

    def run(self, *arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """A new Python with this site and these environment variables."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ORTPACK_")}
        environment = {**inherited, **SILENT, "PYTHONPATH": str(self.folder), **variables}
        return subprocess.run(
            [sys.executable, *arguments],
            env=environment,
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def code(self, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.run("-c", code, cwd=None, **variables)
