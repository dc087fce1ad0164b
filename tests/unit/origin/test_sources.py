"""Source manifests and trees: made from small archives of our own, and what is refused."""

from __future__ import annotations

import io
import shutil
import tarfile
from typing import TYPE_CHECKING

import msgspec
import pytest

from ortpack_build.base.cache import Cache
from ortpack_build.base.data_file import shipped_folder
from ortpack_build.base.errors import (
    ArchiveError,
    BuildError,
    FetchError,
    HashMismatchError,
    ManifestError,
    SourceError,
    UsageError,
)
from ortpack_build.base.hashing import sha256
from ortpack_build.base.report import Reporter
from ortpack_build.origin import source as origin_source
from ortpack_build.origin.source import apt, deb, tree, url
from ortpack_build.origin.source import manifest as source_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TABLE = """\
Status RegisterX(KernelRegistry& kernel_registry) {
  static const BuildKernelCreateInfoFn function_table[] = {
      BuildKernelCreateInfo<void>,
  };
  for (auto& function_table_entry : function_table) {
    KernelCreateInfo info = function_table_entry();
  }
}
"""
_PATCH = "--- a/x.txt\n+++ b/x.txt\n@@ -1 +1 @@\n-old\n+new\n"
_ORT_FILES = {"ort-1/VERSION_NUMBER": "1.21.0\n", "ort-1/t.cc": _TABLE, "ort-1/p.patch": _PATCH, "ort-1/core/a": "a"}


def _tar(files: Mapping[str, str], *, links: Mapping[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return buffer.getvalue()


class _Case:
    """Sources of two components whose downloads come from a dictionary."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache = Cache(root=folder / "cache")
        self.ort = _tar(_ORT_FILES)
        self.served = {"https://e.example/ort": self.ort, "https://e.example/dep": _tar({"d/x.txt": "old\n"})}
        monkeypatch.setattr(url, "download", lambda address, file, _step: file.write_bytes(self.get(address)))

    def get(self, address: str) -> bytes:
        if address not in self.served:
            raise FetchError(f"{address} is not there.")
        return self.served[address]

    def sources(self, **changes: object) -> source_manifest.Sources:
        archives = [
            {"component": name, "from": "url", "url": f"https://e.example/{address}", "file": f"{address}.tar.gz"}
            | {"sha256": sha256(self.served.get(f"https://e.example/{address}", b"")), "strip": 1}
            for name, address in (("onnxruntime", "ort"), ("dep", "dep"))
        ]
        data = {
            "schema": 1,
            "ort": "1.21.0",
            "order": ["main"],
            "proven": True,
            "components": [{"name": "onnxruntime"}, {"name": "dep", "patches": ["p.patch"]}],
            "tables": [{"file": "t.cc", "prefix": "cpu"}],
            "origins": {"main": {"summary": "s", "archives": archives}},
        }
        return msgspec.convert(data | changes, source_manifest.Sources)

    def obtain(
        self, *, origin: str = "auto", path: Path | None = None, modified: bool = False, **changes: object
    ) -> Path:
        made = origin_source.obtain(
            self.sources(**changes), origin=origin, path=path, modified=modified, cache=self.cache, report=Reporter()
        )
        return made.path


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Case:
    return _Case(tmp_path, monkeypatch)


def test_a_tree_is_patched_and_its_tables_are_open(case: _Case) -> None:
    tree_ = case.obtain()
    assert (tree_ / "dep" / "x.txt").read_text() == "new\n"
    assert "ortpack_kernels_cpu_RegisterX" in (tree_ / "onnxruntime" / "t.cc").read_text()


def test_an_archive_with_other_bytes(case: _Case) -> None:
    pinned = case.sources()
    case.served["https://e.example/ort"] = _tar({"ort-1/VERSION_NUMBER": "evil"})
    with pytest.raises(HashMismatchError, match="is pinned"):
        origin_source.obtain(pinned, origin="main", path=None, modified=False, cache=case.cache, report=Reporter())
    case.served["https://e.example/ort"] = case.ort
    assert origin_source.obtain(pinned, origin="auto", path=None, modified=False, cache=case.cache, report=Reporter())


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (_tar(_ORT_FILES)[:-40], ArchiveError),
        (b"", ArchiveError),
        (_tar(_ORT_FILES | {"ort-1/../../evil": "x"}), ArchiveError),
        (_tar(_ORT_FILES | {"/evil": "x"}), ArchiveError),
        (_tar(_ORT_FILES, links={"ort-1/link": "/etc/passwd"}), ArchiveError),
        (_tar(_ORT_FILES, links={"ort-1/link": "../../../x"}), ArchiveError),
        (_tar(_ORT_FILES | {"ort-1/VERSION_NUMBER": "1.20.0"}), SourceError),
        (_tar({"ort-1/VERSION_NUMBER": "1.21.0"}), SourceError),
        (_tar(_ORT_FILES | {"ort-1/t.cc": "int main;"}), SourceError),
        (_tar(_ORT_FILES | {"ort-1/p.patch": _PATCH.replace("old", "other")}), SourceError),
    ],
    ids=[
        "truncated",
        "empty",
        "climbs",
        "absolute",
        "link",
        "climbing link",
        "version",
        "incomplete",
        "table",
        "patch",
    ],
)
def test_bad_archives_leave_nothing(data: bytes, error: type[BuildError], case: _Case) -> None:
    case.served["https://e.example/ort"] = data
    with pytest.raises(error):
        case.obtain(origin="main")
    assert not list((case.cache.root / "sources").glob("*"))
    assert not [path for path in case.cache.root.rglob("*") if path.name in {"evil", "link"}]


def _edit(old: str, **more: str) -> dict[str, str]:
    return {"component": "dep", "file": "x.txt", "old": old, "new": "newest", "reason": "musl lacks it"} | more


def test_a_source_is_edited_after_the_patches(case: _Case) -> None:
    path = case.obtain(edits=[_edit("new")])
    assert (path / "dep" / "x.txt").read_text() == "newest\n"
    assert path != case.obtain()


@pytest.mark.parametrize(
    ("edit", "found"), [(_edit("old"), 0), (_edit("o"), 2), (_edit("new", file="g"), 0)], ids=["none", "two", "no file"]
)
def test_a_source_that_is_not_as_an_edit_expects(edit: dict[str, str], found: int, case: _Case) -> None:
    case.served["https://e.example/dep"] = _tar({"d/x.txt": "old\noo\n"})
    with pytest.raises(SourceError, match=rf"of dep is not as expected: .* is there {found} times, not once") as caught:
        case.obtain(edits=[edit])
    assert "musl lacks it" in caught.value.paragraph()
    assert not list((case.cache.root / "sources").glob("*"))


def test_auto_says_why_of_each_origin(case: _Case) -> None:
    del case.served["https://e.example/dep"]
    with pytest.raises(FetchError, match=r"No origin gives .* main: https://e\.example/dep is not there"):
        case.obtain()


def test_nothing_unpinned_is_used(case: _Case) -> None:
    archives = [
        {
            "component": "onnxruntime",
            "from": "url",
            "url": "https://e.example/ort",
            "file": "ort.tar.gz",
            "unpinned": "?",
        },
        {"component": "dep", "from": "nothing"},
    ]
    with pytest.raises(FetchError, match=r"no SHA-256 for ort\.tar\.gz"):
        case.obtain(origin="main", origins={"main": {"summary": "s", "archives": archives}})
    assert not case.cache.root.exists()


def test_a_tree_of_the_users(case: _Case, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    for name, text in _ORT_FILES.items():
        file = mine / name.partition("/")[2]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    pins = {"core": tree.digest(mine / "core")}
    assert case.obtain(path=mine, tree=pins) != case.obtain()
    (mine / "core" / "a").write_text("patched")
    with pytest.raises(SourceError, match=r"not ONNX Runtime 1\.21\.0 as released: core differ"):
        case.obtain(path=mine, tree=pins)
    assert case.obtain(path=mine, modified=True, tree=pins)
    assert (mine / "t.cc").read_text() == _TABLE
    (mine / "VERSION_NUMBER").write_text("1.20.1")
    with pytest.raises(SourceError, match=r"is ONNX Runtime 1\.20\.1, not 1\.21\.0"):
        case.obtain(path=mine, modified=True, tree=pins)
    with pytest.raises(SourceError, match="no tree of ONNX Runtime"):
        case.obtain(path=tmp_path)


def test_a_tree_of_the_users_that_is_incomplete(case: _Case, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "core").mkdir(parents=True)
    (mine / "VERSION_NUMBER").write_text("1.21.0\n")
    pins = {"core": tree.digest(mine / "core"), "cmake": "0" * 64}
    with pytest.raises(SourceError, match="is incomplete: it has no cmake"):
        case.obtain(path=mine, modified=True, tree=pins)
    with pytest.raises(SourceError, match=r"lacks p\.patch"):
        case.obtain(path=mine, modified=True)
    (mine / "p.patch").write_text(_PATCH)
    with pytest.raises(SourceError, match=r"lacks t\.cc") as caught:
        case.obtain(path=mine, modified=True)
    assert "Is it complete?" in caught.value.hint
    assert not list((case.cache.root / "sources").glob("*"))


def test_a_cached_archive_that_was_replaced_is_fetched_anew(case: _Case, capfd: pytest.CaptureFixture[str]) -> None:
    first = case.obtain()
    archive = case.cache.path("artifacts", sha256(case.ort)) / "ort.tar.gz"
    archive.write_bytes(_tar({"ort-1/VERSION_NUMBER": "evil"}))
    shutil.rmtree(first.parent)
    assert case.obtain() == first
    assert archive.read_bytes() == case.ort
    assert "The cached ort.tar.gz is damaged; it is fetched anew." in " ".join(capfd.readouterr().err.split())


def test_apt_without_the_pinned_file(case: _Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a mirror that has moved on: another release of the package, or none."""

    def download(_wanted: apt.Wanted, *, into: Path, **_: object) -> str:
        (into / "dep_2.orig.tar.gz").write_bytes(b"newer")
        return "E: Unable to find a source package for dep"

    monkeypatch.setattr(apt, "download", download)
    archives = [
        {"component": "onnxruntime", "from": "nothing", "write": {"VERSION_NUMBER": "1.21.0"}},
        {"component": "dep", "from": "apt-source", "package": "dep", "file": "dep_1.orig.tar.gz", "sha256": "0" * 64},
    ]
    origins = {"main": {"summary": "s", "suite": "trixie", "archives": archives}}
    with pytest.raises(FetchError) as caught:
        case.obtain(origin="main", origins=origins)
    message = caught.value.paragraph()
    assert "apt did not give dep_1.orig.tar.gz of dep (it gave dep_2.orig.tar.gz). E: Unable to find" in message
    assert "Use another origin than main, or --source TREE." in message
    assert not list((case.cache.root / "artifacts").glob("*"))


def test_unknown_origin_and_release(case: _Case) -> None:
    with pytest.raises(UsageError) as caught:
        case.obtain(origin="mian")
    assert "Did you mean main?" in caught.value.hint
    with pytest.raises(UsageError, match=r"No sources are pinned for ONNX Runtime 9\.9\.9"):
        origin_source.load("9.9.9")


def test_the_shipped_manifests() -> None:
    for release in origin_source.releases():
        pinned = origin_source.load(release)
        for origin in pinned.origins.values():
            assert all(archive.sha256 or archive.unpinned or archive.origin == "nothing" for archive in origin.archives)
    assert not origin_source.load("1.21.0").origins["debian"].unpinned
    assert origin_source.default_release() == "1.21.0"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('component = "date"', 'component = "data"', "must give each component once"),
        ('from = "pip"', 'from = "pipe"', "Did you mean pip"),
        ('order = ["debian", "upstream"]', 'order = ["debain"]', "Did you mean debian"),
        ('url = "https://github.com/abseil', 'url = "http://github.com/abseil', "https address"),
        ('ort = "1.21.0"', 'ort = "1.20.0"', "file's name"),
        ('= "SafeInt.hpp"', '= "../SafeInt.hpp"', "Unsafe member name"),
        ('suite = "trixie"', "", "is needed for packages"),
        ('unpinned = "', 'unpinnd = "', "unknown key"),
        ('[[edits]]\ncomponent = "onnxruntime"', '[[edits]]\ncomponent = "onnxrutime"', "Did you mean onnxruntime"),
    ],
)
def test_mistakes_in_a_manifest(old: str, new: str, message: str, tmp_path: Path) -> None:
    name = "onnxruntime-1.21.0.toml"
    text = (shipped_folder() / "sources" / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new, 1))
    with pytest.raises(ManifestError, match=message):
        origin_source.load("1.21.0", tmp_path)


def _ar(*members: tuple[str, bytes]) -> bytes:
    parts = [b"!<arch>\n"]
    for name, data in members:
        parts += [
            f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode(),
            data,
            b"\n" * (len(data) % 2),
        ]
    return b"".join(parts)


def test_a_debian_package(tmp_path: Path) -> None:
    package = tmp_path / "p.deb"
    package.write_bytes(
        _ar(("debian-binary", b"2.0\n"), ("control.tar.gz", b"odd"), ("data.tar.gz", _tar({"./u/f": "1"})))
    )
    (tmp_path / "out").mkdir()
    deb.extract(package, tmp_path / "out", work=tmp_path)
    assert (tmp_path / "out" / "u" / "f").read_text() == "1"


@pytest.mark.parametrize(
    "data",
    [b"no", _ar(("debian-binary", b"2.0\n")), _ar(("data.tar.gz", _tar({"f": "1"})))[:-30], b"!<arch>\nshort"],
)
def test_a_bad_debian_package(data: bytes, tmp_path: Path) -> None:
    package = tmp_path / "p.deb"
    package.write_bytes(data)
    (tmp_path / "out").mkdir()
    with pytest.raises(ArchiveError):
        deb.extract(package, tmp_path / "out", work=tmp_path)
