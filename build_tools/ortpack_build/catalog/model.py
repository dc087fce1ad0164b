"""The model of the manifests of `variants/`: a class for each kind of file and for what it holds.

It is the one source of truth: the files are read with it, `variants/schema.json` and the reference pages are generated
from it, and error messages take their lists of allowed names from it. All that differs between variants, targets and
releases is in the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, field

from ortpack_build.base.data_file import Model, Release, Sha256, Version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Os = Literal["linux", "macos", "windows"]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$")]
VariantName = Annotated[
    str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", description="As its extra and its runtime are called")
]
ServedDevice = Literal["nvidia-gpu", "amd-gpu", "intel-gpu", "intel-npu", "directx", "apple-gpu"]


class Target(Model, frozen=True, kw_only=True):
    """A platform to make runtimes for."""

    name: Annotated[Name, Meta(description="What it is called everywhere")]
    os: Annotated[Os, Meta(description="Operating system")]
    arch: Annotated[str, Meta(description="Processor, as runtime.json says it")]
    machine: Annotated[
        str, Meta(description="The processor as the header of a native library names it, in LIEF's words, e.g. X86_64")
    ]
    policy: Annotated[str, Meta(description="The entry of policies.toml that says what the system gives")]
    runs_on: Annotated[tuple[str, ...], Meta(description="Hosts (target names) that can run its binaries")]
    libc: Annotated[Literal["glibc", "musl"] | None, Meta(description="C library, on Linux")] = None
    emulator: Annotated[str | None, Meta(description="Program that runs its binaries on other machines")] = None
    zig: Annotated[str | None, Meta(description="zig's name of it, if kits.toml has none")] = None
    marker: Annotated[
        str | None, Meta(description="Environment marker (PEP 508) of such machines; None: no marker tells them apart")
    ] = None


class TargetsFile(Model, frozen=True, kw_only=True):
    """targets.toml: the platforms that runtimes are made for."""

    schema: Literal[1]
    targets: Annotated[tuple[Target, ...], Meta(description="Every platform")]


class Policy(Model, frozen=True, kw_only=True):
    """What runtimes may take from a kind of system."""

    name: Annotated[Name, Meta(description="What targets call it by")]
    libraries: Annotated[
        dict[str, tuple[str, ...]], Meta(description="Where libraries come from → their names or patterns")
    ]
    granted: Annotated[
        dict[str, tuple[str, ...]], Meta(description="The same, for variants whose `may_need` names the source")
    ] = field(default_factory=dict)
    symbols: Annotated[
        dict[Version, dict[str, Version]],
        Meta(description="Version of the wheel tag → newest version of each set of symbols"),
    ] = field(default_factory=dict)
    hardening: Annotated[
        tuple[str, ...], Meta(description="Protections that a library compiled from source must have")
    ] = ()


class PoliciesFile(Model, frozen=True, kw_only=True):
    """policies.toml: what a runtime may take from the system that it is installed on."""

    schema: Literal[1]
    policies: Annotated[tuple[Policy, ...], Meta(description="Every kind of system")]


class ProvidersFile(Model, frozen=True, kw_only=True):
    """providers.toml: the execution providers, spelt as ONNX Runtime does."""

    schema: Literal[1]
    providers: Annotated[tuple[str, ...], Meta(description="Every execution provider that a variant may name")]


class Package(Model, frozen=True, kw_only=True):
    """A distribution of a vendor with libraries that a runtime needs at run time, installed by pip."""

    name: Annotated[str, Meta(description="The distribution")]
    versions: Annotated[str, Meta(description="Version specifiers (PEP 440) that fit")]
    libraries: Annotated[
        dict[Os, tuple[str, ...]],
        Meta(description="By operating system: paths below site-packages, in the order of loading"),
    ]

    @property
    def requirement(self) -> str:
        """The requirement (PEP 508) of the distribution, without a marker."""
        return f"{self.name}{self.versions}"


class PackagesFile(Model, frozen=True, kw_only=True):
    """packages.toml: vendors' distributions with libraries that runtimes need at run time."""

    schema: Literal[1]
    packages: Annotated[tuple[Package, ...], Meta(description="Every distribution that a variant may name")]


class DefaultsFile(Model, frozen=True, kw_only=True):
    """defaults.toml: roles that one of the variants has."""

    schema: Literal[1]
    fallback: Annotated[
        str,
        Meta(
            description="Variant that extras install where their own is not made, that minimal runtimes are reduced "
            "from, and whose official library knows every operator"
        ),
    ]


class Need(Model, frozen=True, kw_only=True):
    """A fact of the machine that a runtime can't do without."""

    fact: Annotated[
        Literal[
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
        ],
        Meta(description="What is looked up on the machine"),
    ]
    mend: Annotated[str, Meta(description="What to do about it, for people")]
    os: Annotated[tuple[Os, ...], Meta(description="Where it counts; everywhere if empty")] = ()
    at_least: Annotated[Version | None, Meta(description="Oldest version; None: that it is there")] = None


class NativeFile(Model, frozen=True, kw_only=True):
    """A native library to take out of an official wheel."""

    os: Annotated[Os, Meta(description="Whose wheels have it")]
    member: Annotated[str, Meta(description="Path in the wheel; {ort} is the release")]
    exports: Annotated[tuple[str, ...], Meta(description="Symbols that it must export")]
    may_export: Annotated[tuple[str, ...], Meta(description="Symbols that it may export as well")] = ()
    rpaths: Annotated[tuple[str, ...], Meta(description="Folders it may search besides its own")] = ()
    role: Annotated[Literal["library", "support"], Meta(description="`library` is the one that the loader opens")] = (
        "support"
    )


class PinnedWheel(Model, frozen=True, kw_only=True):
    """An official wheel, and the platform tag of the wheel that we make of it.

    Attributes:
        ort: of a runtime.
        version: of a plugin, which has versions of its own.
    """

    ort: Annotated[Release | None, Meta(description="ONNX Runtime release, of a runtime")] = None
    version: Annotated[str | None, Meta(description="Version of a plugin, which has one of its own")] = None
    target: Annotated[str, Meta(description="Platform that it is for")]
    tag: Annotated[str, Meta(description="Platform tag that our wheel gets: what its binaries need")]
    file: Annotated[str, Meta(pattern=r"^[^/\\]+\.whl$", description="The official wheel's file name")]
    sha256: Sha256

    @property
    def release(self) -> str:
        """The official distribution's version, and that of the wheel that we make."""
        return self.ort or self.version or ""


class OfficialSize(Model, frozen=True, kw_only=True):
    """How large an official release is on its index, all of its files together: `wheels` compares ours with it."""

    version: Annotated[str, Meta(description="Release")]
    wheels: Annotated[int, Meta(ge=1, description="How many files")]
    bytes: Annotated[int, Meta(ge=1, description="Their size")]


class PrebuiltOrigin(Model, frozen=True, kw_only=True):
    """Where a variant's binaries come from when they are official ones: wheels that are pinned and taken apart."""

    distribution: Annotated[str, Meta(description="The official distribution")]
    licenses: Annotated[tuple[str, ...], Meta(description="Licence texts of what is taken out, paths in the wheel")]
    files: Annotated[tuple[NativeFile, ...], Meta(description="What is taken out")]
    wheels: Annotated[tuple[PinnedWheel, ...], Meta(description="The pinned wheels")]
    official: Annotated[tuple[OfficialSize, ...], Meta(description="Sizes of the official releases")] = ()


class Extends(Model, frozen=True, kw_only=True):
    """Providers for another variant's runtime, from the same official wheels."""

    variant: Annotated[str, Meta(description="Whose runtime")]
    targets: Annotated[tuple[str, ...], Meta(min_length=1, description="Where it is made")]
    files: Annotated[tuple[NativeFile, ...], Meta(description="Laid beside the other's; none: it has them")] = ()


class Plugin(Model, frozen=True, kw_only=True):
    """A provider library to register with a runtime: it stays in its vendor's wheel, which ours depends on."""

    registration: Annotated[str, Meta(description="Name to register it under")]
    ort_versions: Annotated[
        str,
        Meta(pattern=r"^(>=|<|==)\d+(\.\d+)+(,(>=|<|==)\d+(\.\d+)+)*$", description="Runtimes that it works with"),
    ]


class Kernels(Model, frozen=True, kw_only=True):
    """Kernels that a library takes if the processor has what they need."""

    name: Annotated[str, Meta(description="What they are called")]
    what: Annotated[str, Meta(description="What they compute, for people")]
    targets: Annotated[tuple[str, ...], Meta(min_length=1, description="Whose libraries have them")]
    encoding: Annotated[
        tuple[tuple[int, int], ...], Meta(min_length=1, description="Instructions of theirs alone: value and mask")
    ]


class Part(Model, frozen=True, kw_only=True):
    """Some of another variant's wheels."""

    variant: Annotated[str, Meta(description="Whose wheels")]
    targets: Annotated[tuple[str, ...], Meta(min_length=1, description="Which of them")]
    kernels: Annotated[tuple[Kernels, ...], Meta(description="What its processors have")] = ()


class SourceOrigin(Model, frozen=True, kw_only=True):
    """What a variant's library exports when it is compiled: how is said in `sources/` and `kits/`."""

    exports: Annotated[tuple[str, ...], Meta(description="Symbols that the library must export")]
    may_export: Annotated[tuple[str, ...], Meta(description="Symbols that it may export as well")] = ()


class Compile(Model, frozen=True, kw_only=True):
    """How ONNX Runtime's own build makes a variant, for people who have the vendor's tools."""

    cmake: Annotated[tuple[str, ...], Meta(description="CMake options, e.g. onnxruntime_USE_CUDA=ON")]
    wants: Annotated[str, Meta(description="What has to be on the machine, for people")] = ""


class Variant(Model, frozen=True, kw_only=True):
    """<variant>.toml: one kind of runtime, an extension of one, a plugin for any, or part of another's wheels."""

    schema: Literal[1]
    kind: Annotated[Literal["runtime", "extension", "plugin", "part"], Meta(description="What its wheel is")] = (
        "runtime"
    )
    name: VariantName
    summary: Annotated[str, Meta(description="What it is, in a line")]
    tried: Annotated[str, Meta(description="What was really run, and what could only be looked at, for people")] = ""
    license: Annotated[str, Meta(description="SPDX expression")]
    providers: Annotated[tuple[str, ...], Meta(min_length=1, description="In order of preference, CPU last")]
    devices: Annotated[
        dict[str, tuple[str, ...]],
        Meta(min_length=1, description="Name for device= → its providers; the first device is the default"),
    ]
    priority: Annotated[int, Meta(description="Automatic mode takes the highest that works")]
    model_formats: Annotated[tuple[Literal["onnx", "ort"], ...], Meta(description="What it loads")]
    reduced: Annotated[bool, Meta(description="Holds some operators only; never taken automatically")] = False
    needs: Annotated[tuple[Need, ...], Meta(description="In the order of checking")] = ()
    serves: Annotated[
        dict[ServedDevice, Annotated[int, Meta(ge=1)]],
        Meta(description="Device of a machine that it uses → its place among the variants to advise there, best is 1"),
    ] = field(default_factory=dict)
    may_need: Annotated[tuple[str, ...], Meta(description="Sources of libraries besides the system: `granted`")] = ()
    packages: Annotated[tuple[str, ...], Meta(description="Of packages.toml, in the order of loading")] = ()
    requires_python: Annotated[Version, Meta(description="Oldest Python of its packages")] = "3.10"
    prebuilt: Annotated[PrebuiltOrigin | None, Meta(description="From official binaries")] = None
    source: Annotated[SourceOrigin | None, Meta(description="Compiled, from a kit")] = None
    extends: Annotated[Extends | None, Meta(description="Of an extension: what it adds to")] = None
    plugin: Annotated[Plugin | None, Meta(description="Of a plugin: how it is registered")] = None
    part: Annotated[Part | None, Meta(description="Of a part: whose wheels")] = None
    compile: Annotated[Compile | None, Meta(description="How upstream's own build makes it")] = None


class PartFile(Model, frozen=True, kw_only=True):
    """<variant>.toml: a name for some of another variant's wheels, which says all else of them."""

    schema: Literal[1]
    kind: Annotated[Literal["part"], Meta(description="Tells it from other variants")]
    name: VariantName
    summary: Annotated[str, Meta(description="What it is, in a line")]
    part: Annotated[Part, Meta(description="Whose wheels, and which")]

    def of(self, whole: Variant) -> Variant:
        """Make the variant that a part is, of the whole whose wheels it takes."""
        return msgspec.structs.replace(
            whole, kind="part", name=self.name, summary=self.summary, part=self.part, prebuilt=None, source=None
        )


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All manifests, checked against each other.

    Attributes:
        fallback: name of the variant that others fall back to.
        own: the user's folder that they were read from besides the shipped one.
    """

    variants: Mapping[str, Variant]
    targets: Mapping[str, Target]
    policies: Mapping[str, Policy]
    packages: Mapping[str, Package]
    fallback: str
    own: Path | None = None

    def machine(self, os: str, arch: str) -> str | None:
        """What native libraries name their processor on a platform; None if no target is of that platform."""
        found = (target.machine for target in self.targets.values() if (target.os, target.arch) == (os, arch))
        return next(found, None)

    def origin(self, variant: Variant) -> PrebuiltOrigin | None:
        """Find the official binaries of a variant; those of an extension or a part are wheels of another variant."""
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
