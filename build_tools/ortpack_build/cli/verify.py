"""The command `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.errors import UsageError, VerificationError
from ortpack_build.catalog import manifests
from ortpack_build.cli import options as common
from ortpack_build.cli.parser import Example, NotWith
from ortpack_build.verify import Verdict, Wish, holds, verify

if TYPE_CHECKING:
    import argparse

    from ortpack_build.base.report import Reporter
    from ortpack_build.cli.parser import Commands


def add_commands(commands: Commands) -> None:
    """Add it to the command line."""
    text = "Check a wheel: hashes, metadata, what its libraries need and export, and, where it can, by running a model."
    check = commands.add(
        "verify",
        _verify,
        text,
        [
            Example(line="ortpack-build verify dist/ortpack_cpu-1.32.0-py3-none-manylinux_2_28_x86_64.whl --no-run"),
            Example(
                line="ortpack-build verify dist/ortpack_cpu-1.32.0-py3-none-manylinux_2_28_x86_64.whl "
                "--loader . --model model.onnx",
                costly="compiles the loader",
            ),
            Example(
                line="ortpack-build verify dist/ortpack_cpu-1.32.0-py3-none-manylinux_2_28_aarch64.whl --emulate",
                costly="fetches packages of Debian, and emulates",
            ),
        ],
    )
    run = (NotWith(other="--no-run", because="nothing is run"),)
    check.argument("wheel", type=Path, metavar="WHEEL", help="its file")
    common.add_variants(check)
    check.option("--model", type=Path, metavar="M", rules=run, help="a model to run, fed with zeros (default: tiny)")
    check.option(
        "--loader",
        type=Path,
        metavar="WHEEL_OR_DIR",
        rules=run,
        help="the loader to run it with: wheel, folder with one, or source tree (default: ortpack from pip's index)",
    )
    check.option("--no-run", action="store_true", default=False, help="look at the wheel, don't install and run it")
    check.option(
        "--compare",
        action="store_true",
        default=False,
        help="hold its library against the official one, and fetch that if need be (a wheel from source always is, if "
        "the cache has the official one)",
    )
    check.option(
        "--emulate",
        action="store_true",
        default=False,
        rules=run,
        help="install and run it in a root of its target, below an emulator",
    )
    common.add_json(check)
    common.add_cache(check)


def _verify(options: argparse.Namespace, report: Reporter) -> int:
    for path in (options.wheel, options.model):
        if path is not None and not path.is_file():
            raise UsageError(f"There is no file {path}.")
    wish = Wish(
        compare=options.compare,
        run=not options.no_run,
        emulate=options.emulate,
        model=options.model,
        loader=options.loader,
    )
    rows = verify(options.wheel, manifests.load(options.variants), wish, common.context(options, report))
    if options.json:
        lines = [{"check": row.check, "verdict": str(row.verdict), "detail": row.detail} for row in rows]
        common.print_json({"wheel": str(options.wheel), "holds": holds(rows), "checks": lines})
    else:
        report.table(("check", "verdict", "detail"), [(row.check, row.verdict, row.detail) for row in rows])
    if not holds(rows):
        failed = ", ".join(row.check for row in rows if row.verdict is Verdict.FAIL)
        raise VerificationError(f"{options.wheel.name} does not hold what it promises: {failed}.")
    return 0
