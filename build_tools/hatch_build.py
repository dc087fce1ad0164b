"""Puts the manifests into the distributions: `variants/` of an sdist, `ortpack_build/_variants/` of a wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Variants(BuildHookInterface):  # type: ignore[type-arg]
    """An editable install needs nothing: the package finds the repository's folder."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        unpacked = root / "variants"  # of an sdist
        source = unpacked if unpacked.is_dir() else root.parent / "variants"
        goal = "variants" if self.target_name == "sdist" else "ortpack_build/_variants"
        build_data["force_include"][str(source)] = goal
