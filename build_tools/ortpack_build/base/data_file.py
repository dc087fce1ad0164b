"""Data files: TOML files of `variants/`, read as values of a typed model.

A model is a msgspec struct. Mistakes in a file are told with the file, the key path, what is allowed and the nearest
right name.
"""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct, inspect

from ortpack_build.base.errors import ManifestError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", description="SHA-256, 64 lower-case hex digits")]
Version = Annotated[str, Meta(pattern=r"^\d+(\.\d+){1,2}$", description="Dotted version")]
Release = Annotated[str, Meta(pattern=r"^\d+\.\d+\.\d+$", description="An ONNX Runtime release, e.g. 1.32.0")]


class Model(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what a data file holds: a frozen value, which has no keys but those of its class."""


_T = TypeVar("_T", bound=Struct)


def shipped_folder() -> Path:
    """The `variants` folder of the installed distribution, or of the checkout that this module is in."""
    package = Path(__file__).parents[1]
    installed = package / "_variants"
    return installed if installed.is_dir() else package.parent.parent / "variants"


def data_folders(own: Path | None = None) -> tuple[Path, ...]:
    """The folders with data files: the shipped one, then the user's own (`--variants`), whose entries count more."""
    return (shipped_folder(),) if own is None else (shipped_folder(), own)


def read(path: Path, model: type[_T]) -> _T:
    """One file as a value of its model.

    Raises:
        ManifestError: with the file and the line or key path, what is allowed, and the nearest right name.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(f"{path}: can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: is not UTF-8 (byte {error.start}).") from error
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{path}: not valid TOML: {error}.") from error
    for where, problem in _name_mistakes(data, _type_info(model), ""):
        raise ManifestError(f"{path}: {where or 'top level'}: {problem}")
    try:
        return msgspec.convert(data, model)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        at = where.strip("`").lstrip(".") or "top level"
        raise ManifestError(f"{path}: {at}: {message[:1].lower()}{message[1:]}.") from error


_type_info = functools.cache(inspect.type_info)


def _name_mistakes(data: object, kind: inspect.Type, where: str) -> Iterable[tuple[str, str]]:
    """Unknown keys, missing keys and unknown names in `data`, each with its key path and what is allowed."""
    if isinstance(kind, inspect.StructType) and isinstance(data, dict):
        fields = {field.encode_name: field for field in kind.fields}
        for key in data.keys() - fields.keys():
            yield _join(where, key), f"unknown key. {nearest(key, fields)}"
        missing = [name for name, field in fields.items() if field.required and name not in data]
        if missing:
            yield where, f"{', '.join(missing)} missing."
    elif (
        isinstance(kind, inspect.DictType) and isinstance(kind.key_type, inspect.LiteralType) and isinstance(data, dict)
    ):
        names = [str(name) for name in kind.key_type.values]
        for key in data.keys() - set(names):
            yield _join(where, key), f"unknown key. {nearest(key, names)}"
    elif isinstance(kind, inspect.LiteralType) and type(data) is type(kind.values[0]) and data not in kind.values:
        yield where, f"{data!r} is unknown. {nearest(str(data), map(str, kind.values))}"
    for value, inner, at in _parts(data, kind, where):
        yield from _name_mistakes(value, inner, at)


def _parts(data: object, kind: inspect.Type, where: str) -> Iterable[tuple[object, inspect.Type, str]]:
    """What `data` holds, each with its type and key path."""
    if isinstance(kind, inspect.StructType) and isinstance(data, dict):
        fields = {field.encode_name: field for field in kind.fields}
        return [(data[key], fields[key].type, _join(where, key)) for key in data if key in fields]
    if isinstance(kind, inspect.VarTupleType) and isinstance(data, list):
        return [(value, kind.item_type, f"{where}[{index}]") for index, value in enumerate(data)]
    if isinstance(kind, inspect.DictType) and isinstance(data, dict):
        return [(value, kind.value_type, _join(where, key)) for key, value in data.items()]
    if isinstance(kind, inspect.UnionType):
        return [(data, member, where) for member in kind.types if not isinstance(member, inspect.NoneType)]
    if isinstance(kind, inspect.Metadata):
        return [(data, kind.type, where)]
    return []


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
