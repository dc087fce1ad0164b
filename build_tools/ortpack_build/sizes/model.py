"""Reads and writes `sizes.json`, which lies beside `runtime.json`, and the data file that names its rows."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from ortpack_build.base.data_file import Model, read, shipped_folder
from ortpack_build.base.errors import KitError, ManifestError

NAME = "sizes.json"


class Row(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A subsystem, or some operators of it, in bytes of the file."""

    subsystem: str
    operators: tuple[str, ...] = ()  # that share these bytes, `domain:Name`, ONNX's own without the domain
    code: int = 0
    data: int = 0
    unwinding: int = 0

    @property
    def size(self) -> int:
        """The bytes of all columns together."""
        return self.code + self.data + self.unwinding


class Sizes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A library's bytes; the rows add up to `size`."""

    schema: Literal[1] = 1
    library: str
    sha256: str
    size: int
    rows: tuple[Row, ...]


def dump(sizes: Sizes) -> bytes:
    """Write the file's bytes, a row a line."""
    head = msgspec.json.encode(msgspec.structs.replace(sizes, rows=()))
    rows = b",\n".join(msgspec.json.encode(row) for row in sizes.rows)
    return head.removesuffix(b"[]}") + b"[\n" + rows + b"\n]}\n"


def parse(data: bytes, where: str) -> Sizes:
    """Read the file.

    Raises:
        KitError: it is damaged, or its rows do not add up.
    """
    try:
        sizes = msgspec.json.decode(data, type=Sizes)
    except msgspec.DecodeError as error:
        raise KitError(f"{where} is damaged: {error}.") from error
    if sum(row.size for row in sizes.rows) != sizes.size:
        raise KitError(f"{where} is damaged: its rows do not add up to {sizes.size:,} bytes.")
    return sizes


# --- the data ----------------------------------------------------------------------------------------------------


class Columns(Model, frozen=True):
    """Regular expressions for names of output sections."""

    code: Annotated[str, Meta(description="Of those with code")]
    unwinding: Annotated[str, Meta(description="Of those with tables to unwind the stack by")]


class Subsystem(Model, frozen=True):
    """A row; the first whose patterns both fit takes a piece."""

    name: Annotated[str, Meta(description="What `explain` calls it")]
    objects: Annotated[str, Meta(description="Searched in `archive(member)`")] = ""
    sections: Annotated[str, Meta(description="Searched in the name of the output section")] = ""
    kernels: Annotated[bool, Meta(description="Its objects register kernels")] = False


class Subsystems(Model, frozen=True):
    """kits/subsystems.toml: where the bytes of a linked library belong, for `ortpack-build explain`."""

    schema: Literal[1]
    columns: Annotated[Columns, Meta(description="What a section's bytes are; all others are data")]
    subsystems: Annotated[tuple[Subsystem, ...], Meta(description="Every row, in the order of matching")]


@cache
def load() -> Subsystems:
    """Read the shipped data.

    Raises:
        ManifestError: it has a mistake.
    """
    path = shipped_folder() / "kits" / "subsystems.toml"
    data = read(path, Subsystems)
    patterns = [data.columns.code, data.columns.unwinding]
    patterns += [pattern for entry in data.subsystems for pattern in (entry.objects, entry.sections)]
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ManifestError(f"{path}: {pattern!r}: {error}.") from error
    return data
