"""Reads and writes the format of a kit: a folder with ONNX Runtime compiled for one target, not yet linked.

kit.json      what it is, what it was made with and of, and the SHA-256 of every other file
kernels.json  the kernels that it has
lib/          static libraries
include/      the C API
licenses/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from ortpack_build.base.archive import safe_path
from ortpack_build.base.errors import ArchiveError, KitError
from ortpack_build.base.hashing import sha256_of
from ortpack_build.kernels.index import KernelId
from ortpack_build.kernels.unread_mlas import RemovableCode
from ortpack_build.kit.settings import Flavour, Instead
from ortpack_build.origin.source.tables import Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KIT = "kit.json"
KERNELS = "kernels.json"


class Recipe(Struct, frozen=True, kw_only=True):
    """How a library is linked from the kit."""

    archives: tuple[str, ...]  # below lib/
    roots: tuple[str, ...]  # symbols to start from, and to export
    flags: tuple[str, ...]  # for the linker itself
    instead: tuple[Instead, ...]
    discard: tuple[str, ...]  # sections that LLD leaves out
    removable: tuple[RemovableCode, ...] = msgspec.field(name="spares")  # what a library may be without
    libraries: tuple[str, ...]  # of the system, as linker flags
    library: str  # file name, and SONAME, of a shared library


class KitJson(Struct, frozen=True, kw_only=True):
    """The file kit.json, which says what the kit is and what it was made of."""

    schema: Literal[1]
    key: str  # hash of all that went in
    target: str
    flavour: Flavour
    ort_version: str
    sources: str  # key of the source tree
    origin: str  # where the sources came from
    toolchain: dict[str, str]
    tag: str | None  # platform tag of wheels with what its toolchain links
    flags: dict[str, tuple[str, ...]]
    options: dict[str, str]  # of CMake
    model_formats: tuple[str, ...]
    tables: tuple[Table, ...]
    recipe: Recipe
    files: dict[str, str]  # path → SHA-256
    exceptions: bool = True  # whether errors are exceptions, or end the process


@dataclass(frozen=True, kw_only=True)
class Kit:
    """A kit's folder, checked, and what it says of itself.

    Attributes:
        path: the folder.
        about: its kit.json.
        kernels: those that its archives register.
        exchanged: names of static libraries → files that are linked in their place.
    """

    path: Path
    about: KitJson
    kernels: tuple[KernelId, ...]
    exchanged: Mapping[str, Path] = field(default_factory=dict)

    @property
    def archives(self) -> tuple[Path, ...]:
        """The static libraries, in the order of the link."""
        return tuple(self.exchanged.get(name, self.path / "lib" / name) for name in self.about.recipe.archives)


def seal(folder: Path, about: KitJson, kernels: tuple[KernelId, ...]) -> None:
    """Write kernels.json and kit.json, which lists every file of the folder by its SHA-256."""
    (folder / KERNELS).write_bytes(msgspec.json.format(msgspec.json.encode(kernels), indent=1))
    files = {name: sha256_of(folder / name) for name in _listing(folder)}
    sealed = msgspec.structs.replace(about, files=files)
    (folder / KIT).write_bytes(msgspec.json.format(msgspec.json.encode(sealed), indent=1))


def _listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def read(folder: Path) -> Kit:
    """Read a kit, and check every byte of it.

    Raises:
        KitError: it is no kit, or a file is missing, changed or more than it says.
    """
    about = _about(folder)
    _check(folder, about)
    return _kit(folder, about)


def read_checked(folder: Path) -> Kit:
    """Read a kit whose bytes need no check: `read` did that a moment ago, or it was made just now.

    Raises:
        KitError: it is no kit.
    """
    return _kit(folder, _about(folder))


def _about(folder: Path) -> KitJson:
    try:
        return msgspec.json.decode((folder / KIT).read_bytes(), type=KitJson)
    except FileNotFoundError as error:
        raise KitError(f"{folder} is no kit: it has no {KIT}.") from error
    except msgspec.DecodeError as error:
        raise KitError(f"{folder / KIT} is damaged: {error}.") from error


def _kit(folder: Path, about: KitJson) -> Kit:
    kernels = msgspec.json.decode((folder / KERNELS).read_bytes(), type=tuple[KernelId, ...])
    return Kit(path=folder, about=about, kernels=kernels)


def _check(folder: Path, about: KitJson) -> None:
    present = set(_listing(folder)) - {KIT}
    for name, expected in about.files.items():
        try:
            safe_path(name)
        except ArchiveError as error:
            raise KitError(f"{folder / KIT} names a file outside of the kit.") from error
        if name not in present:
            raise KitError(f"The kit {folder} lacks {name}.", hint=_ANEW)
        if sha256_of(folder / name) != expected:
            raise KitError(f"{name} of the kit {folder} is not what the kit was made with.", hint=_ANEW)
    if more := present - set(about.files):
        raise KitError(f"The kit {folder} has {sorted(more)[0]}, which it does not list.", hint=_ANEW)
    if about.recipe.library != safe_path(about.recipe.library).name:
        raise KitError(f"{folder / KIT} names a library outside of a folder.")


_ANEW = "Get it anew, or remove it so that it is made anew."


def expect(kit: Kit, *, target: str, flavour: str, ort: str, exceptions: bool = True) -> None:
    """Check that a kit is the one that is needed.

    Raises:
        KitError: it is for another target, flavour or release, or of the other kind as to exceptions.
    """
    about = kit.about
    for what, wanted, actual in (
        ("target", target, about.target),
        ("flavour", flavour, about.flavour),
        ("release", ort, about.ort_version),
    ):
        if wanted != actual:
            raise KitError(f"The kit is for {what} {actual}, not {wanted}.")
    if about.exceptions != exceptions:
        raise KitError(
            f"The kit was compiled with{'' if about.exceptions else 'out'} exceptions.",
            hint=f"{'Leave --no-exceptions out' if about.exceptions else 'Say --no-exceptions'}, or use another kit.",
        )
