"""Debian's binary packages: an `ar` archive with a tar file of the files in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortpack_build.base import ar
from ortpack_build.base.archive import extract_all
from ortpack_build.base.errors import ArchiveError, BinaryError

if TYPE_CHECKING:
    from pathlib import Path


def extract(package: Path, into: Path, *, work: Path, rooted: bool = False) -> None:
    """Take the files of a package out.

    Args:
        package: the .deb file.
        into: an existing, empty folder.
        work: an existing folder for the inner archive.
        rooted: see `extract_all`.

    Raises:
        ArchiveError: it is damaged or unsafe.
    """
    data = package.read_bytes()
    try:
        found = next((member for member in ar.members(data, package.name) if member.name.startswith("data.tar")), None)
    except BinaryError as error:
        raise ArchiveError(f"{package.name} can't be read as a Debian package: {error}") from error
    if found is None:
        raise ArchiveError(f"{package.name} has no files in it.")
    inner = work / found.name
    inner.write_bytes(data[found.start : found.start + found.size])
    extract_all(inner, into, rooted=rooted)
    inner.unlink()
