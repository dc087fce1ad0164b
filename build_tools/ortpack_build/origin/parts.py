"""The loose files that a bundle is assembled of, whether they are out of an official wheel or linked from a kit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ortpack_build.sizes import Sizes


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The loose files that a runtime is made of, before they are one.

    Attributes:
        libraries: file name in the runtime → file.
        licenses: file name → file.
        provenance: for runtime.json: "origin", and what is known of it.
        wheel_members: every member of the official wheel; none if they were not taken from one.
        modules: Python modules beside the library, file name → content.
        sizes: what the library's bytes are; None where the map of its link is not known.
    """

    libraries: Mapping[str, Path]
    licenses: Mapping[str, Path]
    provenance: Mapping[str, Any]
    wheel_members: tuple[str, ...] = ()
    modules: Mapping[str, bytes] = field(default_factory=dict)
    sizes: Sizes | None = None
