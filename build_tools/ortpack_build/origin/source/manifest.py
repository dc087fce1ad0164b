"""Reads `variants/sources/`: what a release of ONNX Runtime is made of, and where that comes from.

`onnxruntime-<release>.toml` has what a release differs in, the folder `<release>/` the patches for it, and
`components.toml` what releases share. `load` makes one value of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import asdict

from ortpack_build.base.archive import safe_path
from ortpack_build.base.data_file import Model, Release, Sha256, data_folders, read
from ortpack_build.base.errors import ArchiveError, ManifestError, SourceError, UsageError, nearest
from ortpack_build.base.tags import version_key
from ortpack_build.origin.source import patch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Fetcher = Literal["apt-source", "apt-binary", "pip", "url", "nothing"]
_ORT = "onnxruntime"
_PURPOSE = "Purpose: "


class Component(Model, frozen=True, kw_only=True):
    """One folder of the source tree."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9_]+$", description="The folder's name")]
    option: Annotated[str | None, Meta(description="CMake variable that is given the folder")] = None
    patches: Annotated[tuple[str, ...], Meta(description="Upstream's own, paths in the onnxruntime component")] = ()
    licenses: Annotated[tuple[str, ...], Meta(description="Licence texts, paths in the folder")] = ()


class Archive(Model, frozen=True, kw_only=True, rename={"fetcher": "from"}):
    """What a component's folder is filled with."""

    component: Annotated[str, Meta(description="Whose folder; of a release's own archive it is left out")] = _ORT
    fetcher: Annotated[Fetcher, Meta(description="How it is fetched")]
    file: Annotated[str, Meta(description="The archive's file name")] = ""
    sha256: Sha256 | None = None
    unpinned: Annotated[str, Meta(description="Why there is no SHA-256: the archive is refused")] = ""
    package: Annotated[str, Meta(description="Name of the package, for pip with its version")] = ""
    url: Annotated[str, Meta(description="Where it is, with https")] = ""
    strip: Annotated[int, Meta(ge=0, description="Leading folders to drop")] = 0
    take: Annotated[dict[str, str], Meta(description="Paths to keep → paths in the folder; all of it if empty")] = (
        field(default_factory=dict)
    )
    write: Annotated[dict[str, str], Meta(description="Files to add: path in the folder → text")] = field(
        default_factory=dict
    )


class Place(Archive, frozen=True, kw_only=True):
    """A place that has a version of a component."""

    version: Annotated[str, Meta(min_length=1, description="What releases call it by, with its supplier")]
    supplier: Annotated[str, Meta(description="One of the suppliers of releases")]
    suite: Annotated[str, Meta(description="Debian suite that has it, for apt")] = ""

    @property
    def archive(self) -> Archive:
        """The archive that is fetched from there."""
        own = asdict(self)
        return Archive(**{name: own[name] for name in Archive.__struct_fields__})


class ComponentsFile(Model, frozen=True, kw_only=True):
    """sources/components.toml: what ONNX Runtime is made of besides its own sources, for all releases."""

    schema: Literal[1]
    components: Annotated[tuple[Component, ...], Meta(description="Every component but ONNX Runtime itself")]
    archives: Annotated[tuple[Place, ...], Meta(description="Every place that has one of them")]


class SupplierEntry(Model, frozen=True, kw_only=True):
    """Who gives a release and every component of it: a distribution, or upstream itself."""

    summary: Annotated[str, Meta(description="What it is, for people")]
    archive: Annotated[Archive, Meta(description="ONNX Runtime's own sources")]
    versions: Annotated[dict[str, str], Meta(description="Component → its version, both of components.toml")]
    suite: Annotated[str, Meta(description="Debian suite, for apt")] = ""


class TableFile(Model, frozen=True, kw_only=True):
    """A source file with kernel tables."""

    file: Annotated[str, Meta(description="Path in the onnxruntime component")]
    prefix: Annotated[str, Meta(pattern=r"^[a-z]+$", description="Tells its tables from those of other files")]


class ReleaseFile(Model, frozen=True, kw_only=True):
    """sources/onnxruntime-<release>.toml: what a release of ONNX Runtime differs in."""

    schema: Literal[1]
    ort: Release
    order: Annotated[tuple[str, ...], Meta(min_length=1, description="Suppliers, in the order of --sources auto")]
    proven: Annotated[bool, Meta(description="Whether this project has compiled and tested it")]
    licenses: Annotated[tuple[str, ...], Meta(description="Licence texts, paths in its tree")]
    tables: Annotated[tuple[TableFile, ...], Meta(description="Kernel tables that a kit leaves open")]
    suppliers: Annotated[dict[str, SupplierEntry], Meta(description="By name: who gives all of the components")]
    tree: Annotated[
        dict[str, Sha256], Meta(description="Folder of the onnxruntime component → digest of what is in it")
    ] = field(default_factory=dict)
    keys: Annotated[
        dict[Sha256, Sha256],
        Meta(description="Hash of what these files say → key of a tree that was made of the same before, and is kept"),
    ] = field(default_factory=dict)


class Supplier(Struct, frozen=True, kw_only=True):
    """Who gives every component of a release, resolved to archives."""

    summary: str
    archives: tuple[Archive, ...]
    suite: str = ""  # of Debian, for apt

    @property
    def unpinned(self) -> tuple[Archive, ...]:
        """The archives that may not be used, because no SHA-256 of them is known."""
        return tuple(archive for archive in self.archives if archive.fetcher != "nothing" and archive.sha256 is None)


class SourcePatch(Struct, frozen=True, kw_only=True):
    """Changes to ONNX Runtime's own sources that upstream does not have."""

    name: str
    purpose: str
    changes: tuple[patch.FilePatch, ...]


class Sources(Struct, frozen=True, kw_only=True):
    """The sources of a release, whole: its components, and from where each may come.

    Attributes:
        order: names of suppliers, in the order of --sources auto.
        proven: whether this project has compiled and tested it.
        tree: folder of the onnxruntime component → digest of what is in it.
        patches: applied to ONNX Runtime's own sources after upstream's patches of components, for every target.
        keys: hash of what a tree is made of → the key that it has instead.
    """

    ort: str
    order: tuple[str, ...]
    proven: bool
    components: tuple[Component, ...]
    tables: tuple[TableFile, ...]
    suppliers: dict[str, Supplier]
    tree: dict[str, str] = field(default_factory=dict)
    patches: tuple[SourcePatch, ...] = ()
    keys: dict[str, str] = field(default_factory=dict)


def releases(own: Path | None = None) -> tuple[str, ...]:
    """List the releases that have sources, newest first; `own` is a folder with the user's data files."""
    found = {
        path.stem.partition("-")[2] for folder in data_folders(own) for path in folder.glob(f"sources/{_ORT}-*.toml")
    }
    return tuple(sorted(found, key=version_key, reverse=True))


def default_release(own: Path | None = None) -> str:
    """Find the newest release that was compiled and tested.

    Raises:
        UsageError: there is none.
    """
    for ort in releases(own):
        if load(ort, own).proven:
            return ort
    raise UsageError("No release of ONNX Runtime has sources that were tried.")


def load(ort: str, own: Path | None = None) -> Sources:
    """Read the sources of one release; `own` is a folder with the user's data files.

    Raises:
        UsageError: none are pinned for it.
        ManifestError: a file has a mistake.
    """
    files = [folder / "sources" / f"{_ORT}-{ort}.toml" for folder in data_folders(own)]
    path = next((file for file in reversed(files) if file.is_file()), None)
    if path is None:
        raise UsageError(f"No sources are pinned for ONNX Runtime {ort}.", hint=nearest(ort, releases(own)))
    release = read(path, ReleaseFile)
    _check_release(path, release)
    components, places = _shared(own)
    names = _used(path, release, components)
    return Sources(
        ort=release.ort,
        order=release.order,
        proven=release.proven,
        components=(Component(name=_ORT, licenses=release.licenses), *(components[name] for name in names)),
        tables=release.tables,
        suppliers={
            supplier: Supplier(
                summary=entry.summary,
                archives=(entry.archive, *(_place(path, supplier, entry, name, places).archive for name in names)),
                suite=entry.suite,
            )
            for supplier, entry in release.suppliers.items()
        },
        tree=release.tree,
        patches=_patches(path.parent / release.ort),
        keys=release.keys,
    )


_Key = tuple[str, str, str]  # of a place: component, supplier, version


def _shared(own: Path | None) -> tuple[dict[str, Component], dict[_Key, Place]]:
    """Read components and the places that have them from components.toml, in its order."""
    components: dict[str, Component] = {}
    places: dict[_Key, Place] = {}
    for path in (folder / "sources" / "components.toml" for folder in data_folders(own)):
        if not path.is_file():
            continue
        data = read(path, ComponentsFile)
        _check_components(path, data, {*components, *(component.name for component in data.components)})
        components |= {component.name: component for component in data.components}
        places |= {(place.component, place.supplier, place.version): place for place in data.archives}
    return components, places


def _used(path: Path, release: ReleaseFile, components: Mapping[str, Component]) -> list[str]:
    """List the components that a release has, in the order of components.toml."""
    wanted: set[str] = set()
    for index, (supplier, entry) in enumerate(release.suppliers.items()):
        where = f"suppliers.{supplier}.versions"
        for name in entry.versions:
            if name not in components:
                raise ManifestError(f"{path}: {where}: {name!r} is unknown. {nearest(name, components)}")
        if index and (other := wanted ^ set(entry.versions)):
            raise ManifestError(
                f"{path}: {where}: {', '.join(sorted(other))}: each supplier must give the same components."
            )
        wanted = set(entry.versions)
    return [name for name in components if name in wanted]


def _place(path: Path, supplier: str, entry: SupplierEntry, name: str, places: Mapping[_Key, Place]) -> Place:
    version = entry.versions[name]
    where = f"{path}: suppliers.{supplier}.versions.{name}"
    found = places.get((name, supplier, version))
    if found is None:
        others = [other for component, place, other in places if (component, place) == (name, supplier)]
        raise ManifestError(f"{where}: components.toml has no {version!r} from {supplier}. {nearest(version, others)}")
    if found.suite != (entry.suite if found.fetcher.startswith("apt") else ""):
        raise ManifestError(f"{where}: is of suite {found.suite!r}, and the supplier's `suite` is {entry.suite!r}.")
    return found


def _patches(folder: Path) -> tuple[SourcePatch, ...]:
    """Read the patches of a release, in the order of their names."""
    found = []
    for path in sorted(folder.glob("*.patch")):
        try:
            text = path.read_text(encoding="utf-8")
            changes = patch.parse(text, where=str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ManifestError(f"{path}: can't be read: {error}.") from error
        except SourceError as error:  # which names the file
            raise ManifestError(str(error)) from error
        except ArchiveError as error:
            raise ManifestError(f"{path}: {error}") from error
        purpose = " ".join(text.partition("\n--- ")[0].split())
        if not purpose.startswith(_PURPOSE):
            raise ManifestError(f"{path}: line 1: must say what the patch is for: `{_PURPOSE}…`")
        found.append(SourcePatch(name=path.name, purpose=purpose.removeprefix(_PURPOSE), changes=changes))
    return tuple(found)


def _check_release(path: Path, release: ReleaseFile) -> None:
    def fail(where: str, problem: str) -> None:
        raise ManifestError(f"{path}: {where}: {problem}")

    if path.stem != f"{_ORT}-{release.ort}":
        fail("ort", f"{release.ort!r} is not what the file's name says.")
    for index, name in enumerate(release.order):
        if name not in release.suppliers:
            fail(f"order[{index}]", f"{name!r} is unknown. {nearest(name, release.suppliers)}")
    for name, supplier in release.suppliers.items():
        if supplier.archive.component != _ORT:
            fail(f"suppliers.{name}.archive.component", f"is {_ORT}; other components are in components.toml.")
        _check_archive(supplier.archive, f"suppliers.{name}.archive", fail)
        if supplier.archive.fetcher.startswith("apt") and not supplier.suite:
            fail(f"suppliers.{name}.suite", "is needed for packages from apt.")


def _check_components(path: Path, data: ComponentsFile, names: set[str]) -> None:
    def fail(where: str, problem: str) -> None:
        raise ManifestError(f"{path}: {where}: {problem}")

    own = [component.name for component in data.components]
    for index, name in enumerate(own):
        if name in own[:index] or name == _ORT:
            fail(
                f"components[{index}].name", f"{name} is there twice." if name != _ORT else "is described by releases."
            )
    seen: set[_Key] = set()
    for index, place in enumerate(data.archives):
        where = f"archives[{index}]"
        if place.component not in names:
            fail(f"{where}.component", f"{place.component!r} is unknown. {nearest(place.component, names)}")
        key = (place.component, place.supplier, place.version)
        if key in seen:
            fail(f"{where}.version", f"{place.component} {place.version} from {place.supplier} is there twice.")
        seen.add(key)
        _check_archive(place, f"{where} ({place.component})", fail)
        if place.fetcher.startswith("apt") != bool(place.suite):
            fail(f"{where}.suite", "is needed for packages from apt, and for no others.")


def _check_archive(archive: Archive, at: str, fail: Callable[[str, str], None]) -> None:
    if archive.fetcher == "nothing":
        return
    if not archive.file or "/" in archive.file:
        fail(at, "`file` must be the archive's file name.")
    if (archive.sha256 is None) == (not archive.unpinned):
        fail(at, "either `sha256`, or `unpinned` with the reason why there is none.")
    if archive.fetcher == "url" and not archive.url.startswith("https://"):
        fail(at, "`url` must be an https address.")
    if archive.fetcher != "url" and not archive.package:
        fail(at, "`package` is missing.")
    for name in (*archive.take, *archive.take.values(), *archive.write):
        try:
            if name != ".":
                safe_path(name)
        except ArchiveError as error:
            fail(at, str(error))
