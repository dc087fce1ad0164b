"""Origin `prebuilt`: native libraries and licence texts out of an official wheel, and nothing else of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortpack_build.base.archive import Limits, extract_members, member_names
from ortpack_build.origin.parts import Parts
from ortpack_build.origin.pip_wheel import Pin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ortpack_build.catalog.spec import Prebuilt

_LIMITS = Limits(size=2 << 30, files=64)


def pin(source: Prebuilt) -> Pin:
    """The artifact to fetch."""
    return Pin(distribution=source.distribution, version=source.version, file=source.file, sha256=source.sha256)


def obtain(source: Prebuilt, fetch: Callable[[Pin], Path], into: Path) -> Parts:
    """Fetch the wheel and take its parts out, below the empty folder `into`.

    Raises:
        FetchError: the wheel can't be had.
        ArchiveError: it lacks a member, or is unsafe.
        OSError: writing failed.
    """
    members = {member: f"libraries/{name}" for member, name in source.members.items()}
    members |= {member: f"licenses/{name}" for member, name in source.licenses.items()}
    file = fetch(pin(source))
    extract_members(file, members, into, limits=_LIMITS)
    artifact = {
        "distribution": source.distribution,
        "version": source.version,
        "file": source.file,
        "sha256": source.sha256,
    }
    return Parts(
        libraries={name: into / "libraries" / name for name in source.members.values()},
        licenses={name: into / "licenses" / name for name in source.licenses.values()},
        provenance={"origin": "prebuilt", "artifact": artifact},
        wheel_members=tuple(member_names(file)),
    )
