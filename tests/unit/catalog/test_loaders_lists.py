"""What the loader has to know of the manifests: its lists are those that the manifests give."""

from __future__ import annotations

import re
from pathlib import Path

from ortpack_build.catalog import manifests

LOADER = Path(__file__).parents[3] / "src" / "ortpack"


def test_it_names_the_runtime_of_every_variant() -> None:
    names = re.findall(r'__import__\("ortpack_runtimes\.(.*)"\)', (LOADER / "_frozen.py").read_text(encoding="utf-8"))
    assert names == sorted(manifests.load().variants)


def test_it_advises_the_variant_that_others_fall_back_to() -> None:
    text = (LOADER / "_installed.py").read_text(encoding="utf-8")
    assert re.findall(r'^FALLBACK = "(.*?)"', text, flags=re.MULTILINE) == [manifests.load().fallback]
