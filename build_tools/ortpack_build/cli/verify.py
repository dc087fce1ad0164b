"""The command `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.errors import UsageError, VerificationError
from ortpack_build.catalog import manifests
from ortpack_build.cli import kit as cli_kit
from ortpack_build.cli.options import Command, add_cache, print_json
from ortpack_build.verify import Verdict, Wish, holds, verify

if TYPE_CHECKING:
    import argparse

    from ortpack_build.base.report import Reporter


def add_commands(command: Command) -> None:
    """Add it to the command line."""
    text = "Check a wheel: hashes, metadata, what its libraries need and export, and, where it can, by running a model."
    check = command("verify", _verify, text)
    check.add_argument("wheel", type=Path, metavar="WHEEL")
    check.add_argument("--model", type=Path, metavar="M", help="a model to run, fed with zeros (default: a tiny one)")
    check.add_argument(
        "--loader",
        type=Path,
        metavar="WHEEL_OR_DIR",
        help="the loader to run it with: wheel, folder with one, or source tree (default: ortpack from pip's index)",
    )
    check.add_argument("--no-run", action="store_true", help="only look at the wheel, don't install and run it")
    check.add_argument(
        "--compare",
        action="store_true",
        help="hold its library against the official one, and fetch that if need be (a wheel from source always is, if "
        "the cache has the official one)",
    )
    check.add_argument(
        "--emulate", action="store_true", help="install and run it in a root of its target, below an emulator"
    )
    check.add_argument("--json", action="store_true", help="print JSON")
    add_cache(check)


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
    rows = verify(options.wheel, manifests.load(options.variants), wish, cli_kit.context(options, report))
    if options.json:
        lines = [{"check": row.check, "verdict": str(row.verdict), "detail": row.detail} for row in rows]
        print_json({"wheel": str(options.wheel), "holds": holds(rows), "checks": lines})
    else:
        report.table(("check", "verdict", "detail"), [(row.check, row.verdict, row.detail) for row in rows])
    if not holds(rows):
        failed = ", ".join(row.check for row in rows if row.verdict is Verdict.FAIL)
        raise VerificationError(f"{options.wheel.name} does not hold what it promises: {failed}.")
    return 0
