"""The manifests of `variants/`: what is built, for which platforms, from what.

The model below is the one source of truth: it reads the files, it generates `variants/schema.json`, and error
messages take their lists of allowed names from it. All that differs between variants, targets and releases is in
the files.
"""

from __future__ import annotations

import functools
import json
import tomllib
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, inspect

from ortpack_build.base.errors import ManifestError, nearest
from ortpack_build.catalog.manifest_checks import check_packages, check_part, check_targets, check_variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
    emulator: Annotated[str | None, Meta(description="Program that runs its binaries on other machines")] = None
    marker: Annotated[
        str | None, Meta(description="Environment marker (PEP 508) of such machines; None: no marker tells them apart")
    ] = None


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
    granted: Annotated[
        dict[str, tuple[str, ...]], Meta(description="The same, for variants whose `may_need` names the source")
    ] = {}
    symbols: Annotated[
        dict[Version, dict[str, Version]],
        Meta(description="Version of the wheel tag → newest version of each set of symbols"),
    ] = {}
    hardening: Annotated[
        tuple[str, ...], Meta(description="Protections that a library compiled from source must have")
    ] = ()


class PoliciesFile(_Model, frozen=True, kw_only=True):
    """policies.toml"""

    schema: Literal[1]
    policies: tuple[Policy, ...]


class ProvidersFile(_Model, frozen=True, kw_only=True):
    """providers.toml"""

    schema: Literal[1]
    providers: Annotated[tuple[str, ...], Meta(description="Every execution provider that a variant may name")]


class Package(_Model, frozen=True, kw_only=True):
    """A distribution of a vendor with libraries that a runtime needs at run time, installed by pip."""

    name: Annotated[str, Meta(description="The distribution")]
    versions: Annotated[str, Meta(description="Version specifiers (PEP 440) that fit")]
    libraries: Annotated[
        dict[Os, tuple[str, ...]],
        Meta(description="By operating system: paths below site-packages, in the order of loading"),
    ]

    @property
    def requirement(self) -> str:
        """As a requirement (PEP 508) without a marker."""
        return f"{self.name}{self.versions}"


class PackagesFile(_Model, frozen=True, kw_only=True):
    """packages.toml"""

    schema: Literal[1]
    packages: tuple[Package, ...]


class Need(_Model, frozen=True, kw_only=True):
    """A fact of the machine that a runtime can't do without."""

    fact: Literal[
        "nvidia-gpu",
        "nvidia-driver",
        "cuda-driver",
        "cuda-compute",
        "amd-gpu",
        "intel-device",
        "qualcomm-npu",
        "directx",
        "windows-build",
        "vulkan",
        "rocm",
    ]
    mend: Annotated[str, Meta(description="What to do about it, for people")]
    os: Annotated[tuple[Os, ...], Meta(description="Where it counts; everywhere if empty")] = ()
    at_least: Annotated[Version | None, Meta(description="Oldest version; None: that it is there")] = None


class NativeFile(_Model, frozen=True, kw_only=True):
    """A native library to take out of an official wheel."""

    os: Os
    member: Annotated[str, Meta(description="Path in the wheel; {ort} is the release")]
    exports: Annotated[tuple[str, ...], Meta(description="Symbols that it must export")]
    may_export: Annotated[tuple[str, ...], Meta(description="Symbols that it may export as well")] = ()
    rpaths: Annotated[tuple[str, ...], Meta(description="Folders it may search besides its own")] = ()
    role: Annotated[Literal["library", "support"], Meta(description="`library` is the one that the loader opens")] = (
        "support"
    )


class PinnedWheel(_Model, frozen=True, kw_only=True):
    """An official wheel, and the platform tag of the wheel that we make of it.

    Attributes:
        ort: of a runtime.
        version: of a plugin, which has versions of its own.
    """

    ort: Release | None = None
    version: str | None = None
    target: str
    tag: str
    file: Annotated[str, Meta(pattern=r"^[^/\\]+\.whl$")]
    sha256: Sha256

    @property
    def release(self) -> str:
        """The official distribution's version, and that of the wheel that we make."""
        return self.ort or self.version or ""


class OfficialSize(_Model, frozen=True, kw_only=True):
    """All files that an official release takes on its index, to compare with."""

    version: str
    wheels: Annotated[int, Meta(ge=1)]
    bytes: Annotated[int, Meta(ge=1)]


class PrebuiltOrigin(_Model, frozen=True, kw_only=True):
    """Official binaries."""

    distribution: str
    licenses: Annotated[tuple[str, ...], Meta(description="Licence texts of what is taken out, paths in the wheel")]
    files: tuple[NativeFile, ...]
    wheels: tuple[PinnedWheel, ...]
    official: Annotated[tuple[OfficialSize, ...], Meta(description="Sizes of the official releases")] = ()


class Extends(_Model, frozen=True, kw_only=True):
    """Providers for another variant's runtime, from the same official wheels."""

    variant: str
    targets: Annotated[tuple[str, ...], Meta(min_length=1)]
    files: Annotated[tuple[NativeFile, ...], Meta(description="Laid beside the other's; none: it has them")] = ()


class Plugin(_Model, frozen=True, kw_only=True):
    """A provider library to register with a runtime: it stays in its vendor's wheel, which ours depends on."""

    registration: Annotated[str, Meta(description="Name to register it under")]
    ort_versions: Annotated[
        str,
        Meta(pattern=r"^(>=|<|==)\d+(\.\d+)+(,(>=|<|==)\d+(\.\d+)+)*$", description="Runtimes that it works with"),
    ]


class Kernels(_Model, frozen=True, kw_only=True):
    """Kernels that a library takes if the processor has what they need."""

    name: str
    what: Annotated[str, Meta(description="What they compute, for people")]
    targets: Annotated[tuple[str, ...], Meta(min_length=1, description="Whose libraries have them")]
    encoding: Annotated[
        tuple[tuple[int, int], ...], Meta(min_length=1, description="Instructions of theirs alone: value and mask")
    ]


class Part(_Model, frozen=True, kw_only=True):
    """Some of another variant's wheels."""

    variant: str
    targets: Annotated[tuple[str, ...], Meta(min_length=1)]
    kernels: tuple[Kernels, ...] = ()


class SourceOrigin(_Model, frozen=True, kw_only=True):
    """Compiled from source: see `variants/sources` and `variants/kits`."""

    exports: Annotated[tuple[str, ...], Meta(description="Symbols that the library must export")]
    may_export: Annotated[tuple[str, ...], Meta(description="Symbols that it may export as well")] = ()


class Compile(_Model, frozen=True, kw_only=True):
    """How ONNX Runtime's own build makes it, for machines that have what it takes."""

    cmake: Annotated[tuple[str, ...], Meta(description="CMake options, e.g. onnxruntime_USE_CUDA=ON")]
    wants: Annotated[str, Meta(description="What has to be on the machine, for people")] = ""


class Variant(_Model, frozen=True, kw_only=True):
    """<variant>.toml: one kind of runtime, an extension of one, a plugin for any, or part of another's wheels."""

    schema: Literal[1]
    kind: Literal["runtime", "extension", "plugin", "part"] = "runtime"
    name: Name
    summary: str
    tried: Annotated[str, Meta(description="What was really run, and what could only be looked at, for people")] = ""
    license: Annotated[str, Meta(description="SPDX expression")]
    providers: Annotated[tuple[str, ...], Meta(min_length=1, description="In order of preference, CPU last")]
    devices: Annotated[
        dict[str, tuple[str, ...]],
        Meta(min_length=1, description="Name for device= → its providers; the first device is the default"),
    ]
    priority: Annotated[int, Meta(description="Automatic mode takes the highest that works")]
    model_formats: tuple[Literal["onnx", "ort"], ...]
    reduced: Annotated[bool, Meta(description="Holds some operators only; never taken automatically")] = False
    needs: Annotated[tuple[Need, ...], Meta(description="In the order of checking")] = ()
    may_need: Annotated[tuple[str, ...], Meta(description="Sources of libraries besides the system: `granted`")] = ()
    packages: Annotated[tuple[str, ...], Meta(description="Of packages.toml, in the order of loading")] = ()
    requires_python: Annotated[Version, Meta(description="Oldest Python of its packages")] = "3.10"
    prebuilt: PrebuiltOrigin | None = None
    source: SourceOrigin | None = None
    extends: Extends | None = None
    plugin: Plugin | None = None
    part: Part | None = None
    compile: Compile | None = None


class PartFile(_Model, frozen=True, kw_only=True):
    """<variant>.toml: a name for some of another variant's wheels, which says all else of them."""

    schema: Literal[1]
    kind: Literal["part"]
    name: Name
    summary: str
    part: Part

    def of(self, whole: Variant) -> Variant:
        """The variant that it is."""
        return msgspec.structs.replace(
            whole, kind="part", name=self.name, summary=self.summary, part=self.part, prebuilt=None, source=None
        )


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All manifests, checked against each other."""

    variants: Mapping[str, Variant]
    targets: Mapping[str, Target]
    policies: Mapping[str, Policy]
    packages: Mapping[str, Package]

    def origin(self, variant: Variant) -> PrebuiltOrigin | None:
        """The official binaries of a variant; those of an extension or a part are wheels of another variant."""
        if variant.part is not None:
            whole = self.variants[variant.part.variant].prebuilt
            assert whole is not None  # noqa: S101 - checked when the manifests were read
            wheels = tuple(wheel for wheel in whole.wheels if wheel.target in variant.part.targets)
            return msgspec.structs.replace(whole, wheels=wheels, official=())
        if variant.extends is None:
            return variant.prebuilt
        base = self.variants[variant.extends.variant].prebuilt
        assert base is not None  # noqa: S101 - checked when the manifests were read
        return msgspec.structs.replace(
            base,
            files=variant.extends.files,
            wheels=tuple(wheel for wheel in base.wheels if wheel.target in variant.extends.targets),
            official=(),
        )


_T = TypeVar("_T", bound=Struct)
_SHARED = ("targets.toml", "policies.toml", "providers.toml", "packages.toml")


def shipped_folder() -> Path:
    """The `variants` folder of the installed distribution, or of the checkout that this module is in."""
    package = Path(__file__).parents[1]
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
    packages = _unique(files["packages.toml"], "packages", read(files["packages.toml"], PackagesFile).packages)
    providers = read(files["providers.toml"], ProvidersFile).providers
    check_targets(files["targets.toml"], targets, policies)
    check_packages(files["packages.toml"], packages)
    own = [path for path in files.values() if path.name not in _SHARED]
    parts = {path: read(path, PartFile) for path in own if _kind(path) == "part"}
    variants = {path: read(path, Variant) for path in own if path not in parts}
    wholes = {path.stem: variant for path, variant in variants.items()}
    for path, part in parts.items():
        check_part(path, part, wholes, targets)
        variants[path] = part.of(wholes[part.part.variant])
    catalog = Catalog(
        variants={variant.name: variant for variant in variants.values()},
        targets=targets,
        policies=policies,
        packages=packages,
    )
    # Extensions last: a mistake in what they extend is to be said of the file that it is in.
    for path, variant in sorted(variants.items(), key=lambda item: item[1].kind == "extension"):
        check_variant(path, variant, catalog, providers)
    return catalog


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


def _kind(path: Path) -> object:
    """What a file says of its kind; its mistakes are for `read` to say."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")).get("kind")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None


def schema() -> str:
    """The JSON schema of all manifests, for editors: the text of `variants/schema.json`."""
    models = (Variant, PartFile, TargetsFile, PoliciesFile, ProvidersFile, PackagesFile)
    references, components = msgspec.json.schema_components(models, ref_template="#/$defs/{name}")
    for component in components.values():  # as Python 3.13 has texts of classes, on every Python
        if "description" in component:
            component["description"] = cleandoc(component["description"])
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


_N = TypeVar("_N", Target, Policy, Package)


def _unique(path: Path, key: str, lines: Iterable[_N]) -> dict[str, _N]:
    found: dict[str, _N] = {}
    for index, line in enumerate(lines):
        if line.name in found:
            raise ManifestError(f"{path}: {key}[{index}].name: {line.name} is there twice.")
        found[line.name] = line
    return found
