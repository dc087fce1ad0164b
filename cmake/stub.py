"""Writes src/ortpack/_binding.pyi: the types of the native module, as nanobind's stubgen finds them.

    python cmake/stub.py            writes the file
    python cmake/stub.py --check    prints how the file differs from what would be written; exit code 1 if it does

Both look at the `ortpack` that is installed, which has to be built from this tree: `nox -s stub` sees to that. What
stubgen can't tell stands in stub.pattern beside this script.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
from pathlib import Path

from nanobind.stubgen import StubGen, load_pattern_file

PATTERNS = Path(__file__).with_name("stub.pattern")
STUB = Path(__file__).parents[1] / "src" / "ortpack" / "_binding.pyi"
HEADER = """\
# Types of the native module, written by `nox -s stub` (nanobind's stubgen, with cmake/stub.pattern). To change them,
# change src/binding/ or the patterns, and run it again.

"""


def stub() -> str:
    """The file's text.

    Raises:
        ValueError: a pattern fits nothing in the module.
    """
    module = importlib.import_module("ortpack._binding")
    patterns = load_pattern_file(str(PATTERNS))
    generator = StubGen(module, include_docstrings=False, include_private=True, patterns=patterns)
    generator.put(module)
    if unused := [pattern.query.pattern for pattern in patterns if pattern.matches == 0]:
        raise ValueError(f"{PATTERNS.name}: the module has nothing for {', '.join(unused)}")
    return HEADER + generator.get().strip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the types of the native module.")
    parser.add_argument("--check", action="store_true", help="only say whether they are current")
    arguments = parser.parse_args()
    try:
        text = stub()
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not arguments.check:
        STUB.write_text(text, encoding="utf-8")
        return 0
    before = STUB.read_text(encoding="utf-8")
    difference = difflib.unified_diff(before.splitlines(), text.splitlines(), STUB.name, "as generated", lineterm="")
    sys.stdout.writelines(f"{line}\n" for line in difference)
    return int(before != text)


if __name__ == "__main__":
    sys.exit(main())
