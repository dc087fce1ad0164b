"""Keeps folders in a content-addressed cache.

An entry is a folder `<root>/<kind>/<key>`, where the key is a hash of all that went into it. It is made in a
temporary place of the same file system and moved there in one step, so an entry that exists is complete: a build
that was killed leaves only a temporary folder, which the next builder of that key sweeps away. Builders of one key
wait for each other on a lock file; the operating system releases it when its holder dies.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import filelock

from ortpack_build.base.errors import storage_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, kw_only=True)
class Cache:
    """A cache whose entries lie below `root`, a folder that the first entry creates."""

    root: Path
    on_wait: Callable[[str], None] = lambda _: None
    """Called with the entry's name, and who makes it if that is known, when another process is making it."""

    def path(self, kind: str, key: str) -> Path:
        """Return the folder of an entry, whether it exists or not."""
        for name in (kind, key):
            if not _NAME.fullmatch(name):
                msg = f"not a cache name: {name!r}"
                raise ValueError(msg)
        return self.root / kind / key

    def get(
        self,
        kind: str,
        key: str,
        make: Callable[[Path], None],
        *,
        check: Callable[[Path], bool] = lambda _: True,
    ) -> Path:
        """Return the folder of an entry; `make(empty_folder)` fills it if it is missing or fails `check`.

        An entry that is there and passes is used without a lock or a write, so a read-only cache serves what it has.

        Raises:
            StorageError: the cache can't be written. Whatever `make` raises goes through, and leaves no entry.
        """
        entry = self.path(kind, key)
        if entry.is_dir() and check(entry):
            return entry
        try:
            with self._locked(f"{kind}-{key}"):
                if entry.is_dir():
                    if check(entry):  # made by whoever held the lock before
                        return entry
                    self._discard(entry)
                self._make(entry, make)
        except OSError as error:
            raise storage_error("The cache entry", entry, error) from error
        return entry

    def _temporary(self, entry: Path) -> Path:
        # The temporary folder has one name per key: whoever holds the lock knows that one found is a dead builder's.
        return self.root / "tmp" / f"{entry.parent.name}-{entry.name}"

    def _make(self, entry: Path, make: Callable[[Path], None]) -> None:
        temporary = self._temporary(entry)
        _remove(temporary)
        temporary.mkdir(parents=True)
        try:
            make(temporary)
            entry.parent.mkdir(parents=True, exist_ok=True)
            temporary.rename(entry)
        except BaseException:
            with contextlib.suppress(OSError):
                _remove(temporary)
            raise

    def _discard(self, entry: Path) -> None:
        # Move it away before deleting it: under the entry's name there must never be half a folder.
        temporary = self._temporary(entry)
        _remove(temporary)
        temporary.parent.mkdir(parents=True, exist_ok=True)
        entry.rename(temporary)
        _remove(temporary)

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock, holder = filelock.FileLock(folder / f"{name}.lock"), folder / f"{name}.holder"
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            with contextlib.suppress(OSError):
                name = f"{name} ({holder.read_text(encoding='utf-8')})"
            self.on_wait(name)
            lock.acquire()
        try:
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
