"""The link itself, of whatever kind of library: tables and objects in, a file out, and nothing in it for nothing."""

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
    from ortpack_build.sizes import Piece, Sizes
    from ortpack_build.toolchain import Workplace

_TIMEOUT = 1800  # seconds; zig compiles libc++ when it is first used
_SHOWN = 30
_ABSENT = "ortpack_absent"  # stands for code that is left out; never read
_ABSENT_SIZE = 4096  # bytes: more than the largest of MLAS's tables


@dataclass(frozen=True, kw_only=True)
class Library:
    """A linked library, the kernels that it has, and what its bytes are; None if the linker did not say."""

    path: Path
    kernels: tuple[KernelId, ...]
    sizes: Sizes | None = None


def link(
    kit: Kit,
    kernels: Iterable[KernelId],
    place: Workplace,
    *,
    output: Path,
    objects: Sequence[Path] = (),
    roots: Sequence[str] = (),
    flags: Sequence[str],
) -> Library:
    """Link a kit with kernel tables and other objects.

    Args:
        kit: what to link from.
        kernels: those of the kit's that the library registers.
        place: where it is linked, with compilers of the toolchain that the kit was made with.
        output: the file to be made.
        objects: what else goes in.
        roots: symbols to start from, besides those of `objects`.
        flags: for the linker itself.

    Raises:
        ToolError: the compiler or the linker failed.
    """
    wanted = frozenset(kernels)
    chosen = tuple(kernel for kernel in kit.kernels if kernel in wanted)
    recipe = kit.about.recipe
    order = Link(
        output=output,
        objects=(_tables(kit, chosen, place), *objects),
        archives=kit.archives,
        flags=(*flags, *(word for root in roots for word in ("-u", root))),
        libraries=recipe.libraries,
    )
    work = place.folder
    linker = place.compilers.linker(work, place.environ)
    link_map = work / "link.map"
    order = replace(order, flags=(*order.flags, f"-Map={link_map}"))

    def run_linker(this: Link) -> tuple[Piece, ...]:
        run(linker(this), place.environ, "Linking")
        return read_map(link_map.read_text(encoding="utf-8", errors="replace"))

    if not place.compilers.lld:
        return _library(output, chosen, run_linker(order))
    names = [f"--defsym={instead.symbol}={_replacement(index)}" for index, instead in enumerate(recipe.instead)]
    if recipe.discard:
        order = replace(order, flags=(*order.flags, "--no-eh-frame-hdr", "-T", str(_discarding(recipe.discard, work))))
    # Without all of it first; what the result turns out to read comes back, and may need more.
    spare: Sequence[RemovableCode] = recipe.removable
    while True:
        absent = [f"--defsym={symbol}={_ABSENT}" for one in spare for symbol in one.symbols]
        pieces = run_linker(replace(order, flags=(*order.flags, *names, *absent)))
        fine = still_removable(spare, pieces)
        if len(fine) == len(spare):
            return _library(output, chosen, pieces)
        spare = fine


def _library(path: Path, kernels: tuple[KernelId, ...], pieces: Sequence[Piece]) -> Library:
    operators = {kernel.symbol: kernel.operator_name for kernel in kernels}
    return Library(path=path, kernels=kernels, sizes=measure(path, pieces, operators) if pieces else None)


def _tables(kit: Kit, chosen: Sequence[KernelId], place: Workplace) -> Path:
    """The kernel tables as an object file, and what stands for that which the library is without."""
    source, compiled = place.folder / "tables.c", place.folder / "tables.o"
    instead = [one.code.strip().replace("{name}", _replacement(i)) for i, one in enumerate(kit.about.recipe.instead)]
    parts = [tables_source(kit.about.tables, chosen), f"char {_ABSENT}[{_ABSENT_SIZE}];", *instead]
    source.write_text("\n".join(parts) + "\n", encoding="utf-8")
    flags = ["-c", "-O1", "-g0", "-fPIC", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections"]
    run([str(place.compilers.c), *flags, str(source), "-o", str(compiled)], place.environ, "Linking")
    return compiled


def _discarding(sections: Sequence[str], work: Path) -> Path:
    script = work / "discard.lds"
    names = " ".join(f"*({name} {name}.*)" for name in sections)
    script.write_text(f"SECTIONS {{ /DISCARD/ : {{ {names} }} }} INSERT AFTER .comment;\n", encoding="utf-8")
    return script


def _replacement(index: int) -> str:
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
