"""The commands for other machines than this one: `root` and `loader`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.catalog import host, manifests
from ortpack_build.cli import options as common
from ortpack_build.cli.parser import Example
from ortpack_build.kit import settings as kit_settings
from ortpack_build.machines import emulation
from ortpack_build.products import loader as loader_product
from ortpack_build.products.wheel import epoch

if TYPE_CHECKING:
    import argparse

    from ortpack_build.base.report import Reporter
    from ortpack_build.cli.parser import Commands

_PACKAGES = "fetches packages of Debian"
_MINUTE = "compiles for a minute or more"


def add_commands(commands: Commands) -> None:
    """Add them to the command line."""
    text = (
        "Make the root that wheels of a target are run in by `verify --emulate`. The last line printed is its folder."
    )
    root = commands.add(
        "root",
        _root,
        text,
        [
            Example(line="ortpack-build root linux-aarch64", costly=_PACKAGES),
            Example(line="ortpack-build root linux-armv7l --cache /tmp/roots", costly=_PACKAGES),
        ],
    )
    root.argument("target", metavar="TARGET", help="e.g. linux-aarch64")
    common.add_cache(root)

    text = (
        "Compile the loader for any target, into wheels that need nothing else. The last lines printed are their paths."
    )
    loader = commands.add(
        "loader",
        _loader,
        text,
        [
            Example(line="ortpack-build loader", costly=_MINUTE),
            Example(line="ortpack-build loader --target all --out wheels", costly=_MINUTE),
            Example(line="ortpack-build loader --target linux-aarch64 --tree ~/ortpack", costly=_MINUTE),
        ],
    )
    common.add_variants(loader)
    common.add_target(loader, "compile for", many=True)
    loader.option(
        "--tree",
        type=Path,
        metavar="DIR",
        help="a checkout of ortpack (default: the current folder, or the one that this command is in)",
    )
    common.add_out(loader)
    common.add_jobs(loader)
    common.add_cache(loader)
    loader.refuse("--source", "--source is called --tree now.")


def _root(options: argparse.Namespace, report: Reporter) -> int:
    context = common.context(options, report)
    print(emulation.obtain(options.target, context).path)
    return 0


def _loader(options: argparse.Namespace, report: Reporter) -> int:
    targets = manifests.load(options.variants).targets
    kits = kit_settings.load(options.variants)
    asked: list[str] = options.target or [common.target(None, targets)]
    names = list(kits.targets) if common.ALL in asked else list(dict.fromkeys(asked))
    for name in names:  # a mistake is said before anything is compiled
        kits.target(name)
    jobs = common.jobs(options)
    tree = options.tree.absolute() if options.tree else loader_product.default_tree(Path.cwd())
    context = common.context(options, report)
    own = host.detect().target(targets)
    for name in names:
        request = loader_product.LoaderRequest(
            target=name,
            host=own,
            tree=tree,
            out=options.out,
            jobs=jobs,
            epoch=epoch(os.environ),
        )
        print(loader_product.build(request, context).path)
    return 0
