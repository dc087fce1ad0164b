"""The command `minimal`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortpack_build.base.errors import UsageError
from ortpack_build.catalog import manifests, spec
from ortpack_build.cli import kit as cli_kit
from ortpack_build.cli import options as common
from ortpack_build.cli.parser import Example, Needs, NotWith
from ortpack_build.products import minimal as minimal_product

if TYPE_CHECKING:
    import argparse

    from ortpack_build.base.report import Reporter
    from ortpack_build.cli.parser import Commands

OWN = ("--name", "--model", "--ops", "--inputs", "--custom-ops", "--reduce-types", "--no-verify")
_PROVEN = Needs(others=("--model",), because="only models can be run")
_WHEEL = Needs(others=("--name",), because="files for a wheel of yours have no such number")
_LINKED = "links a kit, and compiles one if the cache has none"


def add_commands(commands: Commands) -> None:
    """Add it to the command line."""
    text = (
        "Make a runtime with the operators of some models only, tried on them. The last line printed is the wheel, or "
        "the folder of the package; the paths of converted models come before it."
    )
    minimal = commands.add(
        "minimal",
        _minimal,
        text,
        [
            Example(line="ortpack-build minimal --flavour ort --model model.onnx --name mylib-ort", costly=_LINKED),
            Example(
                line="ortpack-build minimal --flavour ort --model model.onnx --embed mylib._ort --linkage static "
                "--out src",
                costly=_LINKED,
            ),
            Example(
                line="ortpack-build minimal --ops needed.config --target linux-aarch64 --name mylib-ort", costly=_LINKED
            ),
        ],
    )
    common.add_variants(minimal)
    minimal.option("--name", metavar="NAME", help="name of the wheel and, in its normal form, of the runtime")
    common.add_files(minimal, "--model", "M", "a model that it must run, .onnx or .ort; may be repeated")
    common.add_files(minimal, "--ops", "FILE", "operator configs to add")
    no_proof = NotWith(other="--no-verify", because="nothing is run")
    text = "arrays to prove it with, by input (default: made up)"
    common.add_files(minimal, "--inputs", "FILE.npz", text, rules=(_PROVEN, no_proof))
    common.add_files(
        minimal, "--custom-ops", "LIBRARY", "a library that brings operators of your own, built for this machine"
    )
    minimal.option(
        "--reduce-types",
        action="store_true",
        default=False,
        help="compile kernels anew for the types that the models use: smaller, and takes a minute the first time",
    )
    minimal.option(
        "--no-verify",
        action="store_true",
        default=False,
        rules=(_PROVEN,),
        help="do not run the models; runtime.json says so",
    )
    common.add_target(minimal)
    common.add_out(minimal, "the wheel or the package goes")
    cli_kit.add_link_options(minimal, package=())
    cli_kit.add_kit_options(minimal, cli_kit.KitRules.of_link(anew=("--reduce-types",)), group="the kit")
    common.add_build_number(minimal, _WHEEL)
    common.add_cache(minimal)
    minimal.refuse("--origin", "A minimal runtime is always linked from a kit: leave --origin out.")


def _minimal(options: argparse.Namespace, report: Reporter) -> int:
    if not options.name and not options.embed:
        raise UsageError(
            "A minimal runtime needs a name for its wheel.",
            hint="--name mylib-ort; or --embed mylib._ort for files that go into a wheel of yours.",
        )
    if options.name and options.embed and options.linkage != "static":
        raise UsageError(
            "A library for the loader is either a wheel (--name) or files for a wheel of yours (--embed).",
            hint="Leave one of them out.",
        )
    catalog = manifests.load(options.variants)
    request = minimal_product.MinimalRequest(
        name=options.name or spec.distribution(minimal_product.VARIANT, options.embed),
        files=None if options.name else options.embed,
        models=common.flat(options.model),
        configs=common.flat(options.ops),
        custom_ops=common.flat(options.custom_ops),
        inputs=common.flat(options.inputs),
        prove=not options.no_verify,
        reduce_types=options.reduce_types,
    )
    kit = cli_kit.request(options, common.target(options.target, catalog.targets))
    made = minimal_product.build(request, kit, catalog, common.settings(options, report))
    for path in (*made.models, made.path):
        print(path)
    return 0
