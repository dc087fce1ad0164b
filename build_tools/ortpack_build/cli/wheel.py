"""The command `wheel`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ortpack_build.base.errors import UsageError
from ortpack_build.catalog import manifests, spec
from ortpack_build.cli import kit as cli_kit
from ortpack_build.cli import minimal
from ortpack_build.cli import options as common
from ortpack_build.cli.parser import Example, Needs
from ortpack_build.products import minimal as minimal_product
from ortpack_build.products.wheel import build, build_from_source

if TYPE_CHECKING:
    from ortpack_build.base.report import Reporter
    from ortpack_build.cli.parser import Commands

_SOURCE = Needs(others=("--origin source",), because="official binaries are taken as they are")
_STATIC = Needs(others=("--linkage static",), because="it names the package of an extension module")
_GROUP = "with --origin source"


class _Variant(argparse.Action):
    """The name of a variant. What was `wheel minimal` says so before anything else is said of its options."""

    def __call__(self, _parser: object, options: argparse.Namespace, value: Any, _option: object = None) -> None:
        if value == minimal_product.VARIANT:
            raise UsageError(
                "Runtimes for some models have a command of their own now.",
                hint="Write `ortpack-build minimal`, with the same options, for `ortpack-build wheel minimal`.",
            )
        setattr(options, self.dest, value)


def add_commands(commands: Commands) -> None:
    """Add it to the command line."""
    text = "Build the wheel of a variant. The last lines printed are the wheels' paths."
    wheel = commands.add(
        "wheel",
        _wheel,
        text,
        [
            Example(line="ortpack-build wheel cpu"),
            Example(line="ortpack-build wheel cpu --target linux-aarch64 --target win-amd64 --out wheels"),
            Example(
                line="ortpack-build wheel cpu --origin source --flavour ort",
                costly="compiles ONNX Runtime if the cache has no kit",
            ),
        ],
    )
    wheel.argument("variant", metavar="VARIANT", action=_Variant, help="e.g. cpu; `ortpack-build list` shows them")
    common.add_variants(wheel)
    common.add_target(wheel, many=True)
    common.add_ort(wheel, f"the newest that is pinned; from source {cli_kit.TESTED}")
    common.add_out(wheel)
    wheel.option(
        "--origin",
        choices=("prebuilt", "source"),
        default="prebuilt",
        help="take official binaries apart, or compile ONNX Runtime (default: {default})",
    )
    cli_kit.add_kit_options(wheel, cli_kit.KitRules.of_link(_SOURCE), ort=None, group=_GROUP)
    cli_kit.add_link_options(wheel, _SOURCE, package=(_STATIC,), group=_GROUP)
    common.add_build_number(wheel)
    common.add_cache(wheel)
    for flag in minimal.OWN:
        wheel.refuse(flag, f"{flag} is an option of `ortpack-build minimal`, which makes runtimes for some models.")


def _wheel(options: argparse.Namespace, report: Reporter) -> int:
    catalog = manifests.load(options.variants)
    how = common.settings(options, report)
    targets = common.targets(options, catalog)
    if options.origin == "source":
        requests = [cli_kit.request(options, target) for target in targets]
        wheels = [build_from_source(catalog, options.variant, request, how) for request in requests]
    else:
        specs = [spec.resolve(catalog, options.variant, target, options.ort) for target in targets]
        wheels = [build(resolved, how) for resolved in specs]
    for built in wheels:
        print(built.path)
    return 0
