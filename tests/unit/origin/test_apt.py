"""Which mirrors are read from a machine's apt sources, and what happens without them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from ortpack_build.base.errors import FetchError
from ortpack_build.origin.source import apt

if TYPE_CHECKING:
    from pathlib import Path


def test_both_forms() -> None:
    found = apt.mirrors(
        [
            (
                "debian.sources",
                "Types: deb\n# a comment\nURIs: http://a.example/debian/\nSuites: bookworm bookworm-updates\n"
                "Components: main contrib\nSigned-By:\n -----BEGIN\n\n"
                "Types: deb\nURIs: http://a.example/debian-security\nSuites: bookworm-security\nComponents: main\n\n"
                "Enabled: no\nTypes: deb\nURIs: http://off.example\nSuites: sid\nComponents: main\n",
            ),
            (
                "sources.list",
                "# deb http://commented.example stable main\n"
                "deb [arch=amd64 signed-by=/x y=z] https://b.example/debian stable main # why\n"
                "deb-src http://a.example/debian stable main\n"
                "deb http://c.example/debian stable contrib\n"
                "deb cdrom:[x]/ stable main\n"
                "deb http://flat.example ./\n",
            ),
        ]
    )
    assert found == ("http://a.example/debian", "https://b.example/debian")


def test_no_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="no apt-get") as caught:
        apt.download(apt.Wanted(), suite="trixie", work=tmp_path, into=tmp_path)
    assert "--sources upstream" in caught.value.paragraph()


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="no apt")
@pytest.mark.parametrize(
    ("sources", "message"),
    [("", "knows no mirror"), ("deb http://127.0.0.1:9/debian stable main\n", "gave the indexes")],
)
def test_no_mirror(sources: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "sources.list").write_text(sources)
    with pytest.raises(FetchError, match=message):
        apt.download(apt.Wanted(sources=("hello",)), suite="trixie", work=tmp_path, into=tmp_path, etc=tmp_path / "etc")
