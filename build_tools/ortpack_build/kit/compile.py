"""Compiles a kit: CMake and ninja run in a work folder that survives a killed build, then the kit's folder is made."""

from __future__ import annotations

import functools
import os
import shutil
from typing import TYPE_CHECKING

from ortpack_build.base.errors import BuildError, SourceError
from ortpack_build.kernels import unread_mlas
from ortpack_build.kernels.index import read_index
from ortpack_build.kit.format import Kit, KitJson, Recipe, read, read_checked, seal
from ortpack_build.kit.work_tree import ORT, Tree, exclusive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ortpack_build.base.context import Context
    from ortpack_build.base.report import Reporter
    from ortpack_build.kit.inputs import KitBuild


def make(build: KitBuild, context: Context) -> Kit:
    """Return the kit, from the cache or compiled into it.

    A build that was killed or failed goes on where it was. Builders of one kit wait for each other.

    Args:
        build: what is compiled, and with what.
        context: its cache has the kit, and the work folder until the kit is whole.

    Raises:
        ToolError: CMake or a compiler failed; says which command and its errors.
        StorageError: the disk is full.
        SourceError: the kernel tables are not as expected.
    """
    entry = context.cache.get(
        "kits",
        build.inputs.key,
        functools.partial(_compile, build, context),
        check=functools.partial(_is_whole, report=context.report),
    )
    return read_checked(entry)


def _is_whole(folder: Path, report: Reporter) -> bool:
    try:
        read(folder)
    except BuildError as error:
        report.warning(f"{error} It is made anew.")
        return False
    return True


def _compile(build: KitBuild, context: Context, folder: Path) -> None:
    """Compile the kit in its work folder, and put it into `folder`."""
    inputs, report = build.inputs, context.report
    work = context.cache.path("work", inputs.key)
    kind = inputs.flavour if inputs.exceptions else f"{inputs.flavour}, no exceptions"
    with report.step(f"Compiling ONNX Runtime {inputs.tree.ort} ({kind}) for {inputs.target}") as step:
        work.mkdir(parents=True, exist_ok=True)
        with exclusive(work / "running", report) as held:
            tree = Tree(build, context, work=work)
            tree.prepare(held)
            names = tree.archives()
            tree.compile(names, step, held)
            _collect(tree, names, folder)
        step.detail(f"{sum(f.stat().st_size for f in folder.rglob('*') if f.is_file()) / 1e6:.0f} MB")
    shutil.rmtree(work, ignore_errors=True)


def _collect(tree: Tree, names: Sequence[str], folder: Path) -> None:
    """Put all that a kit consists of into `folder`; `names` are its static libraries below the build folder."""
    inputs = tree.inputs
    (folder / "lib").mkdir()
    archives = []
    for name in names:
        target = folder / "lib" / name.rpartition("/")[2]
        if target.exists():
            raise SourceError(f"Two static libraries are called {target.name}.")
        shutil.copyfile(tree.build / name, target)
        archives.append(target)
    refuse_paths(archives, tree.work)
    kernels = read_index(archives, inputs.tree.tables)
    _copy_texts(tree, folder)
    about = KitJson(
        schema=1,
        key=inputs.key,
        target=inputs.target,
        flavour=inputs.flavour,
        ort_version=inputs.tree.ort,
        sources=inputs.tree.key,
        origin=inputs.tree.supplier,
        toolchain=dict(inputs.toolchain.identity),
        tag=inputs.toolchain.tag,
        flags={group.name: group.flags for group in inputs.groups},
        options=inputs.options,
        exceptions=inputs.exceptions,
        model_formats=inputs.kits.flavours[inputs.flavour].model_formats,
        tables=inputs.tree.tables,
        recipe=_recipe(tree, archives),
        files={},
    )
    seal(folder, about, kernels)


def _recipe(tree: Tree, archives: Sequence[Path]) -> Recipe:
    inputs = tree.inputs
    return Recipe(
        archives=tuple(archive.name for archive in archives),
        roots=inputs.kits.link.roots,
        flags=inputs.kits.link.flags,
        instead=inputs.instead,
        discard=inputs.discard,
        removable=unread_mlas.find(tree.source / ORT, archives),
        libraries=tree.target.libraries,
        library=tree.target.library.format(ort=inputs.tree.ort),
    )


def refuse_paths(files: Sequence[Path], work: Path) -> None:
    """Check that no file holds the path of the folder that it was compiled in.

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
    for pattern in tree.inputs.kits.headers:
        for header in sorted(ort.glob(pattern)):
            shutil.copyfile(header, folder / "include" / header.name)
    (folder / "licenses").mkdir()
    for component in tree.inputs.pinned.components:
        for name in component.licenses:
            text = tree.source / component.name / name
            if not text.is_file():
                raise SourceError(f"{component.name} lacks its licence, {name}.")
            shutil.copyfile(text, folder / "licenses" / f"{component.name}-{text.name}")
