from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ortpack_build.base.cache import Cache
from ortpack_build.base.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "0" * 64


def write(text: str, log: list[str] | None = None) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "file").write_text(text)
        if log is not None:
            log.append(text)

    return make


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(root=tmp_path / "cache")


def test_an_entry_is_made_once(cache: Cache) -> None:
    made: list[str] = []
    for text in ("x", "y"):
        entry = cache.get("kind", KEY, write(text, made))
        assert (entry / "file").read_text() == "x"
    assert made == ["x"]


def test_an_entry_that_fails_its_check_is_made_anew(cache: Cache) -> None:
    cache.get("kind", KEY, write("bad"))
    entry = cache.get("kind", KEY, write("good"), check=lambda folder: (folder / "file").read_text() == "good")
    assert (entry / "file").read_text() == "good"


def test_a_failed_make_leaves_no_entry(cache: Cache) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        cache.get("kind", KEY, fail)
    assert not cache.path("kind", KEY).exists()
    assert list((cache.root / "tmp").iterdir()) == []


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a" * 200, "a\\b"])
def test_names_that_could_leave_the_cache(cache: Cache, name: str) -> None:
    with pytest.raises(ValueError, match="not a cache name"):
        cache.path("kind", name)


def test_builders_of_one_key_wait_for_each_other(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"""
import time
from pathlib import Path
from ortpack_build.base.cache import Cache
def make(folder):
    with Path({str(log)!r}).open("a") as stream:
        stream.write("made\\n")
    time.sleep(0.2)
    (folder / "file").write_text("x")
print((Cache(root=Path({str(tmp_path / "cache")!r})).get("kind", {KEY!r}, make) / "file").read_text())
"""
    builders = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [builder.communicate(timeout=60)[0] for builder in builders] == ["x\n"] * 3
    assert log.read_text() == "made\n"


def test_a_killed_builder_leaves_nothing_that_is_trusted(tmp_path: Path, cache: Cache) -> None:
    script = f"""
import sys, time
from pathlib import Path
from ortpack_build.base.cache import Cache
def make(folder):
    (folder / "file").write_text("half")
    print("started", flush=True)
    time.sleep(60)
Cache(root=Path({str(cache.root)!r})).get("kind", {KEY!r}, make)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        process.send_signal(signal.SIGKILL)
    assert not cache.path("kind", KEY).exists()
    entry = cache.get("kind", KEY, write("whole"))
    assert (entry / "file").read_text() == "whole"
    assert list((cache.root / "tmp").iterdir()) == []


def test_the_one_who_waits_is_told(cache: Cache) -> None:
    class Impatient(Exception):
        pass

    def complain(name: str) -> None:
        raise Impatient(name)

    def make(folder: Path) -> None:  # the lock is held here
        with pytest.raises(Impatient, match=f"kind-{KEY}"):
            Cache(root=cache.root, on_wait=complain).get("kind", KEY, write("y"))
        write("x")(folder)

    assert (cache.get("kind", KEY, make) / "file").read_text() == "x"


def test_a_cache_below_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="can't be written") as caught:
        Cache(root=tmp_path / "file" / "cache").get("kind", KEY, write("x"))
    assert "--cache" in caught.value.hint


def test_a_full_disk_is_a_clear_error(cache: Cache) -> None:
    def fill(folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StorageError, match="disk is full"):
        cache.get("kind", KEY, fill)
    assert not cache.path("kind", KEY).exists()


def test_an_entry_is_used_without_writing(cache: Cache) -> None:
    entry = cache.get("kind", KEY, write("x"))
    before = sorted((path, path.stat().st_mtime_ns) for path in cache.root.rglob("*"))
    assert cache.get("kind", KEY, write("y")) == entry
    assert sorted((path, path.stat().st_mtime_ns) for path in cache.root.rglob("*")) == before
