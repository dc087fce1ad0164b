"""The command `ortpack-build`: the only place that reads the environment and writes to the terminal.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from ortpack_build import __version__
from ortpack_build.base.errors import BuildError
from ortpack_build.base.report import Reporter
from ortpack_build.cli import completion, explain, kit, list, maintain, minimal, ops, targets, verify, wheel  # noqa: A004 - commands' names
from ortpack_build.cli.parser import Commands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ortpack_build.cli.parser import Command

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is that of the error's class."""
    # Nothing that is started from here (workers, official packages, programs in C) reports to ONNX Runtime's makers
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    report = Reporter()
    try:
        options = commands().parser.parse_args(arguments)
        command: Command = options.command
        command.settle(options)
        code = command.run(options, report)
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


def commands() -> Commands:
    """All commands, in the order of the help."""
    parser = argparse.ArgumentParser(
        prog="ortpack-build",
        description="Build verified wheels of ONNX Runtime from manifests. Results go to standard output, "
        "everything else to standard error.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    made = Commands(parser=parser)
    for module in (list, wheel, minimal, maintain, kit, ops, explain, targets, verify, completion):
        module.add_commands(made)
    return made
