"""Libraries in pip's wheels that a provider needs are loaded here, by absolute path, before the provider itself.

A provider's library names what it needs by file name alone (`libcudnn.so.9`). For such a name the system takes a
library that is in the process already. So loading pip's libraries first makes the system use them, whatever the search
paths say.
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
    """Load the required libraries that come from pip; return their files, in order.

    Args:
        requires: the entries of a `runtime.json`, in the order in which they are loaded.
        find: gives the file of an entry, or None to leave it to the system.

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


def refused(files: Iterable[Path]) -> list[str]:
    """List the system's reasons why some of these libraries can't be loaded, which ONNX Runtime only logs."""
    reasons = []
    for file in files:
        try:
            _load(file.resolve())
        except OSError as error:
            reasons.append(str(error))
    return reasons


def _load(file: Path) -> object:
    import ctypes  # noqa: PLC0415 - only where something is preloaded

    if sys.platform == "win32":
        return ctypes.WinDLL(str(file), winmode=0x900)  # search its own folder and the system's only
    return ctypes.CDLL(str(file), mode=ctypes.RTLD_LOCAL)
