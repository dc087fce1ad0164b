"""Reads data files, the TOML files of `variants/`, as values of a typed model.

A model is a msgspec struct. Mistakes in a file are told with the file, the key path, what is allowed and the nearest
right name.
"""

from __future__ import annotations

import functools
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

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
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|(\[\.\.\.\])")


def shipped_folder() -> Path:
    """Find the `variants` folder of the installed distribution, or of the checkout that this module is in."""
    package = Path(__file__).parents[1]
    installed = package / "_variants"
    return installed if installed.is_dir() else package.parent.parent / "variants"


def data_folders(own: Path | None = None) -> tuple[Path, ...]:
    """List the folders with data files: the shipped one, then the user's own, whose entries count more."""
    return (shipped_folder(),) if own is None else (shipped_folder(), own)


def read(path: Path, model: type[_T]) -> _T:
    """Read one file as a value of its model.

    Raises:
        ManifestError: with the file and the line or key path, what is allowed, and the nearest right name.
    """
    return _value(path, _parsed(path), model)


def read_merged(name: str, model: type[_T], own: Path | None = None) -> tuple[_T, Path]:
    """Read a shipped file with what the user's own of that name adds.

    Tables are merged, key by key; anything else of the user's own, arrays too, takes the place of what is shipped.

    Args:
        name: path below a folder with data files.
        model: of the whole; the user's own file need not be complete.
        own: the user's folder with data files.

    Returns:
        The value, and the file that a mistake found later is in.

    Raises:
        ManifestError: as of `read`.
    """
    path = shipped_folder() / name
    data = _parsed(path)
    if own is not None and (own / name).exists():
        path = own / name
        data = _merged(data, _parsed(path))
    return _value(path, data, model), path


def _merged(shipped: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(shipped[key], value) if isinstance(value, dict) and isinstance(shipped[key], dict) else value
        for key, value in own.items()
        if key in shipped
    }
    return {**shipped, **own, **both}


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(f"{path}: can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: is not UTF-8 (byte {error.start}).") from error
    except tomllib.TOMLDecodeError as error:
        raise ManifestError(f"{path}: not valid TOML: {error}.") from error


def _value(path: Path, data: dict[str, Any], model: type[_T]) -> _T:
    for where, problem in _name_mistakes(data, _type_info(model), ""):
        raise ManifestError(f"{path}: {where or 'top level'}: {problem}")
    try:
        return msgspec.convert(data, model)
    except msgspec.ValidationError as error:
        message, _, steps = str(error).partition(" - at ")
        where = _place(data, model, steps)
        raise ManifestError(f"{path}: {where or 'top level'}: {message[:1].lower()}{message[1:]}.") from error


def _place(data: dict[str, Any], model: type[Struct], steps: str) -> str:
    """Spell the key path of a mistake. msgspec's own, such as `$.targets[...].tag`, leaves keys of tables out."""
    value: Any = data
    where = ""
    for name, index, any_key in _STEP.findall(steps.partition("`$")[2]):
        if any_key:
            wrong = next((key for key in value if _is_wrong_with(data, model, value, key)), "...")
            where, value = _join(where, wrong), value.get(wrong)
        else:
            where = _join(where, name) if name else f"{where}[{index}]"
            value = value[name] if name else value[int(index)]
    return where


def _is_wrong_with(data: dict[str, Any], model: type[Struct], table: dict[str, Any], key: str) -> bool:
    """Say whether the mistake is still there when the table has this key only."""
    others = {name: table.pop(name) for name in list(table) if name != key}
    try:
        msgspec.convert(data, model)
    except msgspec.ValidationError:
        return True
    else:
        return False
    finally:
        table |= others


_type_info = functools.cache(inspect.type_info)


def _name_mistakes(data: object, kind: inspect.Type, where: str) -> Iterable[tuple[str, str]]:
    """Find unknown keys, missing keys and unknown names in `data`, each with its key path and what is allowed."""
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
    """List the values that `data` holds, each with its type and key path."""
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
