"""The commands `sources` and `kit`, and the options of every command that compiles ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.errors import UsageError, storage_error
from ortpack_build.catalog import host, manifests
from ortpack_build.cli import options as common
from ortpack_build.cli.parser import Example, NotWith, Rule
from ortpack_build.kit import pack
from ortpack_build.products import kit as kit_product

if TYPE_CHECKING:
    import argparse

    from ortpack_build.base.report import Reporter
    from ortpack_build.cli.parser import Command, Commands

TESTED = "the newest that was compiled and tested"  # the release that is compiled by default
_MINUTES = "compiles ONNX Runtime, which takes tens of minutes"
_FETCHED = "fetches the sources of ONNX Runtime"


def add_commands(commands: Commands) -> None:
    """Add them to the command line."""
    text = "Fetch and unpack the sources of ONNX Runtime. The last line printed is their folder."
    sources = commands.add(
        "sources",
        _sources,
        text,
        [
            Example(line="ortpack-build sources", costly=_FETCHED),
            Example(line="ortpack-build sources --ort 1.21.0 --sources debian", costly=_FETCHED),
            Example(line="ortpack-build sources --tree ~/onnxruntime --modified", costly=_FETCHED),
        ],
    )
    common.add_variants(sources)
    common.add_ort(sources, TESTED)
    common.add_sources(sources)
    common.add_cache(sources)
    sources.refuse("--origin", "Where sources come from is called --sources now.")

    text = "Compile ONNX Runtime into a kit, or take one that is. The last line printed is its folder, or its file."
    kit = commands.add(
        "kit",
        _kit,
        text,
        [
            Example(line="ortpack-build kit --flavour ort", costly=_MINUTES),
            Example(line="ortpack-build kit linux-aarch64 --flavour ort --pack dist", costly=_MINUTES),
            Example(line="ortpack-build kit --tree ~/onnxruntime --modified --jobs 8", costly=_MINUTES),
        ],
    )
    kit.argument("positional", nargs="?", metavar="TARGET", help="platform to compile for (default: this machine's)")
    common.add_variants(kit)
    kit.option("--target", metavar="T", help="the same, as `wheel` has it")
    add_kit_options(kit, KitRules.of_kit())
    kit.option("--pack", type=Path, nargs="?", const=Path("dist"), metavar="DIR", help="make it one file in DIR")
    common.add_cache(kit)
    kit.refuse("--origin", "Where sources come from is called --sources now.")


@dataclass(frozen=True, kw_only=True)
class KitRules:
    """What the options of a kit need in a command to have an effect.

    Attributes:
        always: what each of them needs.
        compiling: what those need that are about compiling ONNX Runtime.
        jobs: what --jobs needs.
        compiler: what those need that choose the compiler, which links, too.
    """

    always: tuple[Rule, ...] = ()
    compiling: tuple[Rule, ...]
    jobs: tuple[Rule, ...]
    compiler: tuple[Rule, ...] = ()

    @classmethod
    def of_kit(cls) -> KitRules:
        """Those of `kit`, which does nothing but unpack the file of --from."""
        unpacked = (_packed(),)
        return cls(compiling=unpacked, jobs=unpacked, compiler=unpacked)

    @classmethod
    def of_link(cls, *always: Rule, anew: tuple[str, ...] = ()) -> KitRules:
        """Those of a command that links the kit, and compiles some of it `anew` with one of these options."""
        return cls(
            always=always, compiling=(*always, _packed(*anew)), jobs=(*always, _packed("--linkage static", *anew))
        )


def _packed(*unless: str) -> NotWith:
    return NotWith(other="--from", because="the kit in that file is compiled already", unless=unless)


def add_kit_options(command: Command, rules: KitRules, *, ort: str | None = TESTED, group: str | None = None) -> None:
    """Add the options that say which kit, and how it is made; `ort` as for `add_ort`, None if the command has it."""
    if ort is not None:
        common.add_ort(command, ort)
    common.add_sources(command, rules=rules.compiling, group=group)
    common.add_flavour(command, rules=rules.always, group=group)
    command.option(
        "--no-exceptions",
        dest="exceptions",
        action="store_false",
        default=True,
        rules=rules.always,
        group=group,
        help="smaller; but an error, a damaged model's too, ends the whole process",
    )
    command.option(
        "--toolchain",
        default="zig",
        metavar="C",
        rules=(*rules.always, *rules.compiler),
        group=group,
        help="zig, gcc or clang (default: {default})",
    )
    command.option(
        "--baseline",
        metavar="V",
        rules=(*rules.always, *rules.compiler),
        group=group,
        help="oldest libc to work with, e.g. 2.28 (default: the target's, see kits.toml)",
    )
    command.option(
        "--launcher",
        default="auto",
        metavar="L",
        rules=rules.compiling,
        group=group,
        help="auto (ccache or sccache if there is one), none, or a program (default: {default})",
    )
    common.add_jobs(command, rules=rules.jobs, group=group)
    command.option(
        "--from",
        dest="kit_file",
        type=Path,
        metavar="FILE",
        rules=rules.always,
        group=group,
        help="a packed kit",
    )


def add_link_options(command: Command, *always: Rule, package: tuple[Rule, ...], group: str | None = None) -> None:
    """Add the options that say what a kit is linked into; `package` are more rules of --embed."""
    command.option(
        "--linkage",
        choices=("shared", "static"),
        default="shared",
        rules=always,
        group=group,
        help="a library for the loader, or one Python extension module with ONNX Runtime in it (default: {default})",
    )
    command.option(
        "--embed",
        metavar="PACKAGE",
        rules=(*always, *package),
        group=group,
        help="the Python package to make, e.g. mylib._ort",
    )


def request(options: argparse.Namespace, target: str) -> kit_product.KitRequest:
    """What the options of a command that compiles ask for.

    Raises:
        UsageError: an option makes no sense.
    """
    package, linkage = getattr(options, "embed", None), getattr(options, "linkage", "shared")
    if linkage == "static" and package is None:
        raise UsageError("--linkage static makes a Python package.", hint="Name it: --embed mylib._ort")
    return kit_product.KitRequest(
        target=target,
        host=host.detect().target(manifests.load(options.variants).targets),
        flavour=options.flavour,
        ort=options.ort,
        supplier=options.sources,
        tree=options.tree.absolute() if options.tree else None,
        modified=options.modified,
        toolchain=options.toolchain,
        launcher=options.launcher,
        jobs=common.jobs(options),
        file=options.kit_file,
        package=package if linkage == "static" else None,
        baseline=options.baseline,
        exceptions=options.exceptions,
    )


def _sources(options: argparse.Namespace, report: Reporter) -> int:
    made = kit_product.sources(
        common.context(options, report),
        ort=options.ort,
        supplier=options.sources,
        tree=options.tree.absolute() if options.tree else None,
        modified=options.modified,
    )
    print(made.path)
    return 0


def _kit(options: argparse.Namespace, report: Reporter) -> int:
    if options.positional and options.target not in (None, options.positional):
        raise UsageError(f"Name one target, not {options.positional} and {options.target}.")
    catalog = manifests.load(options.variants)
    target = common.target(options.positional or options.target, catalog.targets)
    made = kit_product.kit(kit_product.resolve(request(options, target), common.context(options, report)))
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
