"""`variants/sources/*.toml`: what an ORT release is made of and where that comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, field

from ortpack_build.base.archive import safe_path
from ortpack_build.base.data_file import Model, Release, Sha256, read, shipped_folder
from ortpack_build.base.errors import ArchiveError, ManifestError, UsageError, nearest
from ortpack_build.base.tags import version_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Fetcher = Literal["apt-source", "apt-binary", "pip", "url", "nothing"]
_ORT = "onnxruntime"


class Component(Model, frozen=True):
    """One folder of the source tree."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9_]+$")]
    option: Annotated[str | None, Meta(description="CMake variable that is given the folder")] = None
    patches: Annotated[tuple[str, ...], Meta(description="Paths in the onnxruntime component")] = ()
    licenses: Annotated[tuple[str, ...], Meta(description="Licence texts, paths in the folder")] = ()


class Archive(Model, frozen=True, rename={"origin": "from"}):
    """What a component's folder is filled with."""

    component: str
    origin: Annotated[Fetcher, Meta(description="How it is fetched")]
    file: str = ""
    sha256: Sha256 | None = None
    unpinned: Annotated[str, Meta(description="Why there is no SHA-256: the archive is refused")] = ""
    package: Annotated[str, Meta(description="Name of the package, for pip with its version")] = ""
    url: str = ""
    strip: Annotated[int, Meta(ge=0, description="Leading folders to drop")] = 0
    take: Annotated[dict[str, str], Meta(description="Paths to keep → paths in the folder; all of it if empty")] = (
        field(default_factory=dict)
    )
    write: Annotated[dict[str, str], Meta(description="Files to add: path in the folder → text")] = field(
        default_factory=dict
    )


class Origin(Model, frozen=True):
    """One place to get every component from."""

    summary: str
    archives: tuple[Archive, ...]
    suite: Annotated[str, Meta(description="Debian suite, for apt")] = ""

    @property
    def unpinned(self) -> tuple[Archive, ...]:
        """Archives that may not be used."""
        return tuple(archive for archive in self.archives if archive.origin != "nothing" and archive.sha256 is None)


class Edit(Model, frozen=True):
    """A change to a source file that upstream does not have."""

    component: str
    file: Annotated[str, Meta(description="Path in the component")]
    old: Annotated[str, Meta(min_length=1, description="Must be there once")]
    new: str
    reason: Annotated[str, Meta(min_length=1)]


class TableFile(Model, frozen=True):
    """A source file with kernel tables."""

    file: str
    prefix: Annotated[str, Meta(pattern=r"^[a-z]+$", description="Tells its tables from those of other files")]


class Sources(Model, frozen=True):
    """onnxruntime-<release>.toml"""

    schema: Literal[1]
    ort: Release
    order: Annotated[tuple[str, ...], Meta(min_length=1, description="Origins, in the order of --origin auto")]
    proven: Annotated[bool, Meta(description="Whether this project has compiled and tested it")]
    components: tuple[Component, ...]
    tables: tuple[TableFile, ...]
    origins: dict[str, Origin]
    tree: Annotated[
        dict[str, Sha256], Meta(description="Folder of the onnxruntime component → digest of what is in it")
    ] = field(default_factory=dict)
    edits: Annotated[tuple[Edit, ...], Meta(description="After the patches, for every target")] = ()


def releases(folder: Path | None = None) -> tuple[str, ...]:
    """Every release that has sources, newest first."""
    found = (folder or shipped_folder() / "sources").glob("onnxruntime-*.toml")
    return tuple(sorted((path.stem.partition("-")[2] for path in found), key=version_key, reverse=True))


def default_release(folder: Path | None = None) -> str:
    """The newest release that was compiled and tested.

    Raises:
        UsageError: there is none.
    """
    for ort in releases(folder):
        if load(ort, folder).proven:
            return ort
    raise UsageError("No release of ONNX Runtime has sources that were tried.")


def load(ort: str, folder: Path | None = None) -> Sources:
    """The sources of one release.

    Raises:
        UsageError: none are pinned for it.
        ManifestError: the file has a mistake.
    """
    path = (folder or shipped_folder() / "sources") / f"onnxruntime-{ort}.toml"
    if not path.is_file():
        raise UsageError(f"No sources are pinned for ONNX Runtime {ort}.", hint=nearest(ort, releases(folder)))
    sources = read(path, Sources)
    _check(path, sources)
    return sources


def _check(path: Path, sources: Sources) -> None:
    def fail(where: str, problem: str) -> None:
        raise ManifestError(f"{path}: {where}: {problem}")

    if path.stem != f"{_ORT}-{sources.ort}":
        fail("ort", f"{sources.ort!r} is not what the file's name says.")
    names = [component.name for component in sources.components]
    if len(set(names)) != len(names) or _ORT not in names:
        fail("components", f"each must be there once, {_ORT} among them.")
    for index, edit in enumerate(sources.edits):
        if edit.component not in names:
            fail(f"edits[{index}].component", f"{edit.component!r} is unknown. {nearest(edit.component, names)}")
    for name in sources.order:
        if name not in sources.origins:
            fail("order", f"{name!r} is unknown. {nearest(name, sources.origins)}")
    for origin_name, origin in sources.origins.items():
        where = f"origins.{origin_name}"
        if sorted(archive.component for archive in origin.archives) != sorted(names):
            fail(f"{where}.archives", f"must give each component once: {', '.join(names)}.")
        for archive in origin.archives:
            at = f"{where}.archives ({archive.component})"
            _check_archive(archive, at, fail)
            if archive.origin.startswith("apt") and not origin.suite:
                fail(f"{where}.suite", "is needed for packages from apt.")


def _check_archive(archive: Archive, at: str, fail: Callable[[str, str], None]) -> None:
    if archive.origin == "nothing":
        return
    if not archive.file or "/" in archive.file:
        fail(at, "`file` must be the archive's file name.")
    if (archive.sha256 is None) == (not archive.unpinned):
        fail(at, "either `sha256`, or `unpinned` with the reason why there is none.")
    if archive.origin == "url" and not archive.url.startswith("https://"):
        fail(at, "`url` must be an https address.")
    if archive.origin != "url" and not archive.package:
        fail(at, "`package` is missing.")
    for name in (*archive.take, *archive.take.values(), *archive.write):
        try:
            if name != ".":
                safe_path(name)
        except ArchiveError as error:
            fail(at, str(error))
