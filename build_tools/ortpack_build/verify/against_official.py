"""A library beside the official one of the same release: it must not be worse protected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UnsetType

from ortpack_build.base import native_library
from ortpack_build.base.errors import BuildError
from ortpack_build.catalog import spec
from ortpack_build.origin import prebuilt
from ortpack_build.origin.pip_wheel import fetch, is_cached
from ortpack_build.verify.row import Row, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ortpack_build.base.binary_facts import BinaryFacts
    from ortpack_build.base.cache import Cache
    from ortpack_build.base.report import Reporter
    from ortpack_build.verify.wheel_reader import Subject

_NAME = "official"


def compare(subject: Subject, scratch: Path, cache: Cache, report: Reporter, *, may_fetch: bool) -> list[Row]:
    """A row for each protection that the wheel's library and the official one have or lack.

    Args:
        subject: a wheel whose other checks hold.
        scratch: an existing folder.
        cache: where the official wheel is kept.
        report: says what is done.
        may_fetch: get the official wheel if the cache lacks it.

    Raises:
        FetchError: it can't be had.
        ArchiveError: it is damaged.
    """
    library = subject.runtime.library
    if isinstance(library, UnsetType):
        return [_skip("it holds no library of ONNX Runtime")]
    try:
        resolved = spec.resolve(subject.catalog, subject.spec.variant, subject.spec.target, subject.version)
    except BuildError as error:
        return [_skip(f"nothing to compare with: {error}")]
    source = resolved.source
    if not isinstance(source, spec.Prebuilt):
        return [_skip("nothing to compare with: there is no official library")]
    if not may_fetch and not is_cached(prebuilt.pin(source), cache):
        return [_skip(f"{source.file} is not in the cache; --compare fetches it")]
    into = scratch / _NAME
    into.mkdir()
    prebuilt.obtain(source, lambda pin: fetch(pin, cache, report), into)
    theirs = into / "libraries" / next(file.name for file in resolved.files if file.role == "library")
    data = subject.contents[library]
    size = f"{len(data) / 1e6:.2f} MB; official: {theirs.stat().st_size / 1e6:.2f} MB"
    return [
        *compare_protections(
            _protections(subject.binaries[library], data),
            _protections(native_library.inspect(theirs, subject.machine), theirs.read_bytes()),
        ),
        Row(check=f"{_NAME}: size", verdict=Verdict.INFO, detail=size),
    ]


def compare_protections(ours: Mapping[str, bool], theirs: Mapping[str, bool]) -> list[Row]:
    """A row for each protection: fails where the official library has it and ours does not."""

    def say(on: bool | None) -> str:
        return {True: "yes", False: "no", None: "unknown"}[on]

    return [
        Row(
            check=f"{_NAME}: {name}",
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


def _skip(why: str) -> Row:
    return Row(check=_NAME, verdict=Verdict.SKIP, detail=why)
