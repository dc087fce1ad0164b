"""Runs the linker for libraries of every kind: kernel tables, objects and a kit go in, one file comes out.

Code that nothing in the library reads is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ortpack_build.base import process
from ortpack_build.base.errors import ToolError
from ortpack_build.kernels.select import tables_source
from ortpack_build.kernels.unread_mlas import still_removable
from ortpack_build.sizes import measure, read_map
from ortpack_build.toolchain import Link

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ortpack_build.kernels.index import KernelId
    from ortpack_build.kernels.unread_mlas import RemovableCode
    from ortpack_build.kit import Kit
    from ortpack_build.kit.format import Recipe
    from ortpack_build.sizes import Piece, Sizes
    from ortpack_build.toolchain import Workplace
    from ortpack_build.toolchain.base import Linker

_TIMEOUT = 1800  # seconds; zig compiles libc++ when it is first used
_SHOWN = 30  # lines of what a program said that failed
_ABSENT = "ortpack_absent"  # stands for code that is left out; never read
_ABSENT_SIZE = 4096  # bytes: more than the largest of MLAS's tables


@dataclass(frozen=True, kw_only=True)
class Library:
    """A linked library.

    Attributes:
        path: the file.
        kernels: those that it registers.
        sizes: what its bytes are; None if the linker did not say.
    """

    path: Path
    kernels: tuple[KernelId, ...]
    sizes: Sizes | None = None


def link(
    kit: Kit,
    kernels: Iterable[KernelId],
    place: Workplace,
    *,
    output: Path,
    flags: Sequence[str],
    objects: Sequence[Path] = (),
    roots: Sequence[str] = (),
) -> Library:
    """Link a kit with kernel tables and other objects.

    Args:
        kit: what to link from.
        kernels: those of the kit's that the library registers.
        place: where it is linked, with compilers of the toolchain that the kit was made with.
        output: the file to be made.
        flags: for the linker itself.
        objects: what else goes in.
        roots: symbols to start from, besides those of `objects`.

    Raises:
        ToolError: the compiler or the linker failed.
    """
    named = frozenset(kernels)
    chosen = tuple(kernel for kernel in kit.kernels if kernel in named)
    recipe = kit.about.recipe
    wanted = Link(
        output=output,
        objects=(_tables(kit, chosen, place), *objects),
        archives=kit.archives,
        flags=(*flags, *(word for root in roots for word in ("-u", root))),
        libraries=recipe.libraries,
    )
    pieces = _linked(wanted, recipe, place)
    operators = {kernel.symbol: kernel.operator_name for kernel in chosen}
    return Library(path=output, kernels=chosen, sizes=measure(output, pieces, operators) if pieces else None)


def _linked(wanted: Link, recipe: Recipe, place: Workplace) -> tuple[Piece, ...]:
    """Link the library; return what it is made of, or nothing if the linker writes no map that is known.

    Only LLD can be told to leave removable code out: first link without every removable symbol; put back those whose
    readers the link map shows; repeat until none is missing, for what is put back may read more.
    """
    linker = place.compilers.linker(place.folder, place.environ)
    if not place.compilers.lld:
        return _linked_once(wanted, linker, place)
    flags = list(wanted.flags)
    if recipe.discard:
        flags += ["--no-eh-frame-hdr", "-T", str(_discarding(recipe.discard, place.folder))]
    flags += [f"--defsym={one.symbol}={_replacement(index)}" for index, one in enumerate(recipe.instead)]
    left_out: Sequence[RemovableCode] = recipe.removable
    while True:
        absent = [f"--defsym={symbol}={_ABSENT}" for one in left_out for symbol in one.symbols]
        pieces = _linked_once(replace(wanted, flags=(*flags, *absent)), linker, place)
        unread = still_removable(left_out, pieces)
        if len(unread) == len(left_out):
            return pieces
        left_out = unread


def _linked_once(wanted: Link, linker: Linker, place: Workplace) -> tuple[Piece, ...]:
    link_map = place.folder / "link.map"
    run(linker(replace(wanted, flags=(*wanted.flags, f"-Map={link_map}"))), place.environ, "Linking")
    return read_map(link_map.read_text(encoding="utf-8", errors="replace"))


def _tables(kit: Kit, chosen: Sequence[KernelId], place: Workplace) -> Path:
    """Compile the kernel tables, and what stands for the code that the library is without."""
    source, compiled = place.folder / "tables.c", place.folder / "tables.o"
    instead = [one.code.strip().replace("{name}", _replacement(i)) for i, one in enumerate(kit.about.recipe.instead)]
    parts = [tables_source(kit.about.tables, chosen), f"char {_ABSENT}[{_ABSENT_SIZE}];", *instead]
    source.write_text("\n".join(parts) + "\n", encoding="utf-8")
    flags = ["-c", "-O1", "-g0", "-fPIC", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections"]
    run([str(place.compilers.c), *flags, str(source), "-o", str(compiled)], place.environ, "Linking")
    return compiled


def _discarding(sections: Sequence[str], folder: Path) -> Path:
    """Write the linker script that drops these sections."""
    script = folder / "discard.lds"
    names = " ".join(f"*({name} {name}.*)" for name in sections)
    script.write_text(f"SECTIONS {{ /DISCARD/ : {{ {names} }} }} INSERT AFTER .comment;\n", encoding="utf-8")
    return script


def _replacement(index: int) -> str:
    """Name the function that takes the place of one of the recipe's."""
    return f"ortpack_instead_{index}"


def run(command: Sequence[str], environ: Mapping[str, str], what: str) -> None:
    """Run a compiler or linker.

    Raises:
        ToolError: it failed; says how `what` went wrong.
    """
    done = process.run(command, environ=environ, timeout=_TIMEOUT)
    if done.code != 0:
        lines = (done.errors or done.output).splitlines()
        raise ToolError(f"{what} failed:\n" + "\n".join(lines[:_SHOWN]))
