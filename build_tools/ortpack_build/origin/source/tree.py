"""Makes source trees: fetches, unpacks and patches the components of a release, and keeps the result in the cache."""

from __future__ import annotations

import functools
import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ortpack_build.base.archive import extract_all
from ortpack_build.base.errors import ArchiveError, FetchError, HashMismatchError, SourceError, UsageError, nearest
from ortpack_build.base.hashing import sha256, sha256_of
from ortpack_build.origin import pip_wheel
from ortpack_build.origin.source import apt, deb, patch, url
from ortpack_build.origin.source.tables import Table, externalise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ortpack_build.base.context import Context
    from ortpack_build.base.report import Reporter
    from ortpack_build.origin.source.manifest import Archive, Sources, Supplier

_ORT = "onnxruntime"
_RECIPE = 2  # raise it when the same archives make another tree
_PATH = "path"


@dataclass(frozen=True, kw_only=True)
class SourceTree:
    """A release's sources, ready for CMake, their kernel tables made external.

    Attributes:
        path: one folder a component. Read only: others use the same folder.
        key: hash of all that went in.
        ort: the release.
        supplier: where it came from.
        tables: the kernel tables of the release.
    """

    path: Path
    key: str
    ort: str
    supplier: str
    tables: tuple[Table, ...]


def obtain(
    sources: Sources, context: Context, *, supplier: str = "auto", path: Path | None = None, modified: bool = False
) -> SourceTree:
    """Make the source tree of a release, or take it from the cache.

    Args:
        sources: the release.
        context: of the stages; its cache keeps archives and trees.
        supplier: one of its suppliers, or "auto" for the first that this machine reaches.
        path: an onnxruntime tree of the user's, which takes the place of the supplier's.
        modified: let `path` differ from the release.

    Raises:
        UsageError: there is no such supplier.
        FetchError: no supplier gives the archives; says why of each.
        SourceError: the tree is not what is expected of the release.
        ArchiveError: an archive is damaged or unsafe.
    """
    if path is not None:
        check_user_tree(sources, path, modified=modified)
    if supplier != "auto":
        if supplier not in sources.suppliers:
            raise UsageError(
                f"There is no supplier {supplier!r}.", hint=nearest(supplier, ("auto", *sources.suppliers))
            )
        return _from_supplier(sources, supplier, path, context)
    reasons = []
    for name in sources.order:
        try:
            tree = _from_supplier(sources, name, path, context)
        except (FetchError, ArchiveError) as error:
            reasons.append(f"{name}: {error}")
        else:
            context.report.note(f"Sources of ONNX Runtime {sources.ort} from {tree.supplier}.")
            return tree
    raise FetchError(f"No supplier gives the sources of ONNX Runtime {sources.ort}. " + " ".join(reasons))


def _from_supplier(sources: Sources, name: str, path: Path | None, context: Context) -> SourceTree:
    supplier = sources.suppliers[name]
    needed = [archive for archive in supplier.archives if path is None or archive.component != _ORT]
    if missing := [archive.file for archive in supplier.unpinned if archive in needed]:
        raise FetchError(
            f"Supplier {name} of ONNX Runtime {sources.ort} has no SHA-256 for {', '.join(missing)}, and nothing "
            "unpinned is used.",
            hint=f"Use other sources: {', '.join(o for o in sources.order if o != name) or 'none is left'}.",
        )
    user = digest(path) if path is not None else ""
    key = _key(sources, needed, user)

    def make(folder: Path) -> None:
        archives = _archives(name, supplier, needed, context)
        with context.report.step(f"Unpacking ONNX Runtime {sources.ort}") as step:
            for index, archive in enumerate(needed):
                step.advance(index, len(needed))
                _unpack(archive, archives.get(archive.component), folder / "tree" / archive.component, folder)
            if path is not None:
                shutil.copytree(path, folder / "tree" / _ORT, symlinks=True, ignore=shutil.ignore_patterns(".git"))
            check_version(sources, folder / "tree" / _ORT)
            _patch(sources, folder / "tree")
            tables = _externalise(sources, folder / "tree" / _ORT)
            (folder / "tables.json").write_bytes(msgspec.json.encode(tables))

    entry = context.cache.get("sources", key, make)
    return SourceTree(
        path=entry / "tree",
        key=key,
        ort=sources.ort,
        supplier=name if path is None else f"{_PATH} (the rest from {name})",
        tables=msgspec.json.decode((entry / "tables.json").read_bytes(), type=tuple[Table, ...]),
    )


def _key(sources: Sources, needed: Sequence[Archive], user: str) -> str:
    """Hash all that goes into a tree; a tree that was made before its data were written otherwise keeps the key it had.

    Kits are found by it, and compiling one takes half an hour.
    """
    changes = [patch.changes for patch in sources.patches]
    inputs = [_RECIPE, sources.ort, sources.components, needed, sources.tables, changes, user]
    key = sha256(msgspec.json.encode(inputs, order="deterministic"))
    return sources.keys.get(key, key)


def _archives(name: str, supplier: Supplier, needed: Sequence[Archive], context: Context) -> dict[str, Path]:
    """Fetch the archives, each checked against its SHA-256; returns them by component."""
    found: dict[str, Path] = {}
    for archive in needed:
        if archive.fetcher == "pip":
            found[archive.component] = pip_wheel.fetch(_pin(archive), context)
        elif archive.fetcher == "url":
            found[archive.component] = _kept(
                archive, context, functools.partial(_download, archive, report=context.report)
            )
    packages = [archive for archive in needed if archive.fetcher.startswith("apt")]
    if packages:
        found |= _packages(name, supplier, packages, context)
    return found


def _pin(archive: Archive) -> pip_wheel.Pin:
    distribution, _, version = archive.package.partition("==")
    return pip_wheel.Pin(distribution=distribution, version=version, file=archive.file, sha256=archive.sha256 or "")


def _download(archive: Archive, file: Path, *, report: Reporter) -> None:
    with report.step(f"Fetching {archive.file}") as step:
        url.download(archive.url, file, step)
        step.detail(f"{file.stat().st_size / 1e6:.1f} MB")


def _packages(name: str, supplier: Supplier, packages: Sequence[Archive], context: Context) -> dict[str, Path]:
    """Fetch archives with apt: those that the cache lacks in one go."""
    missing = [archive for archive in packages if not _intact(context.cache.path("artifacts", _hash(archive)), archive)]
    with tempfile.TemporaryDirectory(prefix="ortpack-apt-") as temporary:
        complaints = ""
        into = Path(temporary) / "files"
        into.mkdir()
        if missing:
            with context.report.step(f"Fetching {len(missing)} packages of Debian {supplier.suite} with apt"):
                complaints = apt.download(
                    apt.Wanted(
                        sources=tuple(a.package for a in missing if a.fetcher == "apt-source"),
                        binaries=tuple(a.package for a in missing if a.fetcher == "apt-binary"),
                    ),
                    suite=supplier.suite,
                    work=Path(temporary),
                    into=into,
                )

        def take(archive: Archive, file: Path) -> None:
            source = into / archive.file
            if not source.is_file():
                others = ", ".join(sorted(path.name for path in into.glob(f"{archive.package}*"))) or "nothing"
                raise FetchError(
                    f"apt did not give {archive.file} of {archive.package} (it gave {others}). {complaints}".strip(),
                    hint=f"The mirror does not have the pinned file. Use other sources than {name}, or --tree DIR.",
                )
            shutil.copyfile(source, file)

        return {archive.component: _kept(archive, context, functools.partial(take, archive)) for archive in packages}


def _kept(archive: Archive, context: Context, get: Callable[[Path], None]) -> Path:
    """Find an archive's file in the cache; if it isn't there, get it by `get(file)` and check it."""

    def make(folder: Path) -> None:
        get(folder / archive.file)
        if (actual := sha256_of(folder / archive.file)) != archive.sha256:
            raise HashMismatchError(
                f"{archive.file} has SHA-256 {actual}, but {archive.sha256} is pinned.",
                hint="Nothing of it was kept. Either the mirror is not to be trusted, or the pin is wrong.",
            )

    def check(folder: Path) -> bool:
        good = _intact(folder, archive)
        if not good:
            context.report.warning(f"The cached {archive.file} is damaged; it is fetched anew.")
        return good

    return context.cache.get("artifacts", _hash(archive), make, check=check) / archive.file


def _hash(archive: Archive) -> str:
    if archive.sha256 is None:  # _from_supplier let no such archive through
        raise AssertionError(archive.file)
    return archive.sha256


def _intact(folder: Path, archive: Archive) -> bool:
    file = folder / archive.file
    return file.is_file() and sha256_of(file) == archive.sha256


def _unpack(archive: Archive, file: Path | None, folder: Path, work: Path) -> None:
    if file is not None and not archive.take:
        folder.mkdir(parents=True)
        extract_all(file, folder, strip=archive.strip)
    elif file is not None:
        whole = work / "whole"
        whole.mkdir()
        if file.suffix == ".deb":
            deb.extract(file, whole, work=work)
        else:
            extract_all(file, whole, strip=archive.strip)
        for source, target in archive.take.items():
            if not (whole / source).exists():
                raise ArchiveError(f"{file.name} lacks {source}.")
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            (whole / source).rename(folder / target)
        shutil.rmtree(whole)
    for name, text in archive.write.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _patch(sources: Sources, tree: Path) -> None:
    """Apply upstream's patches of components, and then those of this project to ONNX Runtime itself."""
    for component in sources.components:
        for name in component.patches:
            file = tree / _ORT / name
            if not file.is_file():
                raise SourceError(f"The onnxruntime tree lacks {name}.", hint="Is it complete?")
            patch.apply(file.read_text(encoding="utf-8"), tree / component.name, where=name)
    for own in sources.patches:
        try:
            patch.apply_changes(own.changes, tree / _ORT, where=own.name)
        except SourceError as error:
            raise SourceError(str(error), hint=f"{own.name} is there because: {own.purpose}") from error


def _externalise(sources: Sources, tree: Path) -> tuple[Table, ...]:
    tables: list[Table] = []
    for entry in sources.tables:
        file = tree / entry.file
        if not file.is_file():
            raise SourceError(f"The onnxruntime tree lacks {entry.file}.", hint="Is it complete?")
        text, found = externalise(file.read_text(encoding="utf-8"), prefix=entry.prefix, where=entry.file)
        file.write_text(text, encoding="utf-8")
        tables += found
    return tuple(tables)


def check_version(sources: Sources, tree: Path) -> None:
    """Check that an onnxruntime tree says that it is the release.

    Raises:
        SourceError: it is another one, or no such tree.
    """
    file = tree / "VERSION_NUMBER"
    if not file.is_file():
        raise SourceError(f"{tree} is no tree of ONNX Runtime: it has no VERSION_NUMBER.")
    if (version := file.read_text(encoding="utf-8", errors="replace").strip()) != sources.ort:
        raise SourceError(f"{tree} is ONNX Runtime {version}, not {sources.ort}.", hint="Name its release with --ort.")


def check_user_tree(sources: Sources, tree: Path, *, modified: bool) -> None:
    """Check that a tree of the user's is the release, unchanged unless `modified`.

    Raises:
        SourceError: it is another release, lacks a folder, or differs.
    """
    check_version(sources, tree)
    if missing := [name for name in sources.tree if not (tree / name).is_dir()]:
        raise SourceError(f"{tree} is incomplete: it has no {', '.join(missing)}.")
    changed = [name for name, expected in sources.tree.items() if digest(tree / name) != expected]
    if changed and not modified:
        raise SourceError(
            f"{tree} is not ONNX Runtime {sources.ort} as released: {', '.join(changed)} differ.",
            hint="Pass --modified if that is what you want; kits of it are kept apart.",
        )


def digest(folder: Path) -> str:
    """Hash a folder: SHA-256 over the sorted lines "<sha256>  <path>" of its files; a link counts as its target."""
    total = hashlib.sha256()
    files = sorted(
        (path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if ".git" not in path.parts
    )
    for name, path in files:
        if path.is_symlink():
            total.update(f"{sha256(path.readlink().as_posix().encode())}  {name}\n".encode())
        elif path.is_file():
            total.update(f"{sha256_of(path)}  {name}\n".encode())
    return total.hexdigest()
