"""The way through: spec → origin → bundle → wheel, each stage below a scratch folder of its own."""

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
from ortpack_build.catalog.spec import Compiled, compiled, source_origin
from ortpack_build.origin import prebuilt
from ortpack_build.origin.pip_wheel import fetch
from ortpack_build.products.kit import link

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ortpack_build.base.cache import Cache
    from ortpack_build.base.context import Context
    from ortpack_build.base.report import Reporter
    from ortpack_build.catalog.model import Catalog
    from ortpack_build.catalog.spec import Spec
    from ortpack_build.products import kit as kit_product


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a build takes from the outside besides its spec."""

    out: Path
    cache: Cache
    report: Reporter
    epoch: int  # time of the wheel's entries, seconds since 1970
    build_number: str | None = None


def build(spec: Spec, settings: Settings, *, linked: kit_product.Linked | None = None) -> wheel.Wheel:
    """Make the wheel of a spec.

    Args:
        spec: what to make.
        settings: where, and with what.
        linked: the library and the licences of a spec from source.

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
            if isinstance(spec.source, Compiled):
                assert linked is not None  # noqa: S101 - a spec from source comes with it
                parts = linked.parts()
            else:
                parts = prebuilt.obtain(spec.source, lambda pin: fetch(pin, settings.cache, report), parts_folder)
            with report.step(f"Assembling {spec.variant} {spec.version} for {spec.target}"):
                made = bundle.assemble(spec, parts, bundle_folder)
        except OSError as error:
            raise storage_error("A temporary file", work, error) from error
        return packed(made, settings)


def packed(made: bundle.Bundle, settings: Settings) -> wheel.Wheel:
    """The wheel of a bundle, in the output folder.

    Raises:
        BuildError: any of its kinds; nothing half-written is left.
    """
    with settings.report.step(f"Packing {wheel.file_name(made.spec, settings.build_number)}") as step:
        result = wheel.write(
            made,
            settings.out,
            deflate=partial(deflate_cached, cache=settings.cache),
            epoch=settings.epoch,
            build_number=settings.build_number,
        )
        step.detail(f"{result.size / 1e6:.2f} MB")
    return result


def build_from_source(
    catalog: Catalog, variant: str, request: kit_product.KitRequest, context: Context, settings: Settings
) -> wheel.Wheel:
    """Compile, link and pack the wheel of a variant.

    Raises:
        BuildError: any of its kinds.
    """
    source_origin(catalog, variant, request.target)  # a mistake is said before anything is compiled
    with tempfile.TemporaryDirectory(prefix="ortpack-link-", ignore_cleanup_errors=True) as scratch:
        linked = link(request, context, Path(scratch))
        spec = compiled(
            catalog,
            variant,
            request.target,
            ort=linked.kit.about.ort_version,
            source=linked.spec_source(),
            library=linked.library.name,
            tag=linked.tag,
            formats=linked.kit.about.model_formats,
            package=request.package,
        )
        return build(spec, settings, linked=linked)


def epoch(environ: Mapping[str, str]) -> int:
    """SOURCE_DATE_EPOCH, or a fixed time: a wheel does not depend on when it was made.

    Raises:
        UsageError: it is no time.
    """
    text = environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return EARLIEST
    if not text.isascii() or not text.isdigit() or int(text) > LATEST:
        raise UsageError(f"SOURCE_DATE_EPOCH={text!r} is no time.", hint="It is seconds since 1970, before 2108.")
    return int(text)
