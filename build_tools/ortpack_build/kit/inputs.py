"""What a kit is made of, which is hashed into its key, and the programs that make it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from ortpack_build.base.hashing import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ortpack_build.kit.settings import Flavour, Group, Instead, Kits
    from ortpack_build.origin.source import Sources, SourceTree
    from ortpack_build.toolchain import Toolchain

_RECIPE = 4  # raise it when the same inputs make another kit


@dataclass(frozen=True, kw_only=True)
class Programs:
    """The programs that a build runs besides the compilers."""

    cmake: Path
    ninja: Path
    protoc: Path
    launcher: Path | None = None


@dataclass(frozen=True, kw_only=True)
class KitInputs:
    """Everything that determines a kit's bytes, and so its cache key; the programs that run the build do not.

    Attributes:
        target: name of a target of kits.toml.
        flavour: name of a flavour of kits.toml.
        kits: the settings of kits.toml, with the baseline that was asked for.
        pinned: the sources as data: which components, from where.
        tree: the sources as a folder.
        toolchain: the compilers.
        tools: name → version of the tools that write code or build files, and so have a say in the result.
        exceptions: whether errors are exceptions, or end the process.
    """

    target: str
    flavour: Flavour
    kits: Kits
    pinned: Sources
    tree: SourceTree
    toolchain: Toolchain
    tools: Mapping[str, str]
    exceptions: bool = True

    @property
    def options(self) -> dict[str, str]:
        """The options of CMake that do not depend on the machine or the folder where the kit is made."""
        flags = " ".join((*self.kits.flags.c, *self.kits.processor(self.target).flags))
        release = " ".join(self.kits.flags.release)
        return {
            **self.kits.options,
            **self.kits.flavours[self.flavour].options,
            **({} if self.exceptions else self.kits.without_exceptions(self.flavour).options),
            "CMAKE_C_FLAGS": flags,
            "CMAKE_CXX_FLAGS": " ".join((flags, *self.kits.flags.cxx)),
            "CMAKE_C_FLAGS_RELEASE": release,
            "CMAKE_CXX_FLAGS_RELEASE": release,
        }

    @property
    def instead(self) -> tuple[Instead, ...]:
        """The functions that are exchanged for shorter ones when a library is linked from the kit."""
        more = () if self.exceptions else self.kits.without_exceptions(self.flavour).instead
        return (*self.kits.link.instead, *more)

    @property
    def discard(self) -> tuple[str, ...]:
        """The sections that are left out when a library is linked from the kit."""
        return () if self.exceptions else self.kits.without_exceptions(self.flavour).discard

    @property
    def groups(self) -> tuple[Group, ...]:
        """The source files that get flags of their own, in the order in which these are added."""
        more = () if self.exceptions else self.kits.without_exceptions(self.flavour).groups
        groups = (*self.kits.groups, *self.kits.processor(self.target).groups, *more)
        here = self.toolchain.identity["name"]
        return tuple(group for group in groups if not group.toolchains or here in group.toolchains)

    @property
    def key(self) -> str:
        """The hash of all that goes into the kit; the cache has the kit under it."""
        inputs = [
            _RECIPE,
            self.target,
            self.flavour,
            self.kits.target(self.target),
            self.groups,
            self.kits.link,
            self.kits.headers,
            self.options,
            *((self.instead, self.discard) if not self.exceptions else ()),
            self.tree.key,
            dict(self.toolchain.identity),
            dict(self.tools),
        ]
        return sha256(msgspec.json.encode(inputs, order="deterministic"))


@dataclass(frozen=True, kw_only=True)
class KitBuild:
    """A kit that can be compiled: all that goes in is fetched, and the programs are at hand.

    Attributes:
        inputs: what the kit is made of.
        programs: what makes it, besides the compilers.
        jobs: how many compilers run at once.
    """

    inputs: KitInputs
    programs: Programs
    jobs: int
