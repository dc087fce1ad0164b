"""The commands `list` and `show`."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import msgspec

from ortpack_build.catalog import manifests, spec
from ortpack_build.cli import options as common
from ortpack_build.cli.parser import Example, NotWith
from ortpack_build.products import offers

if TYPE_CHECKING:
    import argparse

    from ortpack_build.base.report import Reporter
    from ortpack_build.cli.parser import Commands
    from ortpack_build.products.offers import Offer

_COLUMNS = ("variant", "target", "ort", "origin", "flavour", "tag", "builds here", "runs here", "this machine lacks")
_NO_FLAVOUR = NotWith(other="--origin prebuilt", because="only what is compiled has flavours")


def add_commands(commands: Commands) -> None:
    """Add them to the command line."""
    listing = commands.add(
        "list",
        _list,
        "List variants, targets and origins, and what this machine can build and run. Of each only the newest release.",
        [
            Example(line="ortpack-build list"),
            Example(line="ortpack-build list cuda --target linux-x86_64 --superseded"),
            Example(line="ortpack-build list --origin source --flavour ort --json"),
        ],
    )
    listing.argument("names", nargs="*", metavar="VARIANT", help="only these, e.g. cpu cuda")
    common.add_variants(listing)
    listing.option("--target", action="append", default=(), metavar="T", help="only for this platform; may be repeated")
    listing.option("--origin", choices=offers.ORIGINS, help="only official binaries, or only what is compiled")
    listing.option(
        "--flavour", choices=common.FLAVOURS, rules=(_NO_FLAVOUR,), help="only of this flavour, which is compiled"
    )
    listing.option(
        "--superseded", action="store_true", default=False, help="also releases that a newer one took the place of"
    )
    common.add_json(listing)

    show = commands.add(
        "show",
        _show,
        "Print the resolved spec of a variant as JSON, with its content hash.",
        [
            Example(line="ortpack-build show cpu"),
            Example(line="ortpack-build show cuda --target linux-x86_64"),
        ],
    )
    show.argument("variant", metavar="VARIANT", help="e.g. cpu; `ortpack-build list` shows them")
    common.add_variants(show)
    common.add_target(show, many=True)
    common.add_ort(show, "the newest that is pinned")


def _list(options: argparse.Namespace, report: Reporter) -> int:
    wanted = offers.Wanted(
        variants=options.names,
        targets=options.target,
        origins=[options.origin] if options.origin else (),
        flavours=[options.flavour] if options.flavour else (),
        superseded=options.superseded,
    )
    found = offers.offers(manifests.load(options.variants), wanted, os.environ)
    if options.json:
        common.print_json([asdict(offer) for offer in found])
    else:
        report.table(_COLUMNS, [_cells(offer) for offer in found])
    return 0


def _cells(offer: Offer) -> list[str]:
    builds = offer.why_not_built or ("yes" if offer.proven else "never tried")
    runs = f"below {offer.emulator}" if offer.emulator else offer.why_not or "yes"
    named = [offer.variant, offer.target, offer.ort, offer.origin, offer.flavour or "", offer.tag]
    return [*named, builds, runs, "; ".join(offer.lacks)]


def _show(options: argparse.Namespace, _report: Reporter) -> int:
    catalog = manifests.load(options.variants)
    for target in common.targets(options, catalog):
        resolved = spec.resolve(catalog, options.variant, target, options.ort)
        common.print_json({"sha256": resolved.digest, "spec": msgspec.to_builtins(resolved)})
    return 0
