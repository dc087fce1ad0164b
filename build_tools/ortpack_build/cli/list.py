"""The commands `list` and `show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ortpack_build.catalog import host, manifests, spec
from ortpack_build.cli import kit as cli_kit
from ortpack_build.cli.options import Command, add_spec_options, print_json, wanted_targets

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from ortpack_build.base.report import Reporter


def add_commands(command: Command) -> None:
    """Add them to the command line."""
    listing = command("list", _list, "List variants, targets and origins, and what this machine can build and run.")
    listing.add_argument("--json", action="store_true", help="print JSON")

    show = command("show", _show, "Print the resolved spec of a variant as JSON, with its content hash.")
    add_spec_options(show)


def _list(options: argparse.Namespace, report: Reporter) -> int:
    catalog = manifests.load(options.variants)
    machine = host.detect()
    rows: list[dict[str, object]] = []
    for variant in catalog.variants.values():
        for target in catalog.targets.values():
            for release in spec.releases(catalog, variant, target.name):
                resolved = spec.resolve(catalog, variant.name, target.name, release)
                why_not = machine.why_not(target, resolved.platform, catalog.targets)
                rows.append(
                    {
                        "variant": variant.name,
                        "target": target.name,
                        "ort": release,
                        "origin": "prebuilt",
                        "tag": resolved.tag,
                        "builds_here": True,  # a wheel is taken apart alike on every machine
                        "runs_here": why_not is None,
                        "why_not": why_not,
                        "spec": resolved.digest,
                    }
                )
    rows += cli_kit.listing(catalog)
    if options.json:
        print_json(rows)
        return 0
    columns = ("variant", "target", "ort", "origin", "flavour", "tag", "builds here", "runs here")
    report.table(columns, [_cells(row) for row in rows])
    return 0


def _cells(row: Mapping[str, Any]) -> list[str]:
    built = row.get("why_not_built") or ("yes" if row.get("proven", True) else "never tried")
    named = [row["variant"], row["target"], row["ort"], row["origin"], row.get("flavour", ""), row["tag"]]
    return [*map(str, named), built, row["why_not"] or "yes"]


def _show(options: argparse.Namespace, _report: Reporter) -> int:
    catalog = manifests.load(options.variants)
    for target in wanted_targets(options, catalog):
        resolved = spec.resolve(catalog, options.variant, target, options.ort)
        print_json({"sha256": resolved.digest, "spec": msgspec.to_builtins(resolved)})
    return 0
