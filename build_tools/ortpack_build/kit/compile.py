"""Compiling a kit: CMake and ninja in a work folder that survives a killed build, then the kit's own folder."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from ortpack_build.base.errors import BuildError, SourceError
from ortpack_build.kernels import unread_mlas
from ortpack_build.kernels.index import read_index
from ortpack_build.kit.format import Kit, KitJson, Recipe, read, seal
from ortpack_build.kit.work_tree import ORT, Tree, exclusive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ortpack_build.base.cache import Cache
    from ortpack_build.base.report import Reporter
    from ortpack_build.kit.inputs import KitInputs, Programs


def make(
    order: KitInputs, programs: Programs, *, jobs: int, cache: Cache, report: Reporter, environ: Mapping[str, str]
) -> Kit:
    """The kit, from the cache or compiled into it.

    A build that was killed or failed goes on where it was. Builders of one kit wait for each other.

    Raises:
        ToolError: CMake or a compiler failed; says which command and its errors.
        StorageError: the disk is full.
        SourceError: the kernel tables are not as expected.
    """
    key = order.key
    work, shared = cache.path("work", key), cache.root / "toolchain"

    def into(folder: Path) -> None:
        kind = order.flavour if order.exceptions else f"{order.flavour}, no exceptions"
        with report.step(f"Compiling ONNX Runtime {order.tree.ort} ({kind}) for {order.target}") as step:
            work.mkdir(parents=True, exist_ok=True)
            with exclusive(work / "running", report) as held:
                tree = Tree(order, programs, jobs=jobs, work=work, shared=shared, environ=environ, report=report)
                tree.prepare(held)
                names = tree.archives()
                tree.compile(names, step, held)
                _collect(tree, names, folder)
            step.detail(f"{sum(f.stat().st_size for f in folder.rglob('*') if f.is_file()) / 1e6:.0f} MB")
        shutil.rmtree(work, ignore_errors=True)

    found: Kit | None = None

    def whole(folder: Path) -> bool:
        nonlocal found
        try:
            found = read(folder)
        except BuildError as error:
            report.warning(f"{error} It is made anew.")
            return False
        return True

    entry = cache.get("kits", key, into, check=whole)
    return found or read(entry)


def _collect(tree: Tree, names: Sequence[str], folder: Path) -> None:
    order, line = tree.order, tree.line
    (folder / "lib").mkdir()
    archives = []
    for name in names:
        target = folder / "lib" / name.rpartition("/")[2]
        if target.exists():
            raise SourceError(f"Two static libraries are called {target.name}.")
        shutil.copyfile(tree.build / name, target)
        archives.append(target)
    refuse_paths(archives, tree.work)
    kernels = read_index(archives, order.tree.tables)
    _copy_texts(tree, folder)
    flavour = order.kits.flavours[order.flavour]
    about = KitJson(
        schema=1,
        key=order.key,
        target=order.target,
        flavour=order.flavour,
        ort_version=order.tree.ort,
        sources=order.tree.key,
        origin=order.tree.origin,
        toolchain=dict(order.toolchain.identity),
        tag=order.toolchain.tag,
        flags={group.name: group.flags for group in order.groups},
        options=order.options,
        exceptions=order.exceptions,
        model_formats=flavour.model_formats,
        tables=order.tree.tables,
        recipe=Recipe(
            archives=tuple(archive.name for archive in archives),
            roots=order.kits.link.roots,
            flags=order.kits.link.flags,
            instead=order.instead,
            discard=order.discard,
            removable=unread_mlas.find(tree.source / ORT, archives),
            libraries=line.libraries,
            library=line.library.format(ort=order.tree.ort),
        ),
        files={},
    )
    seal(folder, about, kernels)


def refuse_paths(files: Sequence[Path], work: Path) -> None:
    """That files say nothing of the folder that they were compiled in.

    Raises:
        SourceError: one does.
    """
    needle = os.fsencode(work)
    for file in files:
        if needle in file.read_bytes():
            raise SourceError(f"{file.name} holds the path of the folder that it was compiled in.")


def _copy_texts(tree: Tree, folder: Path) -> None:
    ort = tree.source / ORT
    (folder / "include").mkdir()
    for pattern in tree.order.kits.headers:
        for header in sorted(ort.glob(pattern)):
            shutil.copyfile(header, folder / "include" / header.name)
    (folder / "licenses").mkdir()
    for component in tree.order.pinned.components:
        for name in component.licenses:
            text = tree.source / component.name / name
            if not text.is_file():
                raise SourceError(f"{component.name} lacks its licence, {name}.")
            shutil.copyfile(text, folder / "licenses" / f"{component.name}-{text.name}")
