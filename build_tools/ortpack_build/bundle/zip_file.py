"""Writes zip files whose bytes depend on nothing but names, contents and one time.

The standard library's writer compresses by itself and records its platform; here the data comes compressed (in
parallel, or from the cache), and every other field is fixed.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ortpack_build.bundle.deflate import Deflated

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_NEEDS = 20  # zip 2.0: deflate
_UNIX = 3 << 8  # made by
_UTF8 = 0x0800
_DEFLATE = 8
_REGULAR_0644 = (0o100644) << 16
_MOST = 0xFFFFFFFF  # bytes; larger files would need zip64

EARLIEST = 315532800  # 1980-01-01, the first time that zip can say, seconds since the epoch
LATEST = 4354819198  # 2107-12-31


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A regular file of a zip file, mode 0644."""

    name: str
    content: Deflated


def write_zip(stream: IO[bytes], entries: Iterable[Entry], *, epoch: int) -> None:
    """Write the entries in the order given, all with the time `epoch` (seconds, UTC).

    Raises:
        ValueError: more than a zip file without 64-bit extensions holds.
    """
    date, clock = _dos_time(epoch)
    central = []
    offset = 0
    for entry in entries:
        name = entry.name.encode()
        content = entry.content
        if max(content.size, len(content.data), offset) > _MOST:
            msg = f"{entry.name}: the wheel passes 4 GiB"
            raise ValueError(msg)
        common = (_UTF8, _DEFLATE, clock, date, content.crc, len(content.data), content.size, len(name), 0)
        head = _LOCAL.pack(b"PK\3\4", _NEEDS, *common)
        stream.write(head + name)
        stream.write(content.data)
        central.append(_CENTRAL.pack(b"PK\1\2", _UNIX | _NEEDS, _NEEDS, *common, 0, 0, 0, _REGULAR_0644, offset) + name)
        offset += len(head) + len(name) + len(content.data)
    directory = b"".join(central)
    stream.write(directory)
    stream.write(_END.pack(b"PK\5\6", 0, 0, len(central), len(central), len(directory), offset, 0))


def _dos_time(epoch: int) -> tuple[int, int]:
    moment = time.gmtime(min(max(epoch, EARLIEST), LATEST))
    date = (moment.tm_year - 1980) << 9 | moment.tm_mon << 5 | moment.tm_mday
    return date, moment.tm_hour << 11 | moment.tm_min << 5 | moment.tm_sec // 2
