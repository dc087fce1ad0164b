from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).parents[3] / "build_tools" / "README.md"


def _errors(of: type[BuildError]) -> Iterator[type[BuildError]]:
    yield of
    for kind in of.__subclasses__():
        yield from _errors(kind)


def test_the_readme_has_every_exit_code_once() -> None:
    rows = [int(code) for code in re.findall(r"^\| (\d+) \|", README.read_text(encoding="utf-8"), re.MULTILINE)]
    assert rows == sorted({0, 130, *(kind.exit_code for kind in _errors(BuildError))})
