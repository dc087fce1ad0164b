"""What `variants/kits/kits.toml` says of compilers and of the pinned programs that a build runs."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ortpack_build.base.data_file import Model, Sha256, Version


class ZigEntry(Model, frozen=True):
    """The flags that zig compiles and links with, for every target."""

    flags: Annotated[tuple[str, ...], Meta(description="For compiling")] = ()
    link: Annotated[tuple[str, ...], Meta(description="For LLD itself")] = ()


class CompilerEntry(Model, frozen=True):
    """A compiler that the machine may have."""

    c: Annotated[str, Meta(description="C compiler")]
    cxx: Annotated[str, Meta(description="C++ compiler")]
    oldest: Annotated[Version, Meta(description="Oldest release that compiles ONNX Runtime")]
    link: Annotated[tuple[str, ...], Meta(description="Flags for linking")] = ()


class Tool(Model, frozen=True):
    """A program that a build runs, out of a wheel."""

    name: Annotated[str, Meta(description="What it is called")]
    host: Annotated[str, Meta(description="Machine that it runs on, a target")]
    version: Annotated[str, Meta(description="Its version")]
    file: Annotated[str, Meta(description="The wheel's file name")]
    sha256: Sha256
    program: Annotated[str, Meta(description="Path in the wheel")]
    distribution: Annotated[str, Meta(description="If it is not the name")] = ""
