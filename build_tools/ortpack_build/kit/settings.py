"""The data file `variants/kits/kits.toml`, which says how ONNX Runtime is compiled into kits."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, field
from msgspec.structs import replace

from ortpack_build.base.data_file import Model, Version, read_merged
from ortpack_build.base.errors import ManifestError, UsageError, nearest
from ortpack_build.toolchain.settings import CompilerEntry, Tool, ZigEntry  # noqa: TC001 - of fields

if TYPE_CHECKING:
    from pathlib import Path

Flavour = Literal["onnx", "ort"]


class Instead(Model, frozen=True):
    """A function of a library that is linked in, and the shorter one that takes its place."""

    symbol: Annotated[str, Meta(description="Its mangled name")]
    code: Annotated[str, Meta(description="C, a definition of `{name}`")]


class Group(Model, frozen=True):
    """Source files of ONNX Runtime that are compiled with flags of their own."""

    name: Annotated[str, Meta(description="What the group is")]
    files: Annotated[str, Meta(description="Regular expression of CMake's, searched in the absolute path")]
    flags: Annotated[tuple[str, ...], Meta(description="For the compiler")]
    toolchains: Annotated[tuple[str, ...], Meta(description="Those that know the flags; none: all do")] = ()


class WithoutExceptions(Model, frozen=True):
    """What is compiled and linked otherwise in a kit without C++ exceptions, where an error ends the process."""

    options: Annotated[dict[str, str], Meta(description="For CMake, on top of the flavour's")]
    instead: Annotated[tuple[Instead, ...], Meta(description="Where LLD links, besides those of `link`")] = ()
    groups: Annotated[tuple[Group, ...], Meta(description="After those of every kit and of the processor")] = ()
    discard: Annotated[tuple[str, ...], Meta(description="Sections that LLD leaves out of libraries")] = ()


class FlavourEntry(Model, frozen=True):
    """A flavour: the model formats that a kit loads, and the options that make it so."""

    model_formats: Annotated[tuple[Literal["onnx", "ort"], ...], Meta(description="What its libraries load")]
    options: Annotated[dict[str, str], Meta(description="For CMake, on top of those of every kit")]
    without_exceptions: Annotated[WithoutExceptions | None, Meta(description="If it can do without")] = None


class Flags(Model, frozen=True):
    """Compiler flags that every file gets."""

    c: Annotated[tuple[str, ...], Meta(description="C and C++")]
    cxx: Annotated[tuple[str, ...], Meta(description="C++ only")]
    release: Annotated[tuple[str, ...], Meta(description="Optimisation, unless a group says otherwise")]


class Effort(Model, frozen=True):
    """How long the files of a pattern take to compile, relative to those of others: for telling the time left."""

    files: Annotated[str, Meta(description="Regular expression, searched in the object's path")]
    weight: Annotated[float, Meta(gt=0, description="Seconds that one takes")]


class Link(Model, frozen=True):
    """How a library is linked from a kit."""

    roots: Annotated[tuple[str, ...], Meta(min_length=1, description="Symbols to start from, and to export")]
    flags: Annotated[tuple[str, ...], Meta(description="For the linker itself")]
    instead: Annotated[tuple[Instead, ...], Meta(description="Where LLD links")] = ()


class TargetEntry(Model, frozen=True):
    """A platform that kits are compiled for."""

    baseline: Annotated[Version, Meta(description="Oldest libc")]
    tag: Annotated[str, Meta(description="Platform tag of wheels, for libraries that zig linked")]
    zig: Annotated[str, Meta(description="zig's name of it")]
    system: Annotated[str, Meta(description="CMAKE_SYSTEM_NAME")]
    processor: Annotated[str, Meta(description="CMAKE_SYSTEM_PROCESSOR, an entry of `processors`")]
    library: Annotated[str, Meta(description="File name of a shared library; {ort} is the release")]
    libraries: Annotated[tuple[str, ...], Meta(description="Of the system, as linker flags")] = ()

    @property
    def zig_target(self) -> str:
        """Zig's name of the target, with the baseline."""
        return self.zig.format(baseline=self.baseline)

    @property
    def wheel_tag(self) -> str:
        """The platform tag with the baseline."""
        return self.tag.format(baseline=self.baseline.replace(".", "_"))


class Processor(Model, frozen=True):
    """What is compiled otherwise for targets with a kind of processor."""

    flags: Annotated[tuple[str, ...], Meta(description="C and C++")]
    arguments: Annotated[dict[str, str], Meta(description="Compiler arguments → what zig wants instead")] = field(
        default_factory=dict
    )
    groups: Annotated[tuple[Group, ...], Meta(description="After those of every kit")] = ()


class Kits(Model, frozen=True):
    """kits/kits.toml: how ONNX Runtime is compiled into kits."""

    schema: Literal[1]
    headers: Annotated[tuple[str, ...], Meta(description="Headers of ORT's tree that go into a kit, as patterns")]
    options: Annotated[dict[str, str], Meta(description="For CMake, of every kit")]
    flavours: Annotated[dict[Flavour, FlavourEntry], Meta(description="What kits can load, by name")]
    flags: Annotated[Flags, Meta(description="Of every file")]
    groups: Annotated[
        tuple[Group, ...], Meta(description="Flags of some files; every group that matches adds its own, in this order")
    ]
    effort: Annotated[
        tuple[Effort, ...], Meta(description="What the time left is told by; the first that matches counts")
    ]
    link: Annotated[Link, Meta(description="How libraries are linked")]
    targets: Annotated[
        dict[str, TargetEntry], Meta(description="Platforms that kits are compiled for, by name of a target")
    ]
    processors: Annotated[dict[str, Processor], Meta(description="By `processor` of a target")]
    zig: Annotated[ZigEntry, Meta(description="Zig as a compiler")]
    compilers: Annotated[dict[str, CompilerEntry], Meta(description="Compilers of the machine, by name")]
    tools: Annotated[tuple[Tool, ...], Meta(description="Programs from PyPI that a build runs")]

    def target(self, name: str) -> TargetEntry:
        """Return the entry of a target.

        Raises:
            UsageError: kits are not made for it.
        """
        if name not in self.targets:
            raise UsageError(f"Kits are not made for {name}.", hint=nearest(name, self.targets))
        return self.targets[name]

    def processor(self, target: str) -> Processor:
        """Return the processor of a target.

        Raises:
            UsageError: kits are not made for it.
        """
        return self.processors[self.target(target).processor]

    def effort_of(self, step: str) -> float:
        """Tell how long a step takes relative to others, by the file that it makes; 0 if no entry matches."""
        return next((entry.weight for entry in self.effort if re.search(entry.files, step)), 0.0)

    def with_baseline(self, name: str, baseline: str) -> Kits:
        """Return these settings with another oldest libc for a target.

        Raises:
            UsageError: kits are not made for it, its libc can't be chosen, or that is no version.
        """
        entry = self.target(name)
        if "{baseline}" not in entry.zig:
            raise UsageError(f"The libc of {name} is the one that zig brings, {entry.baseline}: --baseline has no say.")
        if not re.fullmatch(r"\d{1,3}\.\d{1,3}", baseline):
            raise UsageError(
                f"--baseline {baseline!r} is no version of a libc.", hint=f"For instance {entry.baseline}."
            )
        return replace(self, targets={**self.targets, name: replace(entry, baseline=baseline)})

    def without_exceptions(self, flavour: Flavour) -> WithoutExceptions:
        """Return the settings of a flavour's kit without exceptions.

        Raises:
            UsageError: the flavour needs exceptions.
        """
        found = self.flavours[flavour].without_exceptions
        if found is None:
            able = [name for name, entry in self.flavours.items() if entry.without_exceptions is not None]
            raise UsageError(
                f"The {flavour} flavour needs exceptions: ONNX Runtime leaves them out of minimal builds only.",
                hint=f"Leave --no-exceptions out, or take --flavour {' or '.join(able)}.",
            )
        return found

    def tool(self, name: str, host: str | None) -> Tool:
        """Return the pinned tool of that name for the machine that compiles.

        Args:
            name: the tool's.
            host: the target that the machine is; None if it is none.

        Raises:
            UsageError: none is pinned for that machine.
        """
        found = next((tool for tool in self.tools if (tool.name, tool.host) == (name, host)), None)
        if found is None:
            hosts = sorted({tool.host for tool in self.tools})
            here = host or "this machine"
            raise UsageError(f"No {name} is pinned for {here}; kits are compiled on {', '.join(hosts)}.")
        return found


def load(own: Path | None = None) -> Kits:
    """Load the shipped settings, with those of the user's own folder of data files added.

    Raises:
        ManifestError: a file has a mistake.
    """
    kits, path = read_merged("kits/kits.toml", Kits, own)
    smaller = [entry.without_exceptions.groups for entry in kits.flavours.values() if entry.without_exceptions]
    by_processor = [entry.groups for entry in kits.processors.values()]
    patterns = [(f"groups ({group.name})", group.files) for group in chain(kits.groups, *by_processor, *smaller)]
    patterns += [(f"effort[{index}]", entry.files) for index, entry in enumerate(kits.effort)]
    for where, pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ManifestError(f"{path}: {where}.files: {error}.") from error
    for name, entry in kits.targets.items():
        if entry.processor not in kits.processors:
            hint = nearest(entry.processor, kits.processors)
            raise ManifestError(f"{path}: targets.{name}.processor: {entry.processor!r} is unknown. {hint}")
    return kits
