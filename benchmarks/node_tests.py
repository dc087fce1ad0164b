"""The node tests of ONNX on two libraries: `PYTHONPATH=tests python benchmarks/node_tests.py OFFICIAL OTHER`.

Prints how many pass on each and every test whose outcome differs; exits with 1 if there is one. `--format ort` has
OFFICIAL turn each model into the ORT format first, for a library that loads nothing else.
"""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
from pathlib import Path

from support import node_tests


def main() -> int:
    """Run every test on every library."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("libraries", nargs=2, type=Path)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth test")
    parser.add_argument("--format", choices=("onnx", "ort"), default="onnx", help="of the models")
    options = parser.parse_args()
    libraries = [library.absolute() for library in options.libraries]
    outcomes: dict[str, list[str]] = {}
    refused = 0
    with tempfile.TemporaryDirectory() as scratch:
        for folder in node_tests.folders()[:: options.every]:
            model = Path(scratch) / f"{folder.name}.ort" if options.format == "ort" else None
            if model is not None and not node_tests.to_ort(folder, model, libraries[0]):
                refused += 1
                continue
            outcomes[folder.name] = [node_tests.outcome(folder, library, model) for library in libraries]
    for place, library in enumerate(options.libraries):
        counts = collections.Counter(outcome[place].partition(":")[0] for outcome in outcomes.values())
        print(f"{library}: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
    if refused:
        print(f"{refused} models could not be converted")
    differ = {name: outcome for name, outcome in outcomes.items() if outcome[0] != outcome[1]}
    for name, (first, other) in differ.items():
        print(f"{name}: {first} | {other}")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
