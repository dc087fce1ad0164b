from __future__ import annotations

import io
import os
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortpack_build.base.archive import Limits, extract_all, extract_members, safe_path
from ortpack_build.base.errors import ArchiveError

if TYPE_CHECKING:
    from pathlib import Path

NAMES = st.lists(st.sampled_from(["..", ".", "", "a", "b c", "C:", "x\\y", "\0", "ü", "~"]), max_size=6).map("/".join)


@given(st.one_of(NAMES, st.text(max_size=20)))
def test_a_safe_path_stays_in_its_folder(name: str) -> None:
    try:
        path = safe_path(name)
    except ArchiveError:
        return
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert "\\" not in str(path)
    assert os.path.normpath(f"/root/{path}").startswith("/root/")
    assert path == safe_path(str(path))


@pytest.mark.parametrize("name", ["", "/", "/etc/passwd", "../x", "a/../../x", "C:/x", "a\\..\\b", "a\0b", "."])
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(ArchiveError, match="Unsafe"):
        safe_path(name)


def make_zip(path: Path, members: dict[str, bytes], *, mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, data)
    return path


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def make_tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return path


def symlink(name: str, to: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.SYMTYPE, linkname=to)


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def test_only_the_named_members_are_taken(tmp_path: Path, into: Path) -> None:
    wheel = make_zip(tmp_path / "a.whl", {"pkg/lib.so": b"lib", "pkg/evil.py": b"evil", "../outside": b"x"})
    extract_members(wheel, {"pkg/lib.so": "libraries/lib.so"}, into)
    assert [path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file()] == ["libraries/lib.so"]
    assert (into / "libraries/lib.so").read_bytes() == b"lib"


def test_a_missing_member_is_named(tmp_path: Path, into: Path) -> None:
    with pytest.raises(ArchiveError, match=r"a\.whl lacks pkg/lib\.so"):
        extract_members(make_zip(tmp_path / "a.whl", {"x": b""}), {"pkg/lib.so": "lib.so"}, into)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(tmp_path: Path, into: Path) -> None:
    path = tmp_path / "a.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("lib.so", b"one")
        archive.writestr("lib.so", b"two")
    with pytest.raises(ArchiveError, match="more than one"):
        extract_members(path, {"lib.so": "lib.so"}, into)


def test_a_link_in_a_zip_file_is_refused(tmp_path: Path, into: Path) -> None:
    wheel = make_zip(tmp_path / "a.whl", {"lib.so": b"/etc/passwd"}, mode=0o120777)
    with pytest.raises(ArchiveError, match="neither file nor folder"):
        extract_members(wheel, {"lib.so": "lib.so"}, into)


def test_the_limit_counts_what_is_written(tmp_path: Path, into: Path) -> None:
    wheel = make_zip(tmp_path / "a.whl", {"lib.so": bytes(5000)})
    with pytest.raises(ArchiveError, match="more than 4999 bytes"):
        extract_members(wheel, {"lib.so": "lib.so"}, into, limits=Limits(size=4999))


@pytest.mark.parametrize("keep", [0, 10, 100, -30])
def test_a_truncated_zip_file_is_damaged(tmp_path: Path, into: Path, keep: int) -> None:
    wheel = make_zip(tmp_path / "a.whl", {"lib.so": bytes(range(256)) * 8})
    wheel.write_bytes(wheel.read_bytes()[:keep])
    with pytest.raises(ArchiveError, match="damaged"):
        extract_members(wheel, {"lib.so": "lib.so"}, into)


def test_changed_bytes_are_damage(tmp_path: Path, into: Path) -> None:
    wheel = make_zip(tmp_path / "a.whl", {"lib.so": b"library"})
    wheel.write_bytes(wheel.read_bytes().replace(b"library", b"LIBRARY"))
    with pytest.raises(ArchiveError, match=r"damaged.*CRC"):
        extract_members(wheel, {"lib.so": "lib.so"}, into)


def test_a_tar_file_keeps_contents_executable_bits_and_inner_links(tmp_path: Path, into: Path) -> None:
    archive = make_tar(
        tmp_path / "a.tar.gz",
        member("top", type=tarfile.DIRTYPE),
        member("top/run", b"#!", mode=0o4755),
        member("top/sub/data", b"data", mode=0o600),
        symlink("top/link", "sub/data"),
        member("top/copy", type=tarfile.LNKTYPE, linkname="top/sub/data"),
    )
    extract_all(archive, into, strip=1)
    assert (into / "run").stat().st_mode & 0o7777 == 0o755
    assert (into / "link").is_symlink()
    assert (into / "link").read_bytes() == (into / "copy").read_bytes() == b"data"


ATTACKS = {
    "absolute": [member("/outside", b"x")],
    "climbs": [member("a/../../x", b"x")],
    "link out": [symlink("a", "../outside")],
    "absolute link": [symlink("a", "/etc")],
    "through a link": [symlink("a", ".."), member("a/x", b"x")],
    "two links": [symlink("deep/er/up", "../.."), symlink("deep/out", "er/up/..")],
    "loop": [symlink("a", "b"), symlink("b", "a")],
    "hard link out": [member("a", type=tarfile.LNKTYPE, linkname="../outside")],
    "hard link to nothing": [member("a", type=tarfile.LNKTYPE, linkname="b")],
    "device": [member("a", type=tarfile.CHRTYPE)],
    "pipe": [member("a", type=tarfile.FIFOTYPE)],
    "twice": [member("a", b"1"), member("a", b"2")],
    "file and link": [member("a", b"1"), symlink("a", "b")],
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_by_tar_file(tmp_path: Path, into: Path, attack: str) -> None:
    (tmp_path / "outside").write_bytes(b"mine")
    archive = make_tar(tmp_path / "a.tar.gz", member("good", b"good"), *ATTACKS[attack])
    with pytest.raises(ArchiveError):
        extract_all(archive, into)
    assert list(into.iterdir()) == []
    assert (tmp_path / "outside").read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "into", "outside"]


def test_links_of_a_folder_that_stands_for_the_root(tmp_path: Path, into: Path) -> None:
    with tarfile.open(tmp_path / "root.tar", "w") as target:
        target.addfile(tarfile.TarInfo("etc/file"), io.BytesIO())
        for name, goal in (("usr/lib/absolute", "/etc/file"), ("usr/lib/outside", "/../../../etc/file")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, goal
            target.addfile(link)
    extract_all(tmp_path / "root.tar", into, rooted=True)
    for name in ("absolute", "outside"):  # above / is /
        assert (into / "usr" / "lib" / name).resolve() == into.resolve() / "etc" / "file"
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(ArchiveError, match="leaves the folder"):
        extract_all(tmp_path / "root.tar", other)
    assert not list(other.iterdir())


def test_what_is_no_archive(tmp_path: Path, into: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"no archive")
    with pytest.raises(ArchiveError, match="damaged"):
        extract_all(tmp_path / "a.tar", into)
    with pytest.raises(ArchiveError, match="no file"):
        extract_all(tmp_path / "missing.tar", into)


def test_too_many_files(tmp_path: Path, into: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {str(n): b"" for n in range(5)})
    with pytest.raises(ArchiveError, match="more than 4 files"):
        extract_all(archive, into, limits=Limits(files=4))
