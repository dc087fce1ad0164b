"""Results about models, cached by the hash of everything that they depend on."""

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

from ortpack_build.base.data_file import shipped_folder
from ortpack_build.base.hashing import sha256, sha256_of
from ortpack_build.ops import convert
from ortpack_build.ops.opset import Need, OpSet

if TYPE_CHECKING:
    from collections.abc import Callable

    from ortpack_build.base.cache import Cache
    from ortpack_build.ops.closure import Goal
    from ortpack_build.ops.full_runtime import FullRuntime

_MOST = 256 << 20  # bytes; a larger model takes long anyway, and its result would fill the cache
_ELSEWHERE = b"location"  # the key of TensorProto.external_data
_MODEL, _OPERATORS, _HASH = "model.ort", "operators.json", "sha256"


class Found(Struct, frozen=True, kw_only=True):
    """The result of examining one model.

    Attributes:
        ops: every operator that a runtime may need for it.
        nodes: the operators that it has whatever CPU it is optimized for, each with the name of one node.
    """

    ops: OpSet
    nodes: tuple[tuple[Need, str], ...]


# Created at import: msgspec inspects a type when it is first used, and two threads that do so at once may crash.
_FOUND = msgspec.json.Decoder(Found)


def parse(data: bytes) -> Found:
    """Read a cached result.

    Raises:
        ValueError: the file holds something else.
    """
    return _FOUND.decode(data)


@dataclass(frozen=True, kw_only=True)
class ModelResults:
    """Gives results about models: cached ones where the cache has them, else fresh ones.

    Attributes:
        cache: None computes every result afresh.
        goal: where the models will run; part of the key.
        full: the runtime that optimizes and converts, if one is needed; part of the key.
    """

    cache: Cache | None
    goal: Goal
    full: FullRuntime | None

    def operators(self, model: Path, flavour: str, make: Callable[[], Found]) -> Found:
        """Return what `make` finds about a model for a flavour.

        Raises:
            StorageError: the cache can't be written. Errors of `make` pass through.
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
        """Write the converted model to the file `into`; `make(file)` converts it if the cache does not have it.

        Raises:
            StorageError: the cache or the file can't be written. Errors of `make` pass through.
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
        """Hash a result's inputs; None means not cached: the model is too large, or has tensors in other files."""
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
    """Hash what makes results besides the runtime: this package's code and data, and the packages that it imports."""
    files = [*Path(__file__).parent.glob("*.py"), *(shipped_folder() / "ops").glob("*.toml")]
    hashes = [f"{file.name} {sha256_of(file)}" for file in files]
    return sha256("\n".join(sorted([*hashes, _version("onnx"), _version("ortpack")])).encode())


def _version(distribution: str) -> str:
    try:
        return f"{distribution} {importlib.metadata.version(distribution)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{distribution} none"
