"""Source manifests and trees: made from small archives of our own, and what is refused."""

from __future__ import annotations

import io
import shutil
import tarfile
from typing import TYPE_CHECKING

import msgspec
import pytest

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
from ortpack_build.origin import source as origin_source
from ortpack_build.origin.source import apt, deb, patch, tree, url
from ortpack_build.origin.source import manifest as source_manifest
from support.contexts import context

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
        self.context = context(folder / "cache")
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
            "ort": "1.21.0",
            "order": ["main"],
            "proven": True,
            "components": [{"name": "onnxruntime"}, {"name": "dep", "patches": ["p.patch"]}],
            "tables": [{"file": "t.cc", "prefix": "cpu"}],
            "suppliers": {"main": {"summary": "s", "archives": archives}},
        }
        return msgspec.convert(data | changes, source_manifest.Sources)

    def obtain(
        self, *, supplier: str = "auto", path: Path | None = None, modified: bool = False, **changes: object
    ) -> Path:
        made = origin_source.obtain(
            self.sources(**changes), self.context, supplier=supplier, path=path, modified=modified
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
        origin_source.obtain(pinned, case.context, supplier="main")
    case.served["https://e.example/ort"] = case.ort
    assert origin_source.obtain(pinned, case.context)


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
        case.obtain(supplier="main")
    assert not list((case.context.cache.root / "sources").glob("*"))
    assert not [path for path in case.context.cache.root.rglob("*") if path.name in {"evil", "link"}]


def _own_patch(old: str = "a", new: str = "b", file: str = "core/a") -> dict[str, object]:
    """A patch to the onnxruntime component of this project's own, as the resolved sources have it."""
    text = f"--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-{old}\n+{new}\n"
    changes = msgspec.to_builtins(patch.parse(text, where="p"))
    return {"name": "mine.patch", "purpose": "musl lacks it", "changes": changes}


def test_a_release_is_patched(case: _Case) -> None:
    path = case.obtain(patches=[_own_patch()])
    assert (path / "onnxruntime" / "core" / "a").read_text() == "b"
    assert path != case.obtain()
    renamed = _own_patch() | {"name": "other.patch", "purpose": "said otherwise"}
    assert path == case.obtain(patches=[renamed])  # what a patch is called makes no other tree


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (_own_patch(old="z"), r"mine\.patch: hunk 1 does not fit core/a"),
        (_own_patch(file="core/z"), r"mine\.patch: there is no core/z in onnxruntime"),
    ],
)
def test_a_source_that_is_not_as_a_patch_expects(own: dict[str, object], message: str, case: _Case) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        case.obtain(patches=[own])
    assert "mine.patch is there because: musl lacks it" in caught.value.paragraph()
    assert not list((case.context.cache.root / "sources").glob("*"))


def test_a_tree_that_was_made_before_its_data_were_written_otherwise_keeps_its_key(case: _Case) -> None:
    first = case.obtain()
    key = first.parent.name
    assert case.obtain(keys={key: "f" * 64}).parent.name == "f" * 64
    assert case.obtain(keys={key: "f" * 64}, patches=[_own_patch()]).parent.name not in ("f" * 64, key)


def test_auto_says_why_of_each_origin(case: _Case) -> None:
    del case.served["https://e.example/dep"]
    with pytest.raises(FetchError, match=r"No supplier gives .* main: https://e\.example/dep is not there"):
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
        case.obtain(supplier="main", suppliers={"main": {"summary": "s", "archives": archives}})
    assert not case.context.cache.root.exists()


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
    assert not list((case.context.cache.root / "sources").glob("*"))


def test_a_cached_archive_that_was_replaced_is_fetched_anew(case: _Case, capfd: pytest.CaptureFixture[str]) -> None:
    first = case.obtain()
    archive = case.context.cache.path("artifacts", sha256(case.ort)) / "ort.tar.gz"
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
    suppliers = {"main": {"summary": "s", "suite": "trixie", "archives": archives}}
    with pytest.raises(FetchError) as caught:
        case.obtain(supplier="main", suppliers=suppliers)
    message = caught.value.paragraph()
    assert "apt did not give dep_1.orig.tar.gz of dep (it gave dep_2.orig.tar.gz). E: Unable to find" in message
    assert "Use other sources than main, or --tree DIR." in message
    assert not list((case.context.cache.root / "artifacts").glob("*"))


def test_unknown_origin_and_release(case: _Case) -> None:
    with pytest.raises(UsageError) as caught:
        case.obtain(supplier="mian")
    assert "Did you mean main?" in caught.value.hint
    with pytest.raises(UsageError, match=r"No sources are pinned for ONNX Runtime 9\.9\.9"):
        origin_source.load("9.9.9")


def test_the_shipped_manifests() -> None:
    for release in origin_source.releases():
        pinned = origin_source.load(release)
        for supplier in pinned.suppliers.values():
            assert all(
                archive.sha256 or archive.unpinned or archive.fetcher == "nothing" for archive in supplier.archives
            )
        assert all(patch.purpose and patch.changes for patch in pinned.patches)
    assert not origin_source.load("1.21.0").suppliers["debian"].unpinned
    assert origin_source.default_release() == "1.21.0"


def test_kits_that_were_compiled_before_are_found() -> None:
    """The key of a release's tree is part of every kit's; whoever changes it makes everybody compile anew."""
    pinned = origin_source.load("1.21.0")
    keys = {tree._key(pinned, list(supplier.archives), "") for supplier in pinned.suppliers.values()}
    assert keys == set(pinned.keys.values())  # none of them is left over
    assert "1f7c0c73528ffd2835c869a2228d817f563b6fd9345205980b6896a7875033f0" in keys


_RELEASE = "onnxruntime-1.21.0.toml"


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            _RELEASE,
            'date = "3.0.3"',
            'data = "3.0.3"',
            r"suppliers\.debian\.versions: 'data' is unknown\. Did you mean date",
        ),
        (_RELEASE, 'date = "3.0.3"\n', "", r"suppliers\.upstream\.versions: date: each supplier must give the same"),
        (_RELEASE, 'date = "3.0.3"', 'date = "3.0.4"', r"components\.toml has no '3\.0\.4' from debian\. .*3\.0\.3"),
        (_RELEASE, 'order = ["debian", "upstream"]', 'order = ["debain"]', r"order\[0\]: .* Did you mean debian"),
        (_RELEASE, 'ort = "1.21.0"', 'ort = "1.20.0"', "file's name"),
        (_RELEASE, 'suite = "trixie"', "", "is needed for packages"),
        (_RELEASE, 'suite = "trixie"', 'suite = "sid"', r"versions\.abseil_cpp: is of suite 'trixie', and .* 'sid'"),
        (_RELEASE, 'unpinned = "', 'unpinnd = "', "unknown key"),
        (_RELEASE, 'from = "apt-source"', 'from = "apt-sourc"', "Did you mean apt-source"),
        (
            _RELEASE,
            "[suppliers.debian.archive]",
            '[suppliers.debian.archive]\ncomponent = "date"',
            "other components are in",
        ),
        ("components.toml", 'from = "pip"', 'from = "pipe"', r"archives\[5\]\.from: .*Did you mean pip"),
        ("components.toml", 'url = "https://github.com/abseil', 'url = "http://github.com/abseil', "https address"),
        ("components.toml", '= "SafeInt.hpp"', '= "../SafeInt.hpp"', "Unsafe member name"),
        (
            "components.toml",
            'component = "date"',
            'component = "data"',
            r"archives\[3\]\.component: .*Did you mean date",
        ),
        ("components.toml", 'name = "date"', 'name = "eigen"', r"components\[2\]\.name: eigen is there twice"),
        (
            "components.toml",
            'name = "date"',
            'name = "onnxruntime"',
            r"components\[1\]\.name: is described by releases",
        ),
        (
            "components.toml",
            'version = "20250814.0"',
            'version = "20240722.0"',
            r"archives\[2\]\.version: .* is there twice",
        ),
        ("components.toml", 'suite = "trixie"\n', "", r"archives\[0\]\.suite: is needed for packages from apt"),
        ("components.toml", "strip = 1", "strip = -1", r"strip: expected `int` >= 0"),
        ("1.21.0/top-k-of-no-rows.patch", "Purpose: ", "", "line 1: must say what the patch is for"),
        ("1.21.0/top-k-of-no-rows.patch", "@@ -149,6", "@@ -149,60", "a hunk is shorter than its header says"),
        ("1.21.0/top-k-of-no-rows.patch", "/onnxruntime/core/", "/../onnxruntime/core/", "Unsafe member name"),
    ],
)
def test_mistakes_in_a_manifest(name: str, old: str, new: str, message: str, tmp_path: Path) -> None:
    shutil.copytree(shipped_folder() / "sources", tmp_path / "sources")
    file = tmp_path / "sources" / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new) if "core" in old else text.replace(old, new, 1))
    with pytest.raises(ManifestError, match=message) as caught:
        origin_source.load("1.21.0", tmp_path)
    assert str(tmp_path / "sources") in str(caught.value)


def test_a_release_of_the_users_own_takes_shared_components_and_brings_others(tmp_path: Path) -> None:
    (tmp_path / "sources" / "1.99.0").mkdir(parents=True)
    text = (shipped_folder() / "sources" / "onnxruntime-1.28.2.toml").read_text()
    changed = text.replace("1.28.2", "1.99.0").replace(
        "[suppliers.upstream.versions]", '[suppliers.upstream.versions]\nmine = "1"'
    )
    (tmp_path / "sources" / "onnxruntime-1.99.0.toml").write_text(changed)
    components = """
        schema = 1
        components = [{ name = "mine", option = "MINE" }]
        archives = [{ component = "mine", version = "1", supplier = "upstream", from = "nothing" }]
    """
    (tmp_path / "sources" / "components.toml").write_text(components)
    (tmp_path / "sources" / "1.99.0" / "a.patch").write_text("Purpose: a try.\n\n" + _PATCH)
    (tmp_path / "sources" / "1.99.0" / "b.txt").write_text("not a patch")
    assert origin_source.releases(tmp_path)[0] == "1.99.0"
    assert origin_source.releases() == origin_source.releases(tmp_path)[1:]
    own = origin_source.load("1.99.0", tmp_path)
    assert [component.name for component in own.components][-2:] == ["safeint", "mine"]
    assert [found.purpose for found in own.patches] == ["a try."]


def test_a_patch_that_can_not_be_read(tmp_path: Path) -> None:
    shutil.copytree(shipped_folder() / "sources", tmp_path / "sources")
    (tmp_path / "sources" / "1.21.0" / "bad.patch").write_bytes(b"Purpose: \xff")
    with pytest.raises(ManifestError, match=r"bad\.patch: can't be read"):
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
