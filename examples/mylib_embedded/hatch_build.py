"""Tells the wheel's tag: the stable ABI that the extension module is for, and the platform of its runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class RuntimeTag(BuildHookInterface):  # type: ignore[type-arg]
    """Adds it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the hook's interface
        """As `runtime.json` says it."""
        said = json.loads(Path(self.root, "src/mylib_embedded/_ort/runtime.json").read_text(encoding="utf-8"))
        place = said["platform"]
        libc = place["libc_version"].replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"cp310-abi3-manylinux_{libc}_{place['arch']}"
