"""The commands about operators and models: `ops` and `convert`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.errors import UsageError, nearest, storage_error
from ortpack_build.catalog import host, manifests
from ortpack_build.cli.options import add_cache, cache
from ortpack_build.ops import full_runtime, needs

if TYPE_CHECKING:
    import argparse
    from functools import _lru_cache_wrapper

    from ortpack_build.base.report import Reporter
    from ortpack_build.catalog.model import Catalog
    from ortpack_build.cli.options import Command
    from ortpack_build.ops.full_runtime import FullRuntime


def add_commands(command: Command) -> None:
    """Add them to the command line."""
    text = (
        "Write the operators that models need as a reduced-operator config, the format of ONNX Runtime's own tools. "
        "For the onnx flavour also those that the optimizers may put in, at any level, on the target."
    )
    ops = command("ops", _ops, text)
    ops.add_argument("models", nargs="*", type=Path, metavar="MODEL", help="an .onnx or .ort model")
    ops.add_argument("-o", "--output", type=Path, metavar="FILE", help="where the config goes (default: printed)")
    ops.add_argument(
        "--flavour",
        choices=needs.FLAVOURS,
        default="onnx",
        help="of the runtime: `onnx` loads .onnx models and optimizes them, `ort` is smaller and loads converted "
        "models only (default: %(default)s)",
    )
    ops.add_argument("--ops", action="append", nargs="+", default=[], type=Path, metavar="FILE", help="configs to add")
    _add_common_options(ops)

    text = "Convert ONNX models to ORT-format models, with the full runtime of the same release."
    convert = command("convert", _convert, text)
    convert.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="an .onnx model")
    convert.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the .ort models go")
    _add_common_options(convert)


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", metavar="T", help="platform to run on (default: this machine's)")
    parser.add_argument("--ort", metavar="V", help="ONNX Runtime release (default: the newest that is pinned)")
    parser.add_argument(
        "--custom-ops",
        action="append",
        default=[],
        type=Path,
        metavar="LIBRARY",
        help="a library that brings operators of your own, built for this machine; may be repeated",
    )
    add_cache(parser)


def _ops(options: argparse.Namespace, report: Reporter) -> int:
    catalog = manifests.load(options.variants)
    configs = tuple(path for paths in options.ops for path in paths)
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
    )
    full = _full(options, catalog, report)
    found = needs.needed(request, full, report, cache=cache(options, report))
    release = full().ort if full.cache_info().currsize else None  # not fetched only to name it
    text = needs.text(found, request, release)
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
        report,
        arch=_arch(options, catalog),
        custom_ops=tuple(options.custom_ops),
        cache=cache(options, report),
    )
    for path in made:
        print(path)
    return 0


def _full(options: argparse.Namespace, catalog: Catalog, report: Reporter) -> _lru_cache_wrapper[FullRuntime]:
    """Gives the full runtime, fetched when it is first asked for."""
    store = cache(options, report)
    return functools.cache(lambda: full_runtime.obtain(catalog, store, report, options.ort))


def _arch(options: argparse.Namespace, catalog: Catalog) -> str:
    """The target's architecture."""
    name = options.target or host.detect().target(catalog.targets)
    if name is None:
        raise UsageError("There is no target for this machine.", hint="Name one with --target.")
    if name not in catalog.targets:
        raise UsageError(f"{name!r} is no target. {nearest(name, catalog.targets)}")
    return catalog.targets[name].arch
