"""Debian's binary packages: an `ar` archive with a tar file of the files in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortpack_build.base.archive import extract_all
from ortpack_build.base.errors import ArchiveError

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"!<arch>\n"
_HEADER = 60


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
    with package.open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise ArchiveError(f"{package.name} is no Debian package.")
        while header := stream.read(_HEADER):
            if len(header) < _HEADER or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
                raise ArchiveError(f"{package.name} is damaged.")
            name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), int(header[48:58])
            if name.startswith("data.tar"):
                data = stream.read(size)
                if len(data) != size:
                    raise ArchiveError(f"{package.name} is truncated.")
                inner = work / name
                inner.write_bytes(data)
                extract_all(inner, into, rooted=rooted)
                inner.unlink()
                return
            stream.seek(size + size % 2, 1)
    raise ArchiveError(f"{package.name} has no files in it.")
