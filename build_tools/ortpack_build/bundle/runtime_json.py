"""Writes and reads `runtime.json`, which describes a runtime to the loader (docs/runtime-json.md)."""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ortpack_build.catalog.spec import Minimal, Need, Platform

NAME = "runtime.json"
FOLDER = "ortpack_runtimes"


class _Value(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class File(_Value, frozen=True, kw_only=True):
    """A file of the runtime's folder."""

    sha256: str
    size: int  # bytes


class Requirement(_Value, frozen=True, kw_only=True):
    """A dynamic library that the runtime needs, and where it comes from (`from`).

    Attributes:
        distribution, path: of a library that pip installs: in which distribution, and where below site-packages.
        by: the files that need it; UNSET: every file that the loader opens.
        optional: opened by name at run time, not linked.
    """

    library: str
    origin: str = msgspec.field(name="from")
    distribution: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    by: tuple[str, ...] | UnsetType = UNSET
    optional: bool | UnsetType = UNSET


class Extends(_Value, frozen=True, kw_only=True):
    """The runtime that an extension adds to, and the files that it lays into that runtime's folder."""

    runtime: str
    ort_versions: str
    files: dict[str, File]


class Plugin(_Value, frozen=True, kw_only=True):
    """A plugin's library in its vendor's distribution, and the runtimes that it fits."""

    registration: str
    ort_versions: str
    distribution: str
    version: str
    path: str


class Proven(_Value, frozen=True, kw_only=True):
    """A model that gave the same outputs on this runtime as on the official one."""

    name: str  # of the file
    runs: int
    shapes: tuple[dict[str, tuple[int, ...]], ...]  # of the inputs, each once
    largest_difference: float  # absolute, of all outputs


class Verification(_Value, frozen=True, kw_only=True):
    """The result of the proof: whether the runtime was compared with the official one, and how.

    Attributes:
        against: the library that it was compared with.
        below: what ran it, if not the machine itself: an emulator, or the loader of the target's C library.
    """

    verified: bool
    against: str | None = None
    below: str | UnsetType = UNSET
    models: tuple[Proven, ...] = ()


class RuntimeJson(_Value, frozen=True, kw_only=True):
    """The file's content."""

    schema: Literal[1] = 1
    kind: Literal["extension", "plugin"] | UnsetType = UNSET  # UNSET: a runtime
    name: str
    variant: str
    target: str
    version: str | UnsetType = UNSET  # of a plugin
    ort_version: str | UnsetType = UNSET  # UNSET for a plugin
    api_version: int
    linkage: Literal["shared", "static"]
    library: str | UnsetType = UNSET  # UNSET for extensions and plugins
    files: dict[str, File]
    providers: tuple[str, ...]
    devices: dict[str, tuple[str, ...]]
    priority: int
    model_formats: tuple[str, ...]
    reduced: bool
    platform: Platform
    requires: tuple[Requirement, ...]
    needs: tuple[Need, ...] | UnsetType = UNSET
    requires_dist: tuple[str, ...] | UnsetType = UNSET
    extra: str | UnsetType = UNSET
    extends: Extends | UnsetType = UNSET
    plugin: Plugin | UnsetType = UNSET
    provenance: dict[str, Any]
    minimal: Minimal | None = None
    verification: Verification | None = None


# Created at import: msgspec inspects a type when it is first used, and two threads that do so at once may crash.
_DECODER = msgspec.json.Decoder(RuntimeJson)


def dump(value: RuntimeJson) -> bytes:
    """Write the file's bytes; equal values give equal bytes."""
    plain = {key: part for key, part in msgspec.to_builtins(value).items() if part is not None}
    return json.dumps(plain, indent=2, ensure_ascii=False).encode() + b"\n"


def parse(data: bytes) -> RuntimeJson:
    """Read the file.

    Raises:
        ValueError: it is not schema 1; says what and where.
    """
    return _DECODER.decode(data)
