"""The manifests of `variants/`: what is built, for which platforms, from what.

The model below is the one source of truth: it reads the files, it generates `variants/schema.json`, and error
messages take their lists of allowed names from it. All that differs between variants, targets and releases is in
the files.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, inspect
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from ortpack_build.errors import ManifestError, nearest
from ortpack_build.tags import parse_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Os = Literal["linux", "macos", "windows"]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", description="SHA-256, 64 lower-case hex digits")]
Version = Annotated[str, Meta(pattern=r"^\d+(\.\d+){1,2}$", description="Dotted version")]
Release = Annotated[str, Meta(pattern=r"^\d+\.\d+\.\d+$", description="An ONNX Runtime release, e.g. 1.32.0")]


class _Model(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Target(_Model, frozen=True, kw_only=True):
    """A platform to make runtimes for."""

    name: Name
    os: Os
    arch: str
    policy: Annotated[str, Meta(description="The line of policies.toml that says what the system gives")]
    runs_on: Annotated[tuple[str, ...], Meta(description="Hosts (target names) that can run its binaries")]
    libc: Literal["glibc", "musl"] | None = None


class TargetsFile(_Model, frozen=True, kw_only=True):
    """targets.toml"""

    schema: Literal[1]
    targets: tuple[Target, ...]


class Policy(_Model, frozen=True, kw_only=True):
    """What runtimes may take from a kind of system."""

    name: Name
    libraries: Annotated[
        dict[str, tuple[str, ...]], Meta(description="Where libraries come from → their names or patterns")
    ]
    symbols: Annotated[
        dict[Version, dict[str, Version]],
        Meta(description="Version of the wheel tag → newest version of each set of symbols"),
    ] = {}


class PoliciesFile(_Model, frozen=True, kw_only=True):
    """policies.toml"""

    schema: Literal[1]
    policies: tuple[Policy, ...]


class ProvidersFile(_Model, frozen=True, kw_only=True):
    """providers.toml"""

    schema: Literal[1]
    providers: Annotated[tuple[str, ...], Meta(description="Every execution provider that a variant may name")]


class NativeFile(_Model, frozen=True, kw_only=True):
    """A native library to take out of an official wheel."""

    os: Os
    member: Annotated[str, Meta(description="Path in the wheel; {ort} is the release")]
    exports: Annotated[tuple[str, ...], Meta(description="Symbols that it must export")]
    may_export: Annotated[tuple[str, ...], Meta(description="Symbols that it may export as well")] = ()
    role: Annotated[Literal["library", "support"], Meta(description="`library` is the one that the loader opens")] = (
        "support"
    )


class PinnedWheel(_Model, frozen=True, kw_only=True):
    """An official wheel, and the platform tag of the wheel that we make of it."""

    ort: Release
    target: str
    tag: str
    file: Annotated[str, Meta(pattern=r"^[^/\\]+\.whl$")]
    sha256: Sha256


class PrebuiltOrigin(_Model, frozen=True, kw_only=True):
    """Official binaries."""

    distribution: str
    licenses: Annotated[tuple[str, ...], Meta(min_length=1, description="Licence texts, paths in the wheel")]
    files: tuple[NativeFile, ...]
    wheels: tuple[PinnedWheel, ...]


class SourceOrigin(_Model, frozen=True, kw_only=True):
    """Compiled from source: see `variants/sources` and `variants/kits`."""

    exports: Annotated[tuple[str, ...], Meta(description="Symbols that the library must export")]
    may_export: Annotated[tuple[str, ...], Meta(description="Symbols that it may export as well")] = ()


class Variant(_Model, frozen=True, kw_only=True):
    """<variant>.toml: one kind of runtime."""

    schema: Literal[1]
    name: Name
    summary: str
    license: Annotated[str, Meta(description="SPDX expression")]
    providers: Annotated[tuple[str, ...], Meta(min_length=1, description="In order of preference, CPU last")]
    devices: Annotated[
        dict[str, tuple[str, ...]],
        Meta(min_length=1, description="Name for device= → its providers; the first device is the default"),
    ]
    priority: Annotated[int, Meta(description="Automatic mode takes the highest that works")]
    model_formats: tuple[Literal["onnx", "ort"], ...]
    reduced: Annotated[bool, Meta(description="Holds some operators only; never taken automatically")] = False
    prebuilt: PrebuiltOrigin | None = None
    source: SourceOrigin | None = None


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All manifests, checked against each other."""

    variants: Mapping[str, Variant]
    targets: Mapping[str, Target]
    policies: Mapping[str, Policy]


_T = TypeVar("_T", bound=Struct)
_SHARED = ("targets.toml", "policies.toml", "providers.toml")


def shipped_folder() -> Path:
    """The `variants` folder of the installed distribution, or of the checkout that this module is in."""
    package = Path(__file__).parent
    installed = package / "_variants"
    return installed if installed.is_dir() else package.parent.parent / "variants"


def load(folder: Path | None = None) -> Catalog:
    """The shipped manifests, with those of `folder` added; a file of the same name takes the shipped one's place.

    Raises:
        ManifestError: a file can't be read or has a mistake.
    """
    files = {path.name: path for path in sorted(shipped_folder().glob("*.toml"))}
    if folder is not None:
        if not folder.is_dir():
            raise ManifestError(f"There is no folder {folder}.", hint="--variants wants a folder with manifests.")
        files |= {path.name: path for path in sorted(folder.glob("*.toml"))}
    targets = _unique(files["targets.toml"], "targets", read(files["targets.toml"], TargetsFile).targets)
    policies = _unique(files["policies.toml"], "policies", read(files["policies.toml"], PoliciesFile).policies)
    providers = read(files["providers.toml"], ProvidersFile).providers
    _check_targets(files["targets.toml"], targets, policies)
    variants = {}
    for path in files.values():
        if path.name not in _SHARED:
            variant = read(path, Variant)
            _check_variant(path, variant, targets, providers)
            variants[variant.name] = variant
    return Catalog(variants=variants, targets=targets, policies=policies)


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
    for where, problem in _name_mistakes(data, inspect.type_info(model), ""):
        raise ManifestError(f"{path}: {where or 'top level'}: {problem}")
    try:
        return msgspec.convert(data, model)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `$")
        at = where.strip("`").lstrip(".") or "top level"
        raise ManifestError(f"{path}: {at}: {message[:1].lower()}{message[1:]}.") from error


def schema() -> str:
    """The JSON schema of all manifests, for editors: the text of `variants/schema.json`."""
    models = (Variant, TargetsFile, PoliciesFile, ProvidersFile)
    references, components = msgspec.json.schema_components(models, ref_template="#/$defs/{name}")
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Manifests of ortpack-build; written by `ortpack-build schema`",
        "anyOf": list(references),
        "$defs": components,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _name_mistakes(data: object, kind: inspect.Type, where: str) -> Iterable[tuple[str, str]]:
    """Unknown keys, missing keys and unknown names in `data`, each with its key path and what is allowed."""
    if isinstance(kind, inspect.StructType) and isinstance(data, dict):
        fields = {field.encode_name: field for field in kind.fields}
        for key in data.keys() - fields.keys():
            yield _join(where, key), f"unknown key. {nearest(key, fields)}"
        missing = [name for name, field in fields.items() if field.required and name not in data]
        if missing:
            yield where, f"{', '.join(missing)} missing."
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


_N = TypeVar("_N", Target, Policy)


def _unique(path: Path, key: str, lines: Iterable[_N]) -> dict[str, _N]:
    found: dict[str, _N] = {}
    for index, line in enumerate(lines):
        if line.name in found:
            raise ManifestError(f"{path}: {key}[{index}].name: {line.name} is there twice.")
        found[line.name] = line
    return found


def _check_targets(path: Path, targets: Mapping[str, Target], policies: Mapping[str, Policy]) -> None:
    for index, target in enumerate(targets.values()):
        if target.policy not in policies:
            where = f"{path}: targets[{index}].policy"
            raise ManifestError(f"{where}: {target.policy!r} is unknown. {nearest(target.policy, policies)}")


def _check_variant(path: Path, variant: Variant, targets: Mapping[str, Target], providers: Iterable[str]) -> None:
    def fail(where: str, problem: str) -> None:
        raise ManifestError(f"{path}: {where}: {problem}")

    if variant.name != path.stem:
        fail("name", f"{variant.name!r} must be the file's name, {path.stem!r}.")
    for index, provider in enumerate(variant.providers):
        if provider not in providers:
            fail(f"providers[{index}]", f"{provider!r} is unknown. {nearest(provider, providers)}")
    for device, names in variant.devices.items():
        for name in names:
            if name not in variant.providers:
                fail(f"devices.{device}", f"{name!r} is not among providers. {nearest(name, variant.providers)}")
    if variant.prebuilt is not None:
        _check_prebuilt(variant.prebuilt, targets, fail)


def _check_prebuilt(origin: PrebuiltOrigin, targets: Mapping[str, Target], fail: Callable[[str, str], None]) -> None:
    seen: set[tuple[str, str]] = set()
    for index, wheel in enumerate(origin.wheels):
        where = f"prebuilt.wheels[{index}]"
        target = targets.get(wheel.target)
        if target is None:
            fail(f"{where}.target", f"{wheel.target!r} is unknown. {nearest(wheel.target, targets)}")
            continue
        if (wheel.ort, wheel.target) in seen:
            fail(f"{where}.target", f"{wheel.target} is there twice for {wheel.ort}.")
        seen.add((wheel.ort, wheel.target))
        try:
            name, version, _, _ = parse_wheel_filename(wheel.file)
        except InvalidWheelFilename as error:
            fail(f"{where}.file", f"{error}.")
            continue
        if str(version) != wheel.ort or name != origin.distribution:
            fail(f"{where}.file", f"{wheel.file} is not {origin.distribution} {wheel.ort}.")
        tag = parse_tag(wheel.tag)
        if tag is None or (tag.os, tag.libc, tag.arch) != (target.os, target.libc, target.arch):
            fail(f"{where}.tag", f"{wheel.tag!r} is no tag for {target.name}.")
        libraries = [file for file in origin.files if file.os == target.os and file.role == "library"]
        if len(libraries) != 1:
            fail("prebuilt.files", f'{len(libraries)} files have role = "library" for {target.os}; one is expected.')
    for index, file in enumerate(origin.files):
        if "{" in file.member.replace("{ort}", "") or not PurePosixPath(file.member).name:
            fail(f"prebuilt.files[{index}].member", f"{file.member!r}: only {{ort}} may stand in braces.")
