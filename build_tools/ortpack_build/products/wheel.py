"""Makes the wheel of a variant: its libraries are fetched or linked, assembled into a bundle, and packed."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.errors import UsageError, storage_error
from ortpack_build.bundle import assemble as bundle
from ortpack_build.bundle import wheel
from ortpack_build.bundle.deflate import deflate_cached
from ortpack_build.bundle.zip_file import EARLIEST, LATEST
from ortpack_build.catalog.spec import Prebuilt, source_origin
from ortpack_build.link import link_library
from ortpack_build.origin import prebuilt
from ortpack_build.origin.pip_wheel import fetch
from ortpack_build.products import kit as kit_product

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ortpack_build.base.context import Context
    from ortpack_build.base.report import Reporter
    from ortpack_build.catalog.model import Catalog
    from ortpack_build.catalog.spec import Spec
    from ortpack_build.origin.parts import Parts


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the build of a wheel takes from the outside besides its spec.

    Attributes:
        out: the folder that the wheel goes into.
        context: of the stages.
        epoch: time of the wheel's entries, seconds since 1970.
        build_number: of the wheel, when a release is packed again.
    """

    out: Path
    context: Context
    epoch: int
    build_number: str | None = None


def build(spec: Spec, settings: Settings) -> wheel.Wheel:
    """Make the wheel of a spec out of official binaries.

    Raises:
        BuildError: any of its kinds; nothing half-written is left.
    """
    source, context = spec.source, settings.context
    assert isinstance(source, Prebuilt)  # noqa: S101 - `build_from_source` makes the others
    wheel.file_name(spec, settings.build_number)  # a bad build number is said before anything is fetched
    with tempfile.TemporaryDirectory(prefix="ortpack-build-", ignore_cleanup_errors=True) as scratch:
        parts_folder = Path(scratch) / "parts"
        try:
            parts_folder.mkdir()
            parts = prebuilt.obtain(source, lambda pin: fetch(pin, context), parts_folder)
        except OSError as error:
            raise storage_error("A temporary file", parts_folder, error) from error
        return packed(assembled(spec, parts, Path(scratch), context.report), settings)


def build_from_source(
    catalog: Catalog, variant: str, request: kit_product.KitRequest, settings: Settings
) -> wheel.Wheel:
    """Compile, link and pack the wheel of a variant.

    Args:
        catalog: the manifests.
        variant: its name.
        request: the kit that its library is linked from.
        settings: where the wheel goes, and with what.

    Raises:
        BuildError: any of its kinds; nothing half-written is left.
    """
    source_origin(catalog, variant, request.target)  # a mistake is said before anything is compiled
    job = kit_product.resolve(request, settings.context)
    with tempfile.TemporaryDirectory(prefix="ortpack-build-", ignore_cleanup_errors=True) as scratch:
        ready = kit_product.prepare_link(job)
        linked = link_library(ready, ready.kit.kernels, Path(scratch))
        made = assembled(linked.spec(catalog, variant), linked.parts(), Path(scratch), settings.context.report)
        return packed(made, settings)


def assembled(spec: Spec, parts: Parts, work: Path, report: Reporter) -> bundle.Bundle:
    """Assemble the bundle of a spec, in a new folder below `work`.

    Raises:
        BinaryError: a library is not what the spec says.
        StorageError: writing failed.
    """
    try:
        with report.step(f"Assembling {spec.variant} {spec.version} for {spec.target}"):
            return bundle.assemble(spec, parts, work / "bundle")
    except OSError as error:
        raise storage_error("A temporary file", work, error) from error


def packed(made: bundle.Bundle, settings: Settings) -> wheel.Wheel:
    """Pack a bundle as a wheel, in the output folder.

    Raises:
        BuildError: any of its kinds; nothing half-written is left.
    """
    with settings.context.report.step(f"Packing {wheel.file_name(made.spec, settings.build_number)}") as step:
        result = wheel.write(
            made,
            settings.out,
            deflate=partial(deflate_cached, cache=settings.context.cache),
            epoch=settings.epoch,
            build_number=settings.build_number,
        )
        step.detail(f"{result.size / 1e6:.2f} MB")
    return result


def epoch(environ: Mapping[str, str]) -> int:
    """Return SOURCE_DATE_EPOCH, or a fixed time: a wheel does not depend on when it was made.

    Raises:
        UsageError: it is no time.
    """
    text = environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return EARLIEST
    if not text.isascii() or not text.isdigit() or int(text) > LATEST:
        raise UsageError(f"SOURCE_DATE_EPOCH={text!r} is no time.", hint="It is seconds since 1970, before 2108.")
    return int(text)
