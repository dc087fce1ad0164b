"""Reduces types: a few objects of a kit are compiled anew, with the kit's own flags, for the types that are needed.

The objects are kept in the cache, and so is the configured tree that they are compiled in: CMake runs the first time
only.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from ortpack_build.base.ar import read_archive
from ortpack_build.base.errors import KitError, SourceError
from ortpack_build.base.hashing import sha256, sha256_of
from ortpack_build.kernels import type_lists
from ortpack_build.kit.compile import refuse_paths
from ortpack_build.kit.work_tree import ORT, Tree, exclusive

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from ortpack_build.base.context import Context
    from ortpack_build.base.report import Step
    from ortpack_build.kernels.index import KernelId
    from ortpack_build.kernels.type_lists import Argument
    from ortpack_build.kit.format import Kit
    from ortpack_build.kit.inputs import KitBuild
    from ortpack_build.ops.opset import OpSet

_RECIPE = 1  # raise it when the same inputs make other objects
_NAME = "reduced.json"


class Object(Struct, frozen=True, kw_only=True):
    """A member of an archive of the kit, compiled anew."""

    archive: str
    member: int  # from 0
    file: str  # beside reduced.json
    sha256: str


class ReducedJson(Struct, frozen=True, kw_only=True):
    """The file reduced.json, which says what was compiled anew.

    Attributes:
        objects: the members of the kit's archives that were compiled.
        types: `domain;operator;input or output;types` for each argument that is left with some types only.
        seconds: how long it took.
    """

    objects: tuple[Object, ...]
    types: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Reduced:
    """Objects that were compiled anew, in a folder of the cache.

    Attributes:
        folder: where they are.
        about: which they are.
        new: whether they were compiled just now, not found in the cache.
    """

    folder: Path
    about: ReducedJson
    new: bool


@dataclass(frozen=True, kw_only=True)
class _Concerned:
    """An object of the build whose source asks for types that are restricted, and its place in the kit."""

    archive: str
    member: int
    object: str  # ninja's name of it
    arguments: frozenset[Argument]


def reduce_types(
    build: KitBuild, kit: Kit, kernels: Iterable[KernelId], ops: OpSet, context: Context, step: Step
) -> Reduced:
    """Compile the files of these kernels that honour lists of types, or take them from the cache.

    Args:
        build: what the kit was compiled of, and what compiles.
        kit: the kit.
        kernels: those of the kit's that are linked.
        ops: says which types are needed.
        context: its cache keeps the objects, and the tree that they are compiled in.
        step: shows the progress.

    Raises:
        KitError: the kit is not what `build` makes.
        ToolError: CMake or a compiler failed; says which command and its errors.
        StorageError: the disk is full.
        SourceError: the sources, or the kit, are not as expected.
    """
    if build.inputs.key != kit.about.key:
        raise KitError(
            "The kit was made of other sources, or with other flags or tools, than this ortpack-build compiles with: "
            "files of it can't be compiled anew for fewer types.",
            hint="Leave --reduce-types out, or leave --from out so that a kit is made here.",
        )
    symbols = frozenset(kernel.symbol for kernel in kernels)
    key = sha256(msgspec.json.encode([_RECIPE, build.inputs.key, type_lists.overrides(ops), sorted(symbols)]))
    had = _whole(context.cache.path("reduced", key))

    def make(folder: Path) -> None:
        started = time.monotonic()
        objects, types = _compiled(build, kit, symbols, ops, context, step, folder)
        about = ReducedJson(objects=objects, types=types, seconds=time.monotonic() - started)
        (folder / _NAME).write_bytes(msgspec.json.encode(about))

    entry = context.cache.get("reduced", key, make, check=_whole)
    about = msgspec.json.decode((entry / _NAME).read_bytes(), type=ReducedJson)
    return Reduced(folder=entry, about=about, new=not had)


def _compiled(
    build: KitBuild,
    kit: Kit,
    symbols: frozenset[str],
    ops: OpSet,
    context: Context,
    step: Step,
    folder: Path,
) -> tuple[tuple[Object, ...], tuple[str, ...]]:
    """Compile the objects that depend on the types of `ops` into `folder`; return them, and the types left to them."""
    work = context.cache.path("configured", build.inputs.key)
    work.mkdir(parents=True, exist_ok=True)
    with exclusive(work / "running", context.report) as held:
        # No launcher: the objects are kept here, and the tree must outlive one that is uninstalled.
        plain = replace(build, programs=replace(build.programs, launcher=None))
        tree = Tree(plain, context, work=work)
        tree.prepare(held)
        concerned = list(_concerned(tree, kit, symbols, ops))
        _write(tree.source / ORT / type_lists.OVERRIDES, type_lists.overrides(ops))
        # Delete them first: an object that an interrupted run left, for other types, must not look up to date to ninja.
        for one in concerned:
            (tree.build / one.object).unlink(missing_ok=True)
        if concerned:
            tree.compile([one.object for one in concerned], step, held)
        objects = tuple(_taken(one, tree, folder / f"{number}.o") for number, one in enumerate(concerned))
    arguments = frozenset[type_lists.Argument]().union(*(one.arguments for one in concerned))
    types = tuple(f"{argument};{','.join(names)}" for argument, names in type_lists.allowed(ops, arguments).items())
    return objects, types


def _concerned(tree: Tree, kit: Kit, symbols: Collection[str], ops: OpSet) -> Iterator[_Concerned]:
    """Find the objects that define one of the kernels and whose source asks for types that `ops` restricts."""
    for path, name in zip(kit.archives, tree.archives(), strict=True):
        archive = read_archive(path)
        known = archive.symbols.keys() & symbols
        members = sorted({number for symbol in known for number in archive.symbols[symbol]})
        if not members:
            continue
        objects = [file for file in tree.ninja_inputs(name) if file.endswith(".o")]
        if tuple(file.rpartition("/")[2] for file in objects) != archive.names:
            raise SourceError(f"{path.name} of the kit has other objects than ONNX Runtime's build puts into it.")
        for member in members:
            source = tree.build / tree.ninja_inputs(objects[member])[0]
            arguments = type_lists.asked(source.read_text(encoding="utf-8", errors="replace"))
            if type_lists.allowed(ops, arguments):
                yield _Concerned(archive=path.name, member=member, object=objects[member], arguments=arguments)


def _write(file: Path, lines: Iterable[str]) -> None:
    """Write the file of overrides with these lines, unless it has them: its time tells ninja what to compile."""
    text = file.read_text(encoding="utf-8")
    wanted = type_lists.inserted(text, lines)
    if text != wanted:
        file.unlink()  # others may have a hard link to it
        file.write_text(wanted, encoding="utf-8")


def _taken(one: _Concerned, tree: Tree, target: Path) -> Object:
    shutil.copyfile(tree.build / one.object, target)
    refuse_paths([target], tree.work)
    return Object(archive=one.archive, member=one.member, file=target.name, sha256=sha256_of(target))


def _whole(folder: Path) -> bool:
    try:
        about = msgspec.json.decode((folder / _NAME).read_bytes(), type=ReducedJson)
        return all(sha256_of(folder / one.file) == one.sha256 for one in about.objects)
    except (OSError, msgspec.DecodeError):
        return False


def exchanged(kit: Kit, reduced: Reduced, folder: Path) -> tuple[Kit, tuple[Path, ...]]:
    """Return the kit with these objects in place of its own, and the archives that have them, new files in `folder`.

    `ranlib` has to be run on these archives: their tables of symbols are those of the old objects.

    Raises:
        OSError: writing failed.
    """
    members: dict[str, dict[int, bytes]] = {}
    for one in reduced.about.objects:
        members.setdefault(one.archive, {})[one.member] = (reduced.folder / one.file).read_bytes()
    exchanged_: dict[str, Path] = {}
    for path in kit.archives:
        if path.name in members:
            exchanged_[path.name] = folder / path.name
            (folder / path.name).write_bytes(read_archive(path).exchanged(members[path.name]))
    return replace(kit, exchanged=exchanged_), tuple(exchanged_.values())
