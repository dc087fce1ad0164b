"""Data files: read as values of a model, a shipped one with what the user's own adds, and mistakes named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec import field

from ortpack_build.base import data_file
from ortpack_build.base.data_file import Model, Sha256, Version, read, read_merged
from ortpack_build.base.errors import ManifestError

if TYPE_CHECKING:
    from pathlib import Path


class _Inner(Model, frozen=True):
    size: int
    sha256: Sha256 | None = None


class _File(Model, frozen=True):
    inner: dict[str, _Inner]
    names: tuple[str, ...] = ()
    deep: dict[str, dict[Version, _Inner]] = field(default_factory=dict)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "f.toml").write_text('names = ["a"]\n[inner.one]\nsize = 1\n[inner.two]\nsize = 2\n')
    monkeypatch.setattr(data_file, "shipped_folder", lambda: folder)
    return folder


def _own(folder: Path, text: str) -> Path:
    own = folder / "own"
    own.mkdir()
    (own / "f.toml").write_text(text)
    return own


def test_tables_of_ones_own_are_merged_and_all_else_replaced(shipped: Path, tmp_path: Path) -> None:
    own = _own(tmp_path, 'names = ["b"]\ninner = { two = { size = 3 }, three = { size = 4 } }\n')
    found, path = read_merged("f.toml", _File, own)
    assert path == own / "f.toml"
    assert found.names == ("b",)
    assert {name: inner.size for name, inner in found.inner.items()} == {"one": 1, "two": 3, "three": 4}


def test_without_a_file_of_ones_own_the_shipped_one_counts(shipped: Path, tmp_path: Path) -> None:
    for own in (None, tmp_path):
        found, path = read_merged("f.toml", _File, own)
        assert (path, list(found.inner)) == (shipped / "f.toml", ["one", "two"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("inner = { two = { sizes = 3 } }", r"inner\.two\.sizes: unknown key\. Did you mean size\?"),
        ("inner = 3", "inner: expected `object`, got `int`"),
        ("inner = { three = {} }", r"inner\.three: size missing"),
        ('inner.two.size = "3"', r"inner\.two\.size: expected `int`, got `str`"),
        ('inner.two.sha256 = "0"', r"inner\.two\.sha256: expected `str` matching regex"),
        ("names = [", "not valid TOML"),
        ("names = [1]", r"names\[0\]: expected `str`, got `int`"),
        ('deep = { a = { "1.0" = { size = 1 } }, b = { "1.0" = { size = "2" } } }', r"deep\.b\.1\.0\.size: expected"),
        ('deep = { a = { "x" = { size = 1 } } }', r"deep\.a: expected `str` matching regex"),
        ("name = []", r"name: unknown key\. Did you mean names\?"),
    ],
)
def test_a_mistake_is_said_of_ones_own_file(shipped: Path, tmp_path: Path, text: str, message: str) -> None:
    own = _own(tmp_path, text)
    with pytest.raises(ManifestError, match=message) as caught:
        read_merged("f.toml", _File, own)
    assert str(caught.value).startswith(f"{own / 'f.toml'}: ")


def test_what_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="can't be read: No such file"):
        read(tmp_path / "none.toml", _File)
    with pytest.raises(ManifestError, match="can't be read: Is a directory"):
        read(tmp_path, _File)
    (tmp_path / "f.toml").write_bytes(b"\xff")
    with pytest.raises(ManifestError, match=r"is not UTF-8 \(byte 0\)"):
        read(tmp_path / "f.toml", _File)
