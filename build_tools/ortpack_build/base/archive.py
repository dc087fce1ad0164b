"""Extracts files from archives that may be hostile.

No member may be absolute, climb out with `..`, pass through a link, be a device, or appear twice; no link may leave
the folder; and what comes out is counted against a limit while it is written, whatever the headers say.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from ortpack_build.base.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CHUNK = 1 << 20
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most bytes and files that one archive may unpack to."""

    size: int = 4 << 30  # bytes, all files together
    files: int = 200_000


def safe_path(name: str) -> PurePosixPath:
    """Turn a member name into a relative path that stays in its folder on every operating system.

    Raises:
        ArchiveError: the name is empty, absolute, has a drive, a backslash, a control character or `..`.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    bad = (
        not parts
        or name.startswith("/")
        or ".." in parts
        or "\\" in name
        or ":" in parts[0]
        or any(ord(c) < 32 for c in name)
    )
    if bad:
        raise ArchiveError(f"Unsafe member name in archive: {name!r}.")
    return PurePosixPath(*parts)


def member_names(archive: Path) -> list[str]:
    """List the names in a zip file.

    Raises:
        ArchiveError: it is damaged.
    """
    with _reading(archive), zipfile.ZipFile(archive) as source:
        return source.namelist()


def extract_members(archive: Path, members: Mapping[str, str], into: Path, *, limits: Limits | None = None) -> None:
    """Extract the named members of a zip file, such as a wheel.

    Args:
        archive: the zip file.
        members: member name in the archive → file name relative to `into`.
        into: an existing folder.
        limits: of what is written.

    Raises:
        ArchiveError: a member is missing, a link, or damaged; names are unsafe; the limit is passed.
        OSError: writing failed.
    """
    budget = _Budget(limits=limits or Limits())
    with _reading(archive), zipfile.ZipFile(archive) as source:
        entries = source.namelist()
        for member, name in members.items():
            if entries.count(member) != 1:
                what = "lacks" if member not in entries else "has more than one"
                raise ArchiveError(f"{archive.name} {what} {member}.")
            info = source.getinfo(member)
            _refuse_zip_oddities(info)
            target = into / safe_path(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            with source.open(info) as stream:
                _copy(stream, target, budget, member)


def extract_all(
    archive: Path, into: Path, *, strip: int = 0, rooted: bool = False, limits: Limits | None = None
) -> None:
    """Extract all members of a zip or tar file (plain, gz, bz2, xz).

    Regular files keep their executable bit, folders are made, links are made last and only if they stay inside;
    owners, times and other modes are not kept.

    Args:
        archive: the file.
        into: an existing, empty folder.
        strip: how many leading folders of each member are dropped; members that have no more are left out.
        rooted: `into` stands for /, so an absolute link of a tar file is one to a place in it.
        limits: of what is written.

    Raises:
        ArchiveError: the archive is damaged or unsafe, or the limit is passed. What was written is removed.
        OSError: writing failed.
    """
    budget = _Budget(limits=limits or Limits())
    try:
        with _reading(archive):
            if zipfile.is_zipfile(archive):
                _extract_zip(archive, into, strip, budget)
            else:
                _extract_tar(archive, into, strip, budget, rooted=rooted)
    except ArchiveError:
        for child in into.iterdir():
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()
        raise


def _extract_zip(archive: Path, into: Path, strip: int, budget: _Budget) -> None:
    with zipfile.ZipFile(archive) as source:
        for info in source.infolist():
            _refuse_zip_oddities(info)
            path = _stripped(safe_path(info.filename), strip)
            if path is None:
                continue
            if info.is_dir():
                (into / path).mkdir(parents=True, exist_ok=True)
                continue
            target = _place(into, path, budget)
            with source.open(info) as stream:
                _copy(stream, target, budget, info.filename)
            if (info.external_attr >> 16) & stat.S_IXUSR:
                target.chmod(0o755)


def _extract_tar(archive: Path, into: Path, strip: int, budget: _Budget, *, rooted: bool) -> None:
    links: list[tuple[Path, str]] = []
    copies: list[tuple[Path, PurePosixPath]] = []
    with tarfile.open(archive) as source:
        for info in source:
            if PurePosixPath(info.name) == PurePosixPath("."):
                continue
            path = _stripped(safe_path(info.name), strip)
            if path is None or info.type in (tarfile.XGLTYPE, tarfile.XHDTYPE):
                continue
            if info.isdir():
                (into / path).mkdir(parents=True, exist_ok=True)
            elif info.issym():
                links.append((_place(into, path, budget), _goal(info.linkname, path) if rooted else info.linkname))
            elif info.islnk():
                original = _stripped(safe_path(info.linkname), strip)
                if original is None:
                    raise ArchiveError(f"{archive.name}: {info.name} is a link to {info.linkname}, which is left out.")
                copies.append((_place(into, path, budget), original))
            elif info.isfile():
                target = _place(into, path, budget)
                stream = source.extractfile(info)
                assert stream is not None  # noqa: S101 - true of every regular member
                with stream:
                    _copy(stream, target, budget, info.name)
                if info.mode & stat.S_IXUSR:
                    target.chmod(0o755)
            else:
                raise ArchiveError(f"{archive.name}: {info.name} is neither file, folder nor link.")
    for target, original in copies:
        if not (into / original).is_file():
            raise ArchiveError(f"{archive.name}: {target.name} is a link to {original}, which is no file.")
        with (into / original).open("rb") as stream:
            _copy(stream, target, budget, str(original))
    _make_links(archive, into, links)


def _goal(link: str, at: PurePosixPath) -> str:
    """Return where a link at `at` leads, the folder taken for /."""
    return os.path.relpath(link, PurePosixPath("/", at).parent) if link.startswith("/") else link


def _make_links(archive: Path, into: Path, links: list[tuple[Path, str]]) -> None:
    # After all files are written, so that nothing is ever written through a link; checked after all links are made,
    # because one link's target may pass through another.
    for link, goal in links:
        if link.is_symlink() or link.exists():
            raise ArchiveError(f"{archive.name}: {link.relative_to(into)} appears twice.")
        link.symlink_to(goal)
    root = into.resolve()
    for link, goal in links:
        try:
            inside = not goal.startswith("/") and link.resolve().is_relative_to(root)
        except (OSError, RuntimeError):  # a loop
            inside = False
        if not inside:
            raise ArchiveError(f"{archive.name}: the link {link.relative_to(into)} to {goal} leaves the folder.")


@dataclass(kw_only=True)
class _Budget:
    limits: Limits
    size: int = 0
    seen: set[str] = field(default_factory=set)

    def spend(self, size: int, member: str) -> None:
        self.size += size
        if self.size > self.limits.size:
            raise ArchiveError(f"The archive gives more than {self.limits.size} bytes (at {member}).")


def _place(into: Path, path: PurePosixPath, budget: _Budget) -> Path:
    """Make the folder for a file and return its path; refuse a path that was given before."""
    name = str(path)
    if name in budget.seen:
        raise ArchiveError(f"Archive member {name} appears twice.")
    budget.seen.add(name)
    if len(budget.seen) > budget.limits.files:
        raise ArchiveError(f"The archive has more than {budget.limits.files} files.")
    target = into / path
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _copy(stream: IO[bytes], target: Path, budget: _Budget, member: str) -> None:
    # "x": a file that is there already (another spelling on a case-blind file system) is not written over.
    try:
        output = target.open("xb")
    except FileExistsError as error:
        raise ArchiveError(f"Archive member {member} appears twice.") from error
    with output:
        while chunk := stream.read(_CHUNK):
            budget.spend(len(chunk), member)
            output.write(chunk)


def _stripped(path: PurePosixPath, strip: int) -> PurePosixPath | None:
    return PurePosixPath(*path.parts[strip:]) if len(path.parts) > strip else None


def _refuse_zip_oddities(info: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ArchiveError(f"Archive member {info.filename} is neither file nor folder.")
    if info.flag_bits & 1:
        raise ArchiveError(f"Archive member {info.filename} is encrypted.")


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise ArchiveError(f"{archive.name} is damaged: {error or type(error).__name__}.") from error
    except FileNotFoundError as error:
        if error.filename is not None and os.fspath(error.filename) == os.fspath(archive):
            raise ArchiveError(f"There is no file {archive}.") from error
        raise
