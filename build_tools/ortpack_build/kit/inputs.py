"""What a kit is made of, and the programs that make it."""

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
    """What a build runs besides the compilers."""

    cmake: Path
    ninja: Path
    protoc: Path
    launcher: Path | None = None


@dataclass(frozen=True, kw_only=True)
class KitInputs:
    """A kit to be made. What it is decides its key; the programs in `how` don't.

    Attributes:
        target: name of a target of kits.toml.
        flavour: name of a flavour of kits.toml.
        kits: kits.toml.
        pinned, tree: the sources, as data and as folder.
        toolchain: the compilers.
        tools: name and version of the tools that have a say in the result.
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
        """CMake's options that are the same wherever the kit is made."""
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
        """Functions that a library of the kit has shorter ones for."""
        more = () if self.exceptions else self.kits.without_exceptions(self.flavour).instead
        return (*self.kits.link.instead, *more)

    @property
    def discard(self) -> tuple[str, ...]:
        """Sections that a library of the kit is without."""
        return () if self.exceptions else self.kits.without_exceptions(self.flavour).discard

    @property
    def groups(self) -> tuple[Group, ...]:
        """Files of ORT's own that get more flags, in the order in which they are added."""
        more = () if self.exceptions else self.kits.without_exceptions(self.flavour).groups
        groups = (*self.kits.groups, *self.kits.processor(self.target).groups, *more)
        here = self.toolchain.identity["name"]
        return tuple(group for group in groups if not group.toolchains or here in group.toolchains)

    @property
    def key(self) -> str:
        """Hash of all that goes into the kit."""
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
