"""The command `ortpack-build`: the only place that reads the environment and writes to the terminal.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build import __version__
from ortpack_build.base.errors import BuildError
from ortpack_build.base.report import Reporter
from ortpack_build.cli import explain, kit, list, maintain, ops, targets, verify, wheel  # noqa: A004 - commands' names

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is that of the error's class."""
    options = _parser().parse_args(arguments)
    # Nothing that is started from here (workers, official packages, programs in C) reports to ONNX Runtime's makers
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    report = Reporter()
    try:
        code: int = options.run(options, report)
        sys.stdout.flush()
    except BuildError as error:
        report.error(error.paragraph())
        return error.exit_code
    except KeyboardInterrupt:
        report.error("Interrupted. Nothing half-written was kept; the same command starts again.")
        return _INTERRUPTED
    except BrokenPipeError:  # e.g. `ortpack-build list | head -1`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the last flush fails loudly
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ortpack-build",
        description="Build verified wheels of ONNX Runtime from manifests. Results go to standard output, "
        "everything else to standard error.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text[0].lower() + text[1:].rstrip("."), description=text)
        sub.set_defaults(run=run)
        sub.add_argument(
            "--variants", type=Path, metavar="DIR", help="a folder with manifests of your own, added to the shipped"
        )
        return sub

    for module in (list, wheel, maintain, kit, ops, explain, targets, verify):
        module.add_commands(command)
    return parser
