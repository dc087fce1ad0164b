from __future__ import annotations

import io
import os
import zipfile
import zlib
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ortpack_build.base.cache import Cache
from ortpack_build.bundle.deflate import deflate, deflate_cached
from ortpack_build.bundle.zip_file import EARLIEST, Entry, write_zip

PIECE = 1 << 20


def long_data(size: int) -> bytes:
    return b"".join(zlib.crc32(n.to_bytes(4, "little")).to_bytes(4, "little") for n in range(size // 8)) * 2


def packed(files: dict[str, bytes], epoch: int = EARLIEST) -> bytes:
    stream = io.BytesIO()
    write_zip(stream, [Entry(name=name, content=deflate(data)) for name, data in files.items()], epoch=epoch)
    return stream.getvalue()


@given(st.dictionaries(st.from_regex(r"[a-zä/]{1,20}", fullmatch=True), st.binary(max_size=300), max_size=5))
@settings(deadline=None)
def test_the_standard_library_reads_what_was_written(files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(packed(files))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert archive.namelist() == list(files)
        assert all(info.external_attr >> 16 == 0o100644 for info in archive.infolist())


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 17])
def test_pieces_join_into_one_stream(size: int) -> None:
    data = long_data(size + 16)[:size]
    result = deflate(data)
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    assert unpacker.decompress(result.data) + unpacker.flush() == data
    assert unpacker.eof
    assert unpacker.unused_data == b""
    assert (result.size, result.crc) == (len(data), zlib.crc32(data))


def test_the_number_of_cores_does_not_show_in_the_bytes() -> None:
    data = long_data(4 * PIECE)
    results = []
    for cores in (1, 2, 7):
        with mock.patch.object(os, "cpu_count", return_value=cores):
            results.append(deflate(data))
    assert results[0] == results[1] == results[2]


def test_pieces_cost_next_to_nothing() -> None:
    data = Path(os.__file__).read_bytes() * 40
    whole = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    assert len(deflate(data).data) < 1.005 * len(whole.compress(data) + whole.flush()) + 100


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        (EARLIEST, (1980, 1, 1, 0, 0, 0)),
        (0, (1980, 1, 1, 0, 0, 0)),
        (1700000001, (2023, 11, 14, 22, 13, 20)),
        (2**40, (2107, 12, 31, 23, 59, 58)),
    ],
)
def test_times_are_utc_and_within_what_zip_can_say(epoch: int, expected: tuple[int, ...]) -> None:
    with zipfile.ZipFile(io.BytesIO(packed({"a": b""}, epoch))) as archive:
        assert archive.infolist()[0].date_time == expected


def test_the_cache_gives_the_same_bytes_and_survives_damage(tmp_path: Path) -> None:
    cache = Cache(root=tmp_path)
    data = long_data(2 * PIECE)
    plain = deflate(data)
    assert deflate_cached(data, cache) == deflate_cached(data, cache) == plain
    (entry,) = (tmp_path / "deflated").iterdir()
    (entry / "data").write_bytes(b"damaged")
    assert deflate_cached(data, cache) == plain
    (entry / "sha256").unlink()
    assert deflate_cached(data, cache) == plain


def test_small_data_is_not_cached(tmp_path: Path) -> None:
    assert deflate_cached(b"small", Cache(root=tmp_path)) == deflate(b"small")
    assert list(tmp_path.iterdir()) == []
