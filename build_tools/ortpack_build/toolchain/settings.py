"""What `variants/kits/kits.toml` says of compilers and of the pinned programs that a build runs."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ortpack_build.base.data_file import Model, Sha256, Version


class ZigEntry(Model, frozen=True):
    """Zig as a compiler, for every target."""

    flags: Annotated[tuple[str, ...], Meta(description="For compiling")] = ()
    link: Annotated[tuple[str, ...], Meta(description="For LLD itself")] = ()


class CompilerEntry(Model, frozen=True):
    """A compiler that the machine may have."""

    c: str
    cxx: str
    oldest: Version
    link: Annotated[tuple[str, ...], Meta(description="Flags for linking")] = ()


class Tool(Model, frozen=True):
    """A program out of a wheel."""

    name: str
    host: str
    version: str
    file: str
    sha256: Sha256
    program: Annotated[str, Meta(description="Path in the wheel")]
    distribution: Annotated[str, Meta(description="If it is not the name")] = ""
