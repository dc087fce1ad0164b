"""The loader's list of runtimes for tools that read imports in bytecode."""

from __future__ import annotations

import re
from pathlib import Path

from ortpack_build.catalog import manifests

FILE = Path(__file__).parents[3] / "src" / "ortpack" / "_frozen.py"


def test_it_names_the_runtime_of_every_variant() -> None:
    names = re.findall(r'__import__\("ortpack_runtimes\.(.*)"\)', FILE.read_text(encoding="utf-8"))
    assert names == sorted(manifests.load().variants)
