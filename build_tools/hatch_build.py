"""Puts the manifests and the loader's sources into the distributions.

`variants/` and `loader/` of an sdist, `ortpack_build/_variants/` and `ortpack_build/_loader/` of a wheel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_LOADER = {"binding": ("**/*.cpp", "**/*.h"), "ortpack": ("*.py", "*.pyi", "py.typed", "_pyinstaller/*.py")}


class Variants(BuildHookInterface):  # type: ignore[type-arg]
    """An editable install needs nothing: the package finds the repository's folder."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        unpacked = root / "variants"  # of an sdist
        source = unpacked if unpacked.is_dir() else root.parent / "variants"
        sdist = self.target_name == "sdist"
        included = build_data["force_include"]
        included[str(source)] = "variants" if sdist else "ortpack_build/_variants"
        unpacked = root / "loader"
        source = unpacked if unpacked.is_dir() else root.parent / "src"
        goal = "loader" if sdist else "ortpack_build/_loader"
        license_ = source / "LICENSE" if unpacked.is_dir() else root.parent / "LICENSE"
        included[str(license_)] = f"{goal}/LICENSE"
        for folder, patterns in _LOADER.items():  # and nothing that was compiled in place
            for path in sorted(found for pattern in patterns for found in (source / folder).glob(pattern)):
                included[str(path)] = f"{goal}/{path.relative_to(source).as_posix()}"
