"""The commands of source builds: `sources` and `kit`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.context import Context
from ortpack_build.base.errors import UsageError, storage_error
from ortpack_build.catalog import host, manifests, spec
from ortpack_build.cli.options import add_cache, cache
from ortpack_build.kit import pack
from ortpack_build.kit import settings as kit_settings
from ortpack_build.origin import source as origin_source
from ortpack_build.products import kit as kit_product

if TYPE_CHECKING:
    import argparse

    from ortpack_build.base.report import Reporter
    from ortpack_build.catalog.model import Catalog
    from ortpack_build.cli.options import Command


def add_commands(command: Command) -> None:
    """Add them to the command line."""
    text = "Fetch and unpack the sources of ONNX Runtime. The last line printed is their folder."
    fetched = command("sources", _sources, text)
    add_source_options(fetched)
    add_cache(fetched)

    text = "Compile ONNX Runtime into a kit, or take one that is. The last line printed is its folder, or its file."
    made = command("kit", _kit, text)
    made.add_argument("target", nargs="?", metavar="TARGET", help="platform to compile for (default: this machine's)")
    made.add_argument("--target", dest="also", metavar="T", help="the same, as `wheel` has it")
    add_source_options(made)
    add_kit_options(made)
    made.add_argument("--pack", type=Path, nargs="?", const=Path("dist"), metavar="DIR", help="make it one file in DIR")
    add_cache(made)


def listing(catalog: Catalog) -> list[dict[str, object]]:
    """A row for each variant, target, release and flavour that can be compiled, in the form of `list --json`."""
    machine = host.detect()
    own = machine.target(catalog.targets) or f"{machine.os} {machine.arch}"
    kits = kit_settings.load(catalog.own)
    pinned = [origin_source.load(ort, catalog.own) for ort in origin_source.releases(catalog.own)]
    hosts = {tool.host for tool in kits.tools}
    rows: list[dict[str, object]] = []
    for variant in (variant for variant in catalog.variants.values() if variant.source):
        for target in (target for target in catalog.targets.values() if target.name in kits.targets):
            tag = kits.targets[target.name].wheel_tag
            why_not = machine.why_not(target, spec.platform(target, tag), catalog.targets)
            for release in pinned:
                rows += (
                    {
                        "variant": variant.name,
                        "target": target.name,
                        "ort": release.ort,
                        "origin": "source",
                        "flavour": flavour,
                        "sources": [name for name in release.order if not release.origins[name].unpinned],
                        "proven": release.proven,
                        "tag": tag,
                        "builds_here": own in hosts,
                        "why_not_built": None if own in hosts else f"there are no compilers for {own}",
                        "runs_here": why_not is None,
                        "why_not": why_not,
                    }
                    for flavour in kits.flavours
                )
    return rows


def add_wheel_options(parser: argparse.ArgumentParser) -> None:
    """The options of `wheel` that --origin source has a use for."""
    group = parser.add_argument_group("with --origin source")
    add_source_options(group, within_wheel=True)
    add_kit_options(group)
    group.add_argument(
        "--linkage",
        choices=("shared", "static"),
        help="a library for the loader, or one Python extension module with ONNX Runtime in it (default: shared)",
    )
    group.add_argument("--embed", metavar="PACKAGE", help="with static: the Python package to make, e.g. mylib._ort")


def add_source_options(parser: argparse._ActionsContainer, *, within_wheel: bool = False) -> None:
    """Options that say where sources come from; those of `wheel` leave out what it has already."""
    if not within_wheel:
        parser.add_argument("--ort", metavar="V", help="ONNX Runtime release (default: the newest that was tried)")
    parser.add_argument(
        "--sources" if within_wheel else "--origin",
        dest="sources",
        default="auto",
        metavar="O",
        help="where the sources come from: auto, debian or upstream (default: auto)",
    )
    parser.add_argument("--source", type=Path, metavar="TREE", help="an onnxruntime tree of your own")
    parser.add_argument("--modified", action="store_true", help="let the tree of --source differ from the release")


def add_kit_options(parser: argparse._ActionsContainer) -> None:
    """Options that say how a kit is made."""
    parser.add_argument(
        "--flavour", choices=("onnx", "ort"), default="onnx", help="what it loads: .onnx files, or only .ort"
    )
    parser.add_argument(
        "--no-exceptions",
        dest="exceptions",
        action="store_false",
        help="smaller; but an error, a damaged model's too, ends the whole process",
    )
    parser.add_argument("--toolchain", default="zig", metavar="C", help="zig, gcc or clang (default: zig)")
    parser.add_argument(
        "--baseline", metavar="V", help="oldest libc to work with, e.g. 2.28 (default: the target's, see kits.toml)"
    )
    parser.add_argument(
        "--launcher", default="auto", metavar="L", help="auto (ccache or sccache if there is one), none, or a program"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="compilers at once")
    parser.add_argument("--from", dest="kit_file", type=Path, metavar="FILE", help="a packed kit to use")


def request(options: argparse.Namespace, target: str | None) -> kit_product.KitRequest:
    """What the options ask for.

    Raises:
        UsageError: this machine can't compile kits, or an option makes no sense.
    """
    own = host.detect().target(manifests.load(options.variants).targets)
    if own is None and target is None:
        raise UsageError("There is no target for this machine.", hint="Name one.")
    if getattr(options, "jobs", 1) < 1:
        raise UsageError(f"--jobs {options.jobs}: at least one compiler must run.")
    package, linkage = getattr(options, "embed", None), getattr(options, "linkage", None)
    if linkage == "static" and package is None:
        raise UsageError("--linkage static makes a Python package.", hint="Name it: --embed mylib._ort")
    return kit_product.KitRequest(
        target=target or own or "",
        host=own or "an unknown machine",
        flavour=getattr(options, "flavour", "onnx"),
        ort=options.ort,
        origin=options.sources,
        tree=options.source.absolute() if options.source else None,
        modified=options.modified,
        toolchain=getattr(options, "toolchain", "zig"),
        launcher=getattr(options, "launcher", "auto"),
        jobs=getattr(options, "jobs", 1),
        file=getattr(options, "kit_file", None),
        package=package if linkage == "static" else None,
        baseline=getattr(options, "baseline", None),
        exceptions=getattr(options, "exceptions", True),
    )


def context(options: argparse.Namespace, report: Reporter) -> Context:
    """Cache, reporter and environment."""
    return Context(cache=cache(options, report), report=report, environ=dict(os.environ), variants=options.variants)


def _sources(options: argparse.Namespace, report: Reporter) -> int:
    print(kit_product.sources(request(options, None), context(options, report)).path)
    return 0


def _kit(options: argparse.Namespace, report: Reporter) -> int:
    if options.target and options.also not in (None, options.target):
        raise UsageError(f"Name one target, not {options.target} and {options.also}.")
    job = kit_product.resolve(request(options, options.target or options.also), context(options, report))
    made = kit_product.kit(job)
    if options.pack is None:
        print(made.path)
        return 0
    try:
        with report.step("Packing the kit") as step:
            file = pack(made, options.pack)
            step.detail(f"{file.stat().st_size / 1e6:.2f} MB")
    except OSError as error:
        raise storage_error("The packed kit", options.pack, error) from error
    print(file)
    return 0
