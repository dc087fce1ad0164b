"""The commands for other machines than this one: `root` and `loader`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.errors import UsageError
from ortpack_build.catalog import host, manifests
from ortpack_build.cli import kit as cli_kit
from ortpack_build.cli.options import add_cache
from ortpack_build.kit import settings as kit_settings
from ortpack_build.machines import emulation
from ortpack_build.products import loader as loader_product
from ortpack_build.products.wheel import epoch

if TYPE_CHECKING:
    import argparse

    from ortpack_build.base.report import Reporter
    from ortpack_build.cli.options import Command


def add_commands(command: Command) -> None:
    """Add them to the command line."""
    text = (
        "Make the root that wheels of a target are run in by `verify --emulate`. The last line printed is its folder."
    )
    root = command("root", _root, text)
    root.add_argument("target", metavar="TARGET", help="e.g. linux-aarch64")
    add_cache(root)

    text = (
        "Compile the loader for any target, into wheels that need nothing else. The last lines printed are their paths."
    )
    made = command("loader", _loader, text)
    made.add_argument(
        "--target",
        action="append",
        metavar="T",
        help="platform to compile for (default: this machine's); may be repeated, or `all`",
    )
    made.add_argument(
        "--source", type=Path, metavar="TREE", help="a checkout of ortpack (default: the one that this is in)"
    )
    made.add_argument("--out", type=Path, default=Path("dist"), metavar="DIR", help="where wheels go (default: dist)")
    made.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="compilers at once")
    add_cache(made)


def _root(options: argparse.Namespace, report: Reporter) -> int:
    context = cli_kit.context(options, report)
    print(emulation.obtain(options.target, context.cache, report).path)
    return 0


def _loader(options: argparse.Namespace, report: Reporter) -> int:
    targets = manifests.load(options.variants).targets
    own = host.detect().target(targets)
    kits = kit_settings.load(options.variants)
    asked: list[str] = options.target or ([own] if own else [])
    if not asked:
        raise UsageError("There is no target for this machine.", hint="Name one with --target.")
    names = list(kits.targets) if "all" in asked else list(dict.fromkeys(asked))
    for name in names:  # a mistake is said before anything is compiled
        kits.target(name)
    if options.jobs < 1:
        raise UsageError(f"--jobs {options.jobs}: at least one compiler must run.")
    context = cli_kit.context(options, report)
    for name in names:
        order = loader_product.LoaderRequest(
            target=name,
            host=own or "an unknown machine",
            tree=options.source.absolute() if options.source else loader_product.own_tree(),
            out=options.out,
            jobs=options.jobs,
            epoch=epoch(os.environ),
        )
        print(loader_product.build(order, context).path)
    return 0
