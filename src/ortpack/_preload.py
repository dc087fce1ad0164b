"""Loads the libraries of pip's wheels that a provider needs, by absolute path and in order, before it is loaded.

A provider's library names what it needs by file name alone (`libcudnn.so.9`). The system finds those that are in the
process already, so loading pip's first makes it find them, whatever the search paths say.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ortpack.errors import RuntimeLoadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

_kept: dict[Path, object] = {}  # never unloaded


def preload(
    requires: Iterable[Mapping[str, object]], find: Callable[[Mapping[str, object]], Path | None]
) -> list[Path]:
    """Load what comes from pip; returns the files, in order.

    Args:
        requires: of a `runtime.json`, in the order in which they are loaded.
        find: the file of an entry; None leaves it to the system.

    Raises:
        RuntimeLoadError: a file is there but can't be loaded.
    """
    done = []
    for entry in requires:
        if entry.get("from") != "pip":
            continue
        file = find(entry)
        if file is None:
            continue
        file = file.resolve()
        try:
            if file not in _kept:
                _kept[file] = _load(file)
            done.append(file)
        except OSError as error:
            if not entry.get("optional"):
                raise RuntimeLoadError(f"could not load {file}: {error}") from error
    return done


def _load(file: Path) -> object:
    import ctypes  # noqa: PLC0415 - only where something is preloaded

    if sys.platform == "win32":
        return ctypes.WinDLL(str(file), winmode=0x900)  # its own folder and the system's only
    return ctypes.CDLL(str(file), mode=ctypes.RTLD_LOCAL)
