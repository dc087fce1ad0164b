"""The way through: spec → origin → bundle → wheel, each stage below a scratch folder of its own."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build import bundle, prebuilt, wheel
from ortpack_build.deflate import deflate_cached
from ortpack_build.errors import storage_error
from ortpack_build.fetch import fetch

if TYPE_CHECKING:
    from ortpack_build.cache import Cache
    from ortpack_build.report import Reporter
    from ortpack_build.spec import Spec


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a build takes from the outside besides its spec."""

    out: Path
    cache: Cache
    report: Reporter
    epoch: int  # time of the wheel's entries, seconds since 1970
    build_number: str | None = None


def build(spec: Spec, settings: Settings) -> wheel.Wheel:
    """Make the wheel of a spec.

    Raises:
        BuildError: any of its kinds; nothing half-written is left.
    """
    report = settings.report
    wheel.file_name(spec, settings.build_number)  # a bad build number is said before anything is fetched
    with tempfile.TemporaryDirectory(prefix="ortpack-build-", ignore_cleanup_errors=True) as scratch:
        work = Path(scratch)
        parts_folder, bundle_folder = work / "parts", work / "bundle"
        try:
            parts_folder.mkdir()
            parts = prebuilt.obtain(spec.source, lambda pin: fetch(pin, settings.cache, report), parts_folder)
            with report.step(f"Assembling {spec.variant} {spec.ort_version} for {spec.target}"):
                made = bundle.assemble(spec, parts, bundle_folder)
        except OSError as error:
            raise storage_error("A temporary file", work, error) from error
        with report.step(f"Packing {wheel.file_name(spec, settings.build_number)}") as step:
            result = wheel.write(
                made,
                settings.out,
                deflate=partial(deflate_cached, cache=settings.cache),
                epoch=settings.epoch,
                build_number=settings.build_number,
            )
            step.detail(f"{result.size / 1e6:.2f} MB")
    return result
