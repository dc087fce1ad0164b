"""Resolves what is asked for into a spec: one runtime to build, with all that the manifests say of it.

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
from packaging.version import Version as PythonVersion

from ortpack_build.base.errors import UsageError, nearest
from ortpack_build.base.tags import parse_tag, version_key

if TYPE_CHECKING:
    from collections.abc import Collection

    from ortpack_build.catalog.model import Catalog, Policy, SourceOrigin, Target, Variant


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
    rpaths: tuple[str, ...] = ()


class Device(_Value, frozen=True, kw_only=True):
    """A name for `device=` and the providers that serve it, in order."""

    name: str
    providers: tuple[str, ...]


class Need(_Value, frozen=True, kw_only=True, omit_defaults=True):
    """A fact of the machine that the runtime can't do without."""

    fact: str
    at_least: str | None = None  # None: that it is there
    mend: str  # what to do about it


class Package(_Value, frozen=True, kw_only=True):
    """A vendor's distribution with libraries that are needed at run time."""

    name: str
    requirement: str  # PEP 508
    libraries: tuple[str, ...]  # paths below site-packages


class Extends(_Value, frozen=True, kw_only=True):
    """The runtime whose providers this one adds to."""

    runtime: str
    files: tuple[str, ...]  # what lies in that runtime's folder already


class Plugin(_Value, frozen=True, kw_only=True):
    """A provider library in its vendor's distribution."""

    registration: str
    ort_versions: str
    path: str  # of the library, below site-packages


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """What the native files were made from, for readers."""

    name: str
    file: str
    sha256: str
    purl_type: str


class Prebuilt(_Value, frozen=True, kw_only=True, tag="prebuilt", tag_field="origin"):
    """The source of a runtime that is taken out of an official wheel."""

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
        """A sentence for people that says where the binaries come from."""
        return f"`{self.file}` is where the binaries come from, unchanged"


class Compiled(_Value, frozen=True, kw_only=True, tag="source", tag_field="origin"):
    """The source of a runtime that is linked from a kit."""

    kit: str  # its key: the hash of sources, flags and toolchain
    flavour: str
    toolchain: dict[str, str]

    @property
    def upstream(self) -> Upstream:
        """The kit; the sources that it was compiled of are named in its own kit.json."""
        return Upstream(name="onnxruntime", file="", sha256=self.kit, purl_type="github")

    @property
    def sentence(self) -> str:
        """A sentence for people that says where the binaries come from."""
        return f"They were compiled from ONNX Runtime's source code, by way of the kit `{self.kit[:16]}`"


class UsedModel(_Value, frozen=True, kw_only=True, omit_defaults=True):
    """A model that a reduced runtime was made for."""

    name: str  # of the file
    sha256: str
    converted: str | None = None  # SHA-256 of the ORT-format model that was made of it


class Minimal(_Value, frozen=True, kw_only=True, omit_defaults=True):
    """What a runtime with some operators only was reduced to, and for what."""

    distribution: str  # name of the wheel; in its normal form it is the runtime's, unless a package holds it
    ops: tuple[str, ...]  # lines of an operator config
    kernels: tuple[str, ...]
    models: tuple[UsedModel, ...]
    types: tuple[str, ...] = ()  # inputs and outputs that have some types only: `ai.onnx;Cast;input 0;float,int64_t`


class Spec(_Value, frozen=True, kw_only=True, omit_defaults=True):
    """One runtime: variant × target × ORT release × origin × linkage × op set.

    Attributes:
        version: of the wheel: the ORT release, and of a plugin its own.
        ort_version: None for a plugin, which fits many.
        api_version: of the C API that the library has, and for a plugin the oldest that it works with.
        machine: the target's; no part of the digest, as the target's name says it already.
    """

    kind: Literal["runtime", "extension", "plugin"] = "runtime"
    variant: str
    summary: str
    target: str
    version: str
    ort_version: str | None
    api_version: int
    source: Prebuilt | Compiled
    linkage: Literal["shared", "static"]
    tag: str  # platform tag of the wheel
    platform: Platform
    machine: str = ""
    files: tuple[LibraryFile, ...]
    providers: tuple[str, ...]
    devices: tuple[Device, ...]  # the first is the default
    priority: int
    model_formats: tuple[str, ...]
    reduced: bool
    license: str
    system: System
    needs: tuple[Need, ...] = ()
    packages: tuple[Package, ...] = ()
    requires_python: str = "3.10"
    extends: Extends | None = None
    plugin: Plugin | None = None
    package: str | None = None  # dotted name of the Python package that holds it, if not the loader's folder
    minimal: Minimal | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the spec's canonical JSON: the same for equal specs, whoever resolved them."""
        stated = msgspec.structs.replace(self, machine="")  # a default, so it is left out
        return hashlib.sha256(msgspec.json.encode(stated, order="deterministic")).hexdigest()

    @property
    def library(self) -> str:
        """File name of the library that the loader opens or registers; an extension has none.

        Raises:
            StopIteration: it is an extension.
        """
        return next(file.name for file in self.files if file.role == "library")

    @property
    def depends(self) -> tuple[str, ...]:
        """The requirements of the wheel: the runtime that an extension extends, the wheel with a plugin's library."""
        if self.extends is not None:
            return (f"{distribution(self.extends.runtime)}=={self.version}",)
        if self.plugin is not None and isinstance(self.source, Prebuilt):
            return (f"{self.source.distribution}=={self.version}",)
        return ()

    @property
    def name(self) -> str:
        """The runtime's name: that of its folder below the loader's, or of its package."""
        return self.package or (canonicalize_name(self.minimal.distribution) if self.minimal else self.variant)

    @property
    def distribution(self) -> str:
        """The name that people write in a requirements file."""
        return distribution(self.variant, self.package, self.minimal)


def distribution(variant: str, package: str | None = None, minimal: Minimal | None = None) -> str:
    """Name the distribution with a variant's runtime, with a reduced one, or with a package that holds one."""
    if minimal is not None:
        return minimal.distribution
    return canonicalize_name(package or f"ortpack-{variant}").strip("-")


def resolve(catalog: Catalog, variant: str, target: str, ort: str | None = None) -> Spec:
    """Resolve a variant and a target into a spec, of the newest release that is pinned for them unless `ort` names one.

    Raises:
        UsageError: variant, target or release is unknown; names the nearest right one.
    """
    chosen, _ = _look_up(catalog, variant, target)
    available = releases(catalog, chosen, target)
    if not available:
        others = [name for name in catalog.targets if releases(catalog, chosen, name)]
        raise UsageError(f"Variant {variant} is not made for {target}.", hint=nearest(target, others))
    if ort is not None and ort not in available:
        what = f"{variant} {ort} is" if chosen.kind == "plugin" else f"ONNX Runtime {ort} is"
        raise UsageError(f"{what} not pinned for {variant} on {target}.", hint=nearest(ort, available))
    return _prebuilt_spec(catalog, chosen, catalog.targets[target], ort or available[0])


def _look_up(catalog: Catalog, variant: str, target: str) -> tuple[Variant, Target]:
    """Look up variant and target by name; for a part, the variant whose wheels they are."""
    if variant not in catalog.variants:
        raise UsageError(f"There is no variant {variant!r}.", hint=nearest(variant, catalog.variants))
    if target not in catalog.targets:
        raise UsageError(f"There is no target {target!r}.", hint=nearest(target, catalog.targets))
    chosen = catalog.variants[variant]
    if chosen.part is not None:
        if target not in chosen.part.targets:
            raise UsageError(f"{target} is no part of {variant}.", hint=nearest(target, chosen.part.targets))
        chosen = catalog.variants[chosen.part.variant]
    return chosen, catalog.targets[target]


def releases(catalog: Catalog, variant: Variant, target: str) -> list[str]:
    """List the releases of a variant for a target, newest first."""
    origin = catalog.origin(variant)
    wheels = origin.wheels if origin else ()
    return sorted((wheel.release for wheel in wheels if wheel.target == target), key=PythonVersion, reverse=True)


def _prebuilt_spec(catalog: Catalog, variant: Variant, target: Target, release: str) -> Spec:
    origin = catalog.origin(variant)
    assert origin is not None  # noqa: S101 - it has a release
    assert variant.kind != "part"  # noqa: S101 - its wheels are another variant's
    pinned = next(wheel for wheel in origin.wheels if (wheel.release, wheel.target) == (release, target.name))
    files = [file for file in origin.files if file.os == target.os]
    members = {file.member.format(ort=release): file.member.format(ort=release).rpartition("/")[2] for file in files}
    plugin = None
    if variant.plugin is not None:
        path = next(file.member for file in files if file.role == "library").format(ort=release)
        plugin = Plugin(registration=variant.plugin.registration, ort_versions=variant.plugin.ort_versions, path=path)
    return Spec(
        kind=variant.kind,
        variant=variant.name,
        summary=variant.summary,
        target=target.name,
        version=release,
        ort_version=None if plugin else release,
        api_version=_oldest_api(plugin.ort_versions) if plugin else version_key(release)[1],  # 1.N has API version N
        source=Prebuilt(
            distribution=origin.distribution,
            version=release,
            file=pinned.file,
            sha256=pinned.sha256,
            members=members,
            licenses={member: member.rpartition("/")[2] for member in origin.licenses},
        ),
        linkage="shared",
        tag=pinned.tag,
        platform=platform(target, pinned.tag),
        machine=target.machine,
        files=tuple(
            LibraryFile(name=name, role=file.role, exports=file.exports, may_export=file.may_export, rpaths=file.rpaths)
            for name, file in zip(members.values(), files, strict=True)
        ),
        providers=variant.providers,
        devices=tuple(Device(name=name, providers=names) for name, names in variant.devices.items()),
        priority=variant.priority,
        model_formats=variant.model_formats,
        reduced=variant.reduced,
        license=variant.license,
        system=system(catalog.policies[target.policy], pinned.tag, _may_need(catalog, variant)),
        needs=_needs(variant, target),
        packages=_packages(catalog, variant, target),
        requires_python=variant.requires_python,
        extends=_extends(catalog, variant, target, release),
        plugin=plugin,
    )


def _oldest_api(ort_versions: str) -> int:
    """Find the C API version of the oldest release that a plugin works with; 22 was the first with plugins."""
    oldest = [clause.removeprefix(">=") for clause in ort_versions.split(",") if clause.startswith(">=")]
    return max([22, *(version_key(version)[1] for version in oldest)])


def _needs(variant: Variant, target: Target) -> tuple[Need, ...]:
    return tuple(
        Need(fact=need.fact, at_least=need.at_least, mend=need.mend)
        for need in variant.needs
        if not need.os or target.os in need.os
    )


def _packages(catalog: Catalog, variant: Variant, target: Target) -> tuple[Package, ...]:
    base = catalog.variants[variant.extends.variant].packages if variant.extends else ()
    chosen = [catalog.packages[name] for name in (*base, *variant.packages)]
    return tuple(
        Package(name=package.name, requirement=package.requirement, libraries=package.libraries[target.os])
        for package in chosen
        if target.os in package.libraries
    )


def _may_need(catalog: Catalog, variant: Variant) -> tuple[str, ...]:
    base = catalog.variants[variant.extends.variant].may_need if variant.extends else ()
    return (*base, *variant.may_need)


def _extends(catalog: Catalog, variant: Variant, target: Target, release: str) -> Extends | None:
    if variant.extends is None:
        return None
    base = resolve(catalog, variant.extends.variant, target.name, release)
    return Extends(runtime=base.variant, files=tuple(file.name for file in base.files))


def source_origin(catalog: Catalog, variant: str, target: str) -> tuple[Variant, Target, SourceOrigin]:
    """Look up a variant that is made from source, its target, and what its library exports.

    Raises:
        UsageError: variant or target is unknown, or the variant is not made from source.
    """
    chosen, where = _look_up(catalog, variant, target)
    if chosen.source is None:
        others = [name for name, other in catalog.variants.items() if other.source]
        raise UsageError(f"Variant {variant} is not made from source.", hint=nearest(variant, others))
    return chosen, where, chosen.source


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
    package: str | None = None,
    minimal: Minimal | None = None,
) -> Spec:
    """Make the spec of a variant whose library was linked from a kit.

    It has ten parameters: each is another fact about the link, which no value that exists before it holds together.

    Args:
        catalog: the manifests.
        variant, target: names.
        ort: the release.
        source: the kit.
        library: file name of the library.
        tag: platform tag of the wheel.
        formats: what the kit can load; fewer than the variant promises make the runtime a reduced one.
        package: the Python package that it is linked into, with the binding; None for a shared library.
        minimal: what it is reduced to, if it is.

    Raises:
        UsageError: variant or target is unknown, or the variant is not made from source.
    """
    chosen, where, origin = source_origin(catalog, variant, target)
    return Spec(
        variant=chosen.name,
        summary=chosen.summary,
        target=where.name,
        version=ort,
        ort_version=ort,
        api_version=version_key(ort)[1],
        source=source,
        linkage="static" if package else "shared",
        tag=tag,
        platform=platform(where, tag),
        machine=where.machine,
        files=(
            LibraryFile(
                name=library,
                role="library",
                exports=(f"PyInit_{library.partition('.')[0]}",) if package else origin.exports,
                may_export=() if package else origin.may_export,
            ),
        ),
        providers=chosen.providers,
        devices=tuple(Device(name=name, providers=names) for name, names in chosen.devices.items()),
        priority=chosen.priority,
        model_formats=tuple(name for name in chosen.model_formats if name in formats),
        reduced=chosen.reduced or minimal is not None or not set(chosen.model_formats) <= set(formats),
        license=chosen.license,
        system=system(catalog.policies[where.policy], tag),
        package=package,
        minimal=minimal,
    )


def platform(target: Target, tag: str) -> Platform:
    """Make the platform block of `runtime.json` of a target and the wheel tag of a release."""
    parsed = parse_tag(tag)
    version = parsed.version if parsed else None
    return Platform(
        os=target.os,
        arch=target.arch,
        libc=target.libc,
        libc_version=version if target.libc else None,
        os_version=None if target.libc else version,
    )


def system(policy: Policy, tag: str, may_need: Collection[str] = ()) -> System:
    """Find what a policy grants a wheel with this tag: the symbols of the newest level that is not above the tag's."""
    parsed = parse_tag(tag)
    levels = [
        level
        for level in policy.symbols
        if parsed and parsed.version and version_key(level) <= version_key(parsed.version)
    ]
    newest = max(levels, key=version_key, default=None)
    granted = {source: names for source, names in policy.granted.items() if source in may_need}
    libraries = {**policy.libraries, **granted}
    return System(libraries=libraries, symbols=policy.symbols[newest] if newest else {})
