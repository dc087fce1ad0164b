"""The options of `wheel minimal`, and its way from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.errors import UsageError
from ortpack_build.catalog import spec
from ortpack_build.cli import kit as cli_kit
from ortpack_build.products import minimal as minimal_product

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ortpack_build.catalog.model import Catalog
    from ortpack_build.products.wheel import Settings


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those that only `wheel minimal` has."""
    group = parser.add_argument_group("of `minimal`")

    def files(option: str, metavar: str, text: str) -> None:
        group.add_argument(option, action="append", nargs="+", default=[], type=Path, metavar=metavar, help=text)

    group.add_argument("--name", metavar="NAME", help="name of the wheel and, in its normal form, of the runtime")
    files("--model", "M", "a model that it must run, .onnx or .ort; may be repeated")
    files("--ops", "FILE", "operator configs to add")
    files("--inputs", "FILE.npz", "arrays to prove it with, by input (default: made up)")
    files("--custom-ops", "LIBRARY", "a library that brings operators of your own, built for this machine")
    group.add_argument(
        "--reduce-types",
        action="store_true",
        help="compile kernels anew for the types that the models use: smaller, and takes a minute the first time",
    )
    group.add_argument("--no-verify", action="store_true", help="do not run the models; runtime.json says so")


def given(options: argparse.Namespace) -> list[str]:
    """The options of `minimal` that were given."""
    lists = {"--model": options.model, "--ops": options.ops, "--inputs": options.inputs}
    flags = {"--name": options.name, "--custom-ops": options.custom_ops, "--no-verify": options.no_verify}
    flags |= {"--reduce-types": options.reduce_types}
    return [name for name, value in (lists | flags).items() if value]


def build(
    options: argparse.Namespace, target: Sequence[str], catalog: Catalog, settings: Settings
) -> minimal_product.Made:
    """Make it.

    Raises:
        BuildError: any of its kinds.
    """
    if not options.name and not options.embed:
        raise UsageError(
            "wheel minimal needs a name for the wheel.",
            hint="--name mylib-ort; or --embed mylib._ort for files that go into a wheel of yours.",
        )
    if options.name and options.embed and options.linkage != "static":
        raise UsageError(
            "A library for the loader is either a wheel (--name) or files for a wheel of yours (--embed).",
            hint="Leave one of them out.",
        )
    if len(target) != 1:
        raise UsageError("wheel minimal makes one target at a time.", hint="Name one with --target.")
    request = minimal_product.MinimalRequest(
        name=options.name or spec.distribution(minimal_product.VARIANT, options.embed),
        files=None if options.name else options.embed,
        models=_flat(options.model),
        configs=_flat(options.ops),
        custom_ops=_flat(options.custom_ops),
        inputs=_flat(options.inputs),
        prove=not options.no_verify,
        reduce_types=options.reduce_types,
    )
    return minimal_product.build(request, cli_kit.request(options, target[0]), catalog, settings)


def _flat(paths: Sequence[Sequence[Path]]) -> tuple[Path, ...]:
    return tuple(path for part in paths for path in part)
