"""What was made of models before, kept in the user's cache by the hash of all that went in."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from ortpack_build.base.hashing import sha256, sha256_of
from ortpack_build.catalog.manifests import shipped_folder
from ortpack_build.ops import convert
from ortpack_build.ops.opset import Need, OpSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from ortpack_build.base.cache import Cache
    from ortpack_build.ops.closure import Goal
    from ortpack_build.ops.full_runtime import FullRuntime

_MOST = 256 << 20  # bytes of a model; what takes that long anyway is not worth its place in the cache
_ELSEWHERE = b"location"  # the key of TensorProto.external_data
_MODEL, _OPERATORS, _HASH = "model.ort", "operators.json", "sha256"


class Found(Struct, frozen=True, kw_only=True):
    """The operators that a runtime needs for a model.

    Attributes:
        nodes: operators that the model is sure to have, whatever CPU it is optimized for, each with the name of a node.
    """

    ops: OpSet
    nodes: tuple[tuple[Need, str], ...]


# Made before any thread asks: msgspec looks at a type when it is first used, and not safely in two threads at once.
_FOUND = msgspec.json.Decoder(Found)


def parse(data: bytes) -> Found:
    """What was kept.

    Raises:
        ValueError: it is something else.
    """
    return _FOUND.decode(data)


@dataclass(frozen=True, kw_only=True)
class ModelResults:
    """Results in a cache; without one, everything is made anew.

    Attributes:
        full: the runtime that makes them, if one is needed.
    """

    cache: Cache | None
    goal: Goal
    full: FullRuntime | None

    def operators(self, model: Path, flavour: str, make: Callable[[], Found]) -> Found:
        """What `make` finds of a model for this flavour.

        Raises:
            StorageError: the cache can't be written. Whatever `make` raises goes through.
        """
        key = self._key(model, "operators", flavour)
        if self.cache is None or key is None:
            return make()
        found: Found | None = None

        def write(folder: Path) -> None:
            nonlocal found
            found = make()
            (folder / _OPERATORS).write_bytes(msgspec.json.encode(found))

        def readable(folder: Path) -> bool:
            nonlocal found
            try:
                found = parse((folder / _OPERATORS).read_bytes())
            except (OSError, ValueError):
                return False
            return True

        self.cache.get("operators", key, write, check=readable)
        assert found is not None  # noqa: S101 - written or read
        return found

    def converted(self, model: Path, into: Path, make: Callable[[Path], None]) -> None:
        """Put what `make(file)` converts a model to into the file `into`.

        Raises:
            StorageError: the cache or the file can't be written. Whatever `make` raises goes through.
        """
        key = self._key(model, "converted")
        if self.cache is None or key is None:
            make(into)
            return

        def write(folder: Path) -> None:
            make(folder / _MODEL)
            (folder / _HASH).write_text(sha256_of(folder / _MODEL), encoding="ascii")

        def intact(folder: Path) -> bool:
            try:
                return (folder / _HASH).read_text(encoding="ascii") == sha256_of(folder / _MODEL)
            except (OSError, UnicodeDecodeError):
                return False

        entry = self.cache.get("converted", key, write, check=intact)
        convert.put(entry / _MODEL, into)

    def _key(self, model: Path, *purpose: str) -> str | None:
        """None for models that are too large, or that may have tensors in other files."""
        if self.cache is None or not 0 < model.stat().st_size <= _MOST:
            return None
        with model.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data.find(_ELSEWHERE) >= 0:
                return None
            digest = hashlib.sha256(data).hexdigest()
        libraries = [sha256_of(path) for path in self.goal.custom_ops]
        runtime = self.full.key if self.full else ""
        return sha256("\n".join([*purpose, digest, self.goal.arch, runtime, _makers(), *libraries]).encode())


@functools.cache
def _makers() -> str:
    """What makes the results besides the runtime: the code and the data of this package, and what they import."""
    files = [*Path(__file__).parent.glob("*.py"), *(shipped_folder() / "ops").glob("*.toml")]
    hashes = [f"{file.name} {sha256_of(file)}" for file in files]
    return sha256("\n".join(sorted([*hashes, _version("onnx"), _version("ortpack")])).encode())


def _version(distribution: str) -> str:
    try:
        return f"{distribution} {importlib.metadata.version(distribution)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{distribution} none"
