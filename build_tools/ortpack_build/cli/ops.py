"""The commands about operators and models: `ops` and `convert`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.errors import UsageError, nearest, storage_error
from ortpack_build.catalog import manifests
from ortpack_build.cli import options as common
from ortpack_build.cli.kit import TESTED
from ortpack_build.cli.parser import Example
from ortpack_build.ops import full_runtime, needs

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ortpack_build.base.report import Reporter
    from ortpack_build.catalog.model import Catalog
    from ortpack_build.cli.parser import Command, Commands
    from ortpack_build.ops.full_runtime import FullRuntime


def add_commands(commands: Commands) -> None:
    """Add them to the command line."""
    text = (
        "Write the operators that models need as a reduced-operator config, the format of ONNX Runtime's own tools. "
        "For the onnx flavour also those that the optimizers may put in, at any level, on the target."
    )
    ops = commands.add(
        "ops",
        _ops,
        text,
        [
            Example(line="ortpack-build ops model.onnx --flavour ort"),
            Example(line="ortpack-build ops model.onnx other.ort --output needed.config"),
            Example(line="ortpack-build ops --ops needed.config --target linux-aarch64"),
        ],
    )
    ops.argument("models", nargs="*", type=Path, metavar="MODEL", help="an .onnx or .ort model")
    ops.option("-o", "--output", type=Path, metavar="FILE", help="where the config goes (default: printed)")
    common.add_flavour(ops)
    common.add_files(ops, "--ops", "FILE", "configs to add")
    _add_common_options(ops)

    text = "Convert ONNX models to ORT-format models, with the full runtime of the same release."
    convert = commands.add(
        "convert",
        _convert,
        text,
        [
            Example(line="ortpack-build convert model.onnx --out converted"),
            Example(line="ortpack-build convert model.onnx --target linux-aarch64 --out converted"),
        ],
    )
    convert.argument("models", nargs="+", type=Path, metavar="MODEL", help="an .onnx model")
    convert.option("--out", type=Path, required=True, metavar="DIR", help="where the .ort models go")
    _add_common_options(convert)


def _add_common_options(command: Command) -> None:
    common.add_variants(command)
    common.add_target(command, "run on")
    common.add_ort(command, TESTED)
    command.option(
        "--custom-ops",
        action="append",
        default=(),
        type=Path,
        metavar="LIBRARY",
        help="a library that brings operators of your own, built for this machine; may be repeated",
    )
    common.add_cache(command)


def _ops(options: argparse.Namespace, report: Reporter) -> int:
    catalog = manifests.load(options.variants)
    configs = common.flat(options.ops)
    if not options.models and not configs:
        raise UsageError(
            "Nothing is given whose operators could be listed.", hint="Name models, or configs with --ops."
        )
    request = needs.OperatorQuery(
        models=tuple(options.models),
        configs=configs,
        flavour=options.flavour,
        arch=_arch(options, catalog),
        custom_ops=tuple(options.custom_ops),
        ort=full_runtime.release(catalog, options.ort),
    )
    full = _full(options, catalog, report)
    found = needs.needed(request, full, common.context(options, report))
    text = needs.text(found, request)
    if options.output is None:
        print(text, end="")
        return 0
    try:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise storage_error("The config", options.output, error) from error
    print(options.output)
    return 0


def _convert(options: argparse.Namespace, report: Reporter) -> int:
    catalog = manifests.load(options.variants)
    made = needs.convert_all(
        options.models,
        options.out,
        _full(options, catalog, report),
        common.context(options, report),
        arch=_arch(options, catalog),
        custom_ops=tuple(options.custom_ops),
    )
    for path in made:
        print(path)
    return 0


def _full(options: argparse.Namespace, catalog: Catalog, report: Reporter) -> Callable[[], FullRuntime]:
    """Gives the full runtime, fetched when it is first asked for."""
    context = common.context(options, report)
    return functools.cache(lambda: full_runtime.obtain(catalog, context, options.ort))


def _arch(options: argparse.Namespace, catalog: Catalog) -> str:
    """The target's architecture."""
    name = common.target(options.target, catalog.targets)
    if name not in catalog.targets:
        raise UsageError(f"There is no target {name!r}.", hint=nearest(name, catalog.targets))
    return catalog.targets[name].arch
