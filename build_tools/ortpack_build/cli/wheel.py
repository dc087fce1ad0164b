"""The command `wheel`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.errors import UsageError
from ortpack_build.catalog import manifests, spec
from ortpack_build.cli import kit as cli_kit
from ortpack_build.cli import minimal as cli_minimal
from ortpack_build.cli.options import Command, add_cache, add_spec_options, wanted_targets
from ortpack_build.products import minimal as minimal_product
from ortpack_build.products.wheel import Settings, build, build_from_source, epoch

if TYPE_CHECKING:
    import argparse

    from ortpack_build.base.report import Reporter


def add_commands(command: Command) -> None:
    """Add it to the command line."""
    wheel = command("wheel", _wheel, "Build the wheel of a variant. The last lines printed are the wheels' paths.")
    add_spec_options(wheel, many=True)
    wheel.add_argument("--out", type=Path, default=Path("dist"), metavar="DIR", help="where wheels go (default: dist)")
    wheel.add_argument(
        "--origin",
        choices=("prebuilt", "source"),
        default="prebuilt",
        help="take official binaries apart, or compile ONNX Runtime (default: prebuilt)",
    )
    cli_kit.add_wheel_options(wheel)
    cli_minimal.add_options(wheel)
    wheel.add_argument("--build-number", metavar="N", help="build number of the wheel, when a release is packed again")
    add_cache(wheel)


def _wheel(options: argparse.Namespace, report: Reporter) -> int:
    catalog = manifests.load(options.variants)
    settings = Settings(
        out=options.out,
        context=cli_kit.context(options, report),
        epoch=epoch(os.environ),
        build_number=options.build_number,
    )
    targets = wanted_targets(options, catalog)
    if options.variant == minimal_product.VARIANT:
        made = cli_minimal.build(options, targets, catalog, settings)
        for path in (*made.models, made.path):
            print(path)
        return 0
    if extra := cli_minimal.given(options):
        raise UsageError(f"{extra[0]} is an option of `wheel minimal` only.")
    if options.origin != "source" and (options.linkage == "static" or options.embed):
        raise UsageError("Official binaries can't be linked statically.", hint="Add --origin source.")
    if options.embed and options.linkage != "static":
        raise UsageError("--embed makes an extension module.", hint="Add --linkage static.")
    if options.origin == "source":
        wheels = [
            build_from_source(
                catalog,
                options.variant,
                cli_kit.request(options, target),
                settings,
            )
            for target in targets
        ]
    else:
        specs = [spec.resolve(catalog, options.variant, target, options.ort) for target in targets]
        wheels = [build(resolved, settings) for resolved in specs]
    for built in wheels:
        print(built.path)
    return 0
