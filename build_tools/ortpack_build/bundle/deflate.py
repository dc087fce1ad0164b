"""Compresses on all cores, with the same bytes whatever their number.

The data is cut into pieces of fixed length; each is compressed at the highest level with the 32 KiB before it as its
dictionary, and ends on a byte boundary, so that the pieces joined are one valid deflate stream.
"""

from __future__ import annotations

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ortpack_build.base.hashing import sha256

if TYPE_CHECKING:
    from pathlib import Path

    from ortpack_build.base.cache import Cache

_PIECE = 1 << 20
_WINDOW = 1 << 15
_LEVEL = 9
# Part of the key, as another zlib may compress the same data to other bytes.
_METHOD = f"{_LEVEL}-{_PIECE}-{zlib.ZLIB_RUNTIME_VERSION}"
_CACHED_FROM = 1 << 20  # bytes; compressing smaller data is faster than looking it up


@dataclass(frozen=True, kw_only=True)
class Deflated:
    """Compressed data, ready for a zip file."""

    size: int  # of the plain data, bytes
    crc: int
    data: bytes


def deflate(data: bytes) -> Deflated:
    """Compress data in threads, which suffice because zlib releases the interpreter lock."""
    view = memoryview(data)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pieces = pool.map(lambda start: _piece(view, start), range(0, max(len(view), 1), _PIECE))
        return Deflated(size=len(data), crc=zlib.crc32(data), data=b"".join(pieces))


def deflate_cached(data: bytes, cache: Cache) -> Deflated:
    """Compress data, or take the result out of the cache; a damaged entry is replaced."""
    if len(data) < _CACHED_FROM:
        return deflate(data)

    result = b""

    def make(folder: Path) -> None:
        nonlocal result
        result = deflate(data).data
        (folder / "data").write_bytes(result)
        (folder / "sha256").write_text(sha256(result), encoding="ascii")

    def intact(folder: Path) -> bool:
        nonlocal result
        try:
            result = (folder / "data").read_bytes()
            return (folder / "sha256").read_text(encoding="ascii") == sha256(result)
        except (OSError, UnicodeDecodeError):
            return False

    cache.get("deflated", f"{sha256(data)}-{_METHOD}", make, check=intact)
    return Deflated(size=len(data), crc=zlib.crc32(data), data=result)


def _piece(view: memoryview, start: int) -> bytes:
    end = min(start + _PIECE, len(view))
    before = view[max(start - _WINDOW, 0) : start]
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_DEFAULT_STRATEGY, before)
    return packer.compress(view[start:end]) + packer.flush(zlib.Z_FINISH if end == len(view) else zlib.Z_SYNC_FLUSH)
