"""Packs a kit as one file, a tar file compressed with zstd: the same bytes for the same kit."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import zstandard

from ortpack_build.base.archive import Limits, extract_all
from ortpack_build.base.errors import ArchiveError
from ortpack_build.base.hashing import sha256_of
from ortpack_build.kit.format import Kit, read

if TYPE_CHECKING:
    from pathlib import Path

    from ortpack_build.base.cache import Cache

_LEVEL = 19
_LIMITS = Limits(size=2 << 30, files=10_000)
_CHUNK = 1 << 16


def file_name(kit: Kit) -> str:
    """Name the file of a packed kit."""
    about = kit.about
    kind = about.flavour if about.exceptions else f"{about.flavour}-noexcept"
    return f"ortpack-kit-{about.target}-{kind}-{about.ort_version}.tar.zst"


def pack(kit: Kit, folder: Path) -> Path:
    """Write the kit as one file into `folder`.

    Raises:
        OSError: writing failed; nothing half-written is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / file_name(kit)
    partial = target.with_name(f".{target.name}.partial")
    compressor = zstandard.ZstdCompressor(level=_LEVEL, threads=0, write_checksum=True)
    try:
        with (
            partial.open("wb") as output,
            compressor.stream_writer(output) as stream,
            tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            for path in sorted(kit.path.rglob("*")):
                if path.is_file():
                    info = tarfile.TarInfo(path.relative_to(kit.path).as_posix())
                    info.size = path.stat().st_size
                    with path.open("rb") as data:
                        archive.addfile(info, data)
        partial.rename(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return target


def unpack(file: Path, cache: Cache) -> Kit:
    """Unpack the kit of a packed file in the cache, and check it.

    Raises:
        ArchiveError: the file is damaged or unsafe.
        KitError: it holds no kit, or not the one that was packed.
    """
    if not file.is_file():
        raise ArchiveError(f"There is no file {file}.")

    def make(folder: Path) -> None:
        plain = folder / "kit.tar"
        _decompress(file, plain)
        (folder / "kit").mkdir()
        extract_all(plain, folder / "kit", limits=_LIMITS)
        plain.unlink()
        read(folder / "kit")

    return read(cache.get("unpacked-kits", sha256_of(file), make) / "kit")


def _decompress(file: Path, target: Path) -> None:
    """Write what one whole zstd frame holds; anything that follows it, or is missing of it, is damage."""
    size = 0
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    try:
        with file.open("rb") as source, target.open("wb") as output:
            while not decompressor.eof and (chunk := source.read(_CHUNK)):
                data = decompressor.decompress(chunk)
                size += len(data)
                if size > _LIMITS.size:
                    raise ArchiveError(f"{file.name} gives more than {_LIMITS.size} bytes.")
                output.write(data)
            whole = decompressor.eof and not decompressor.unused_data and not source.read(1)
    except zstandard.ZstdError as error:
        raise ArchiveError(f"{file.name} is damaged: {error}.") from error
    if not whole:
        raise ArchiveError(f"{file.name} is damaged: it is cut off, or something follows it.")
