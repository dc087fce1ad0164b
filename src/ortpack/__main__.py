"""The loader's command line: `python -m ortpack doctor`."""

from __future__ import annotations

import argparse
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command that the arguments name; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ortpack", description="What ONNX Runtime would be used, and why.")
    commands = parser.add_subparsers(dest="command", required=True)
    doctor = commands.add_parser("doctor", help="show the machine, the runtimes, and the one that is taken")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.add_argument("--verify", action="store_true", help="compare every installed file with its SHA-256")
    options = parser.parse_args(arguments)

    from ortpack._doctor import doctor as run  # noqa: PLC0415 - not needed for --help

    return run(as_json=options.json, verify=options.verify)


if __name__ == "__main__":
    sys.exit(main())
