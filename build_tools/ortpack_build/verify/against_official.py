"""Compares a wheel's library with the official one of the same release: it must not be worse protected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UnsetType

from ortpack_build.base import native_library
from ortpack_build.base.errors import BuildError
from ortpack_build.catalog import spec
from ortpack_build.origin import prebuilt
from ortpack_build.origin.pip_wheel import fetch, is_cached
from ortpack_build.verify.row import Row, Verdict, skipped

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ortpack_build.base.binary_facts import BinaryFacts
    from ortpack_build.base.context import Context
    from ortpack_build.verify.wheel_reader import WheelReader

OFFICIAL = "official"  # name of the row, and what the names of the rows begin with where there are several


def compare(wheel: WheelReader, scratch: Path, context: Context, *, may_fetch: bool) -> list[Row]:
    """A row for each protection that the wheel's library or the official one has.

    Args:
        wheel: a wheel whose checks hold.
        scratch: an empty folder.
        context: the cache, where the official wheel is kept, and the reporter.
        may_fetch: fetch the official wheel if the cache lacks it.

    Raises:
        FetchError: it can't be had.
        ArchiveError: it is damaged.
    """
    library = wheel.runtime.library
    if isinstance(library, UnsetType):
        return [skipped(OFFICIAL, "it holds no library of ONNX Runtime")]
    try:
        resolved = spec.resolve(wheel.catalog, wheel.spec.variant, wheel.spec.target, wheel.version)
    except BuildError as error:
        return [skipped(OFFICIAL, f"nothing to compare with: {error}")]
    source = resolved.source
    if not isinstance(source, spec.Prebuilt):
        return [skipped(OFFICIAL, "nothing to compare with: there is no official library")]
    if not may_fetch and not is_cached(prebuilt.pin(source), context.cache):
        return [skipped(OFFICIAL, f"{source.file} is not in the cache; --compare fetches it")]
    prebuilt.obtain(source, lambda pin: fetch(pin, context), scratch)
    theirs = scratch / "libraries" / next(file.name for file in resolved.files if file.role == "library")
    data = wheel.contents[library]
    size = f"{len(data) / 1e6:.2f} MB; official: {theirs.stat().st_size / 1e6:.2f} MB"
    return [
        *compare_protections(
            _protections(wheel.binaries[library], data),
            _protections(native_library.inspect(theirs, wheel.machine), theirs.read_bytes()),
        ),
        Row(check=f"{OFFICIAL}: size", verdict=Verdict.INFO, detail=size),
    ]


def compare_protections(ours: Mapping[str, bool], theirs: Mapping[str, bool]) -> list[Row]:
    """A row for each protection: fails where the official library has it and ours does not."""

    def say(on: bool | None) -> str:
        return {True: "yes", False: "no", None: "unknown"}[on]

    return [
        Row(
            check=f"{OFFICIAL}: {name}",
            verdict=Verdict.FAIL if theirs.get(name) and not ours.get(name) else Verdict.PASS,
            detail=f"{say(ours.get(name))}; official: {say(theirs.get(name))}",
        )
        for name in dict.fromkeys((*ours, *theirs))
    ]


def _protections(facts: BinaryFacts, data: bytes) -> dict[str, bool]:
    return {
        **facts.hardening,
        "no RPATH": not facts.rpaths,
        "no path of its builder": not native_library.build_paths(data),
    }
