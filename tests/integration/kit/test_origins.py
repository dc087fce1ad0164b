"""The real sources of ONNX Runtime 1.21.0, from the supplier that this machine reaches."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ortpack_build.base.archive import extract_all
from ortpack_build.base.cache import Cache
from ortpack_build.base.errors import FetchError
from ortpack_build.origin import source as origin_source
from ortpack_build.origin.source import tree as trees
from support.contexts import context
from support.ort_schema import TABLES, slots

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("apt-get") is None, reason="no apt")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    root = os.environ.get("ORTPACK_BUILD_CACHE")
    return Cache(root=Path(root).absolute() if root else tmp_path_factory.mktemp("cache"))


def _obtain(cache: Cache, supplier: str, path: Path | None = None) -> origin_source.SourceTree:
    return origin_source.obtain(origin_source.load("1.21.0"), context(cache.root), supplier=supplier, path=path)


def test_debian_through_a_private_apt(cache: Cache) -> None:
    etc = {path: path.stat().st_mtime_ns for path in Path("/etc/apt").rglob("*")}
    lists = Path("/var/lib/apt/lists")
    before = sorted(path.name for path in lists.iterdir())
    tree = _obtain(cache, "auto")
    assert tree.supplier == "debian"
    assert (tree.path / "onnxruntime" / "VERSION_NUMBER").read_text().strip() == "1.21.0"
    assert sum(table.entries + table.conditional for table in tree.tables) == 1292
    assert "-Wno-error=stringop-overflow" in (tree.path / "flatbuffers" / "CMakeLists.txt").read_text()
    assert {path: path.stat().st_mtime_ns for path in Path("/etc/apt").rglob("*")} == etc
    assert sorted(path.name for path in lists.iterdir()) == before


def test_ort_format_models_are_read_by_the_numbers_of_the_schema(cache: Cache) -> None:
    schema = _obtain(cache, "auto").path / "onnxruntime" / "onnxruntime" / "core" / "flatbuffers" / "schema" / "ort.fbs"
    found = slots(schema.read_text(encoding="utf-8"))
    for name, table in TABLES.items():
        assert {field: found[name][field] for field in table.__members__} == dict(table.__members__)


def test_a_tree_of_the_users_is_the_release(cache: Cache, tmp_path: Path) -> None:
    """The digests of the manifest are those of the unpacked release, before its tables were opened."""
    pinned = origin_source.load("1.21.0")
    archive = next(a for a in pinned.suppliers["debian"].archives if a.component == "onnxruntime")
    _obtain(cache, "debian")
    mine = tmp_path / "onnxruntime"
    mine.mkdir()
    extract_all(cache.path("artifacts", archive.sha256 or "") / archive.file, mine, strip=1)
    trees.check_user_tree(pinned, mine, modified=False)
    assert _obtain(cache, "auto", mine).supplier == "path (the rest from debian)"


def test_upstream_lacks_a_pin_and_is_refused(cache: Cache) -> None:
    with pytest.raises(FetchError, match=r"no SHA-256 for onnxruntime-1\.21\.0\.tar\.gz") as caught:
        _obtain(cache, "upstream")
    assert "debian" in caught.value.hint
