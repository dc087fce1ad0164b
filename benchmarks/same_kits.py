"""Whether two kits are the same bytes: `python benchmarks/same_kits.py FIRST SECOND`, folders or packed files.

To see whether a build is reproducible, make the kit twice in different folders (`ortpack-build kit --cache A`, then
`--cache B`). Prints every file that differs, of static libraries every object; exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.cache import Cache
from ortpack_build.kit import unpack

if TYPE_CHECKING:
    from collections.abc import Mapping


def main() -> int:
    """Compare the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kits", nargs=2, type=Path, help="a kit's folder, or its packed file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        first, second = (
            _files(kit if kit.is_dir() else unpack(kit, Cache(root=Path(scratch) / str(place))).path)
            for place, kit in enumerate(options.kits)
        )
    found = differences(first, second)
    for line in found:
        print(line)
    size = sum(map(len, first.values())) / 1e6
    print(f"{len(found)} differences" if found else f"the same: {len(first)} files, {size:.1f} MB")
    return 1 if found else 0


def differences(first: Mapping[str, bytes], second: Mapping[str, bytes]) -> list[str]:
    """A line for every file that is not the same in both, or only in one of them."""
    lines = []
    for name in sorted({*first, *second}):
        if name not in first or name not in second:
            lines.append(f"{name}: only in the {'second' if name not in first else 'first'}")
        elif first[name] != second[name]:
            members = differences(*map(_members, (first[name], second[name]))) if name.endswith(".a") else []
            lines += [f"{name}: {member}" for member in members] or [_place(name, first[name], second[name])]
    return lines


def _place(name: str, first: bytes, second: bytes) -> str:
    at = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second)))
    around = [data[max(0, at - 24) : at + 24] for data in (first, second)]
    return f"{name}: {len(first)} and {len(second)} bytes, from byte {at}: {around[0]!r} and {around[1]!r}"


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _members(library: bytes) -> dict[str, bytes]:
    """The objects of a static library by name; those that share one are told apart by their order."""
    members: dict[str, bytes] = {}
    names, position = b"", 8
    while position + 60 <= len(library):
        name = library[position : position + 16].decode().rstrip()
        size = int(library[position + 48 : position + 58])
        data = library[position + 60 : position + 60 + size]
        if name == "//":
            names = data
        elif name.startswith("/") and name[1:].isdigit():
            name = names[int(name[1:]) :].split(b"/\n")[0].decode()
        else:
            name = name.removesuffix("/")  # how GNU ends a short one
        while name in members:
            name += "'"
        members[name] = library[position : position + 48] + data  # owner and time count too
        position += 60 + size + size % 2
    return members


if __name__ == "__main__":
    sys.exit(main())
