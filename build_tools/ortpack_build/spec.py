"""A spec: one runtime to build, fully resolved from the manifests.

It is frozen, printable as JSON and has a content hash; every later stage is a function of it and of the bytes whose
hashes it holds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct
from packaging.utils import canonicalize_name

from ortpack_build.errors import UsageError, nearest
from ortpack_build.tags import parse_tag, version_key

if TYPE_CHECKING:
    from collections.abc import Collection

    from ortpack_build.manifest import Catalog, Policy, SourceOrigin, Target, Variant


class _Value(Struct, frozen=True, kw_only=True):
    pass


class Platform(_Value, frozen=True, kw_only=True, omit_defaults=True):
    """Where a runtime works, as `runtime.json` says it."""

    os: str
    arch: str
    libc: str | None = None
    libc_version: str | None = None  # oldest
    os_version: str | None = None  # oldest; macOS


class System(_Value, frozen=True, kw_only=True):
    """What the platform gives: libraries by where they come from, and the newest symbol versions."""

    libraries: dict[str, tuple[str, ...]]
    symbols: dict[str, str]


class LibraryFile(_Value, frozen=True, kw_only=True):
    """A native library of the runtime and its C interface."""

    name: str
    role: Literal["library", "support"]
    exports: tuple[str, ...]
    may_export: tuple[str, ...]


class Device(_Value, frozen=True, kw_only=True):
    """A name for `device=` and the providers that serve it, in order."""

    name: str
    providers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """What the native files were made from, for readers."""

    name: str
    file: str
    sha256: str
    purl_type: str


class Prebuilt(_Value, frozen=True, kw_only=True, tag="prebuilt", tag_field="origin"):
    """Taken out of an official wheel."""

    distribution: str
    version: str
    file: str
    sha256: str
    members: dict[str, str]  # path in the wheel → file name in the runtime
    licenses: dict[str, str]  # path in the wheel → file name

    @property
    def upstream(self) -> Upstream:
        """The official wheel."""
        return Upstream(name=self.distribution, file=self.file, sha256=self.sha256, purl_type="pypi")

    @property
    def sentence(self) -> str:
        """Where the binaries come from, for a description."""
        return f"`{self.file}` is where the binaries come from, unchanged"


class Compiled(_Value, frozen=True, kw_only=True, tag="source", tag_field="origin"):
    """Linked from a kit."""

    kit: str  # its key: the hash of sources, flags and toolchain
    flavour: str
    toolchain: dict[str, str]

    @property
    def upstream(self) -> Upstream:
        """Of the kit; the sources are named in its own kit.json."""
        return Upstream(name="onnxruntime", file="", sha256=self.kit, purl_type="github")

    @property
    def sentence(self) -> str:
        """Where the binaries come from, for a description."""
        return f"They were compiled from ONNX Runtime's source code, by way of the kit `{self.kit[:16]}`"


class UsedModel(_Value, frozen=True, kw_only=True, omit_defaults=True):
    """A model that a reduced runtime was made for."""

    name: str  # of the file
    sha256: str
    converted: str | None = None  # SHA-256 of the ORT-format model that was made of it


class Minimal(_Value, frozen=True, kw_only=True):
    """What a runtime with some operators only was reduced to, and for what."""

    distribution: str  # name of the wheel; in its normal form it is the runtime's
    ops: tuple[str, ...]  # lines of an operator config
    kernels: tuple[str, ...]
    models: tuple[UsedModel, ...]


class Spec(_Value, frozen=True, kw_only=True, omit_defaults=True):
    """One runtime: variant × target × ORT release × origin × linkage."""

    variant: str
    summary: str
    target: str
    ort_version: str
    api_version: int
    source: Prebuilt | Compiled
    linkage: Literal["shared", "static"]
    tag: str  # platform tag of the wheel
    platform: Platform
    files: tuple[LibraryFile, ...]
    providers: tuple[str, ...]
    devices: tuple[Device, ...]  # the first is the default
    priority: int
    model_formats: tuple[str, ...]
    reduced: bool
    license: str
    system: System
    minimal: Minimal | None = None

    @property
    def name(self) -> str:
        """The runtime's name, and its folder's."""
        return canonicalize_name(self.minimal.distribution) if self.minimal else self.variant

    @property
    def distribution(self) -> str:
        """The name that people write in a requirements file."""
        return self.minimal.distribution if self.minimal else f"ortpack-{self.variant}".replace("_", "-")

    @property
    def digest(self) -> str:
        """SHA-256 of the spec's canonical JSON: the same for equal specs, whoever resolved them."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()

    @property
    def library(self) -> str:
        """File name of the library that the loader opens."""
        return next(file.name for file in self.files if file.role == "library")


def resolve(catalog: Catalog, variant: str, target: str, ort: str | None = None) -> Spec:
    """The spec of a variant for a target, of the newest ORT release that is pinned for it unless `ort` names one.

    Raises:
        UsageError: variant, target or release is unknown; names the nearest right one.
    """
    chosen, _ = _lines(catalog, variant, target)
    available = releases(chosen, target)
    if not available:
        others = [name for name in catalog.targets if releases(chosen, name)]
        raise UsageError(f"Variant {variant} is not made for {target}.", hint=nearest(target, others))
    if ort is not None and ort not in available:
        raise UsageError(f"ONNX Runtime {ort} is not pinned for {variant} on {target}.", hint=nearest(ort, available))
    return _prebuilt_spec(catalog, chosen, catalog.targets[target], ort or available[0])


def _lines(catalog: Catalog, variant: str, target: str) -> tuple[Variant, Target]:
    if variant not in catalog.variants:
        raise UsageError(f"There is no variant {variant!r}.", hint=nearest(variant, catalog.variants))
    if target not in catalog.targets:
        raise UsageError(f"There is no target {target!r}.", hint=nearest(target, catalog.targets))
    return catalog.variants[variant], catalog.targets[target]


def releases(variant: Variant, target: str) -> list[str]:
    """The ORT releases of a variant for a target, newest first."""
    wheels = variant.prebuilt.wheels if variant.prebuilt else ()
    return sorted((wheel.ort for wheel in wheels if wheel.target == target), key=version_key, reverse=True)


def _prebuilt_spec(catalog: Catalog, variant: Variant, target: Target, ort: str) -> Spec:
    origin = variant.prebuilt
    assert origin is not None  # noqa: S101 - it has a release
    pinned = next(wheel for wheel in origin.wheels if (wheel.ort, wheel.target) == (ort, target.name))
    files = [file for file in origin.files if file.os == target.os]
    members = {file.member.format(ort=ort): file.member.format(ort=ort).rpartition("/")[2] for file in files}
    return Spec(
        variant=variant.name,
        summary=variant.summary,
        target=target.name,
        ort_version=ort,
        api_version=version_key(ort)[1],  # release 1.N has API version N
        source=Prebuilt(
            distribution=origin.distribution,
            version=pinned.ort,
            file=pinned.file,
            sha256=pinned.sha256,
            members=members,
            licenses={member: member.rpartition("/")[2] for member in origin.licenses},
        ),
        linkage="shared",
        tag=pinned.tag,
        platform=platform(target, pinned.tag),
        files=tuple(
            LibraryFile(name=name, role=file.role, exports=file.exports, may_export=file.may_export)
            for name, file in zip(members.values(), files, strict=True)
        ),
        providers=variant.providers,
        devices=tuple(Device(name=name, providers=names) for name, names in variant.devices.items()),
        priority=variant.priority,
        model_formats=variant.model_formats,
        reduced=variant.reduced,
        license=variant.license,
        system=system(catalog.policies[target.policy], pinned.tag),
    )


def source_origin(catalog: Catalog, variant: str, target: str) -> tuple[Variant, Target, SourceOrigin]:
    """What the manifests say of a variant that is made from source.

    Raises:
        UsageError: variant or target is unknown, or the variant is not made from source.
    """
    chosen, line = _lines(catalog, variant, target)
    if chosen.source is None:
        others = [name for name, other in catalog.variants.items() if other.source]
        raise UsageError(f"Variant {variant} is not made from source.", hint=nearest(variant, others))
    return chosen, line, chosen.source


def compiled(
    catalog: Catalog,
    variant: str,
    target: str,
    *,
    ort: str,
    source: Compiled,
    library: str,
    tag: str,
    formats: Collection[str],
    minimal: Minimal | None = None,
) -> Spec:
    """The spec of a variant whose library was linked from a kit.

    Args:
        catalog: the manifests.
        variant, target: names.
        ort: the release.
        source: the kit.
        library: file name of the library.
        tag: platform tag of the wheel.
        formats: what the kit can load; fewer than the variant promises make the runtime a reduced one.
        minimal: what it is reduced to, if it is.

    Raises:
        UsageError: variant or target is unknown, or the variant is not made from source.
    """
    chosen, line, origin = source_origin(catalog, variant, target)
    return Spec(
        variant=chosen.name,
        summary=chosen.summary,
        target=line.name,
        ort_version=ort,
        api_version=version_key(ort)[1],
        source=source,
        linkage="shared",
        tag=tag,
        platform=platform(line, tag),
        files=(LibraryFile(name=library, role="library", exports=origin.exports, may_export=origin.may_export),),
        providers=chosen.providers,
        devices=tuple(Device(name=name, providers=names) for name, names in chosen.devices.items()),
        priority=chosen.priority,
        model_formats=tuple(name for name in chosen.model_formats if name in formats),
        reduced=chosen.reduced or minimal is not None or not set(chosen.model_formats) <= set(formats),
        license=chosen.license,
        system=system(catalog.policies[line.policy], tag),
        minimal=minimal,
    )


def platform(target: Target, tag: str) -> Platform:
    """The platform block of `runtime.json` for a target and the wheel tag of a release."""
    parsed = parse_tag(tag)
    version = parsed.version if parsed else None
    return Platform(
        os=target.os,
        arch=target.arch,
        libc=target.libc,
        libc_version=version if target.libc else None,
        os_version=None if target.libc else version,
    )


def system(policy: Policy, tag: str) -> System:
    """What the policy grants a wheel with this tag: the symbols of the newest level that is not above the tag's."""
    parsed = parse_tag(tag)
    levels = [
        level
        for level in policy.symbols
        if parsed and parsed.version and version_key(level) <= version_key(parsed.version)
    ]
    newest = max(levels, key=version_key, default=None)
    return System(libraries=policy.libraries, symbols=policy.symbols[newest] if newest else {})
