"""A shared library out of a kit: the kernel tables as C, compiled, and linked with what they reach."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ortpack_build.errors import ToolError
from ortpack_build.kernels.select import tables_source
from ortpack_build.sizes import measure, read_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ortpack_build.kernels.index import KernelId
    from ortpack_build.kit import Kit
    from ortpack_build.sizes import Sizes
    from ortpack_build.toolchain import Compilers

_TIMEOUT = 1800  # seconds; zig compiles libc++ when it is first used
_SHOWN = 30


@dataclass(frozen=True, kw_only=True)
class Library:
    """A linked library, the kernels that it has, and what its bytes are; None if the linker did not say."""

    path: Path
    kernels: tuple[KernelId, ...]
    sizes: Sizes | None = None


def link_shared(
    kit: Kit, kernels: Iterable[KernelId], compilers: Compilers, *, work: Path, environ: Mapping[str, str]
) -> Library:
    """Link a shared library with the given kernels.

    Args:
        kit: what to link from.
        kernels: those of the kit's that the library registers.
        compilers: of the toolchain that the kit was made with.
        work: an existing folder; the library is left in it.
        environ: of the compilers.

    Raises:
        ToolError: the compiler or the linker failed.
    """
    chosen, compiled = compile_tables(kit, kernels, compilers, work=work, environ=environ)
    recipe = kit.about.recipe
    script = work / "exports.lds"
    script.write_text(version_script(kit.about.ort_version, recipe.roots), encoding="utf-8")
    library = work / recipe.library
    command = [str(compilers.cxx), "-shared", "-o", str(library), str(compiled)]
    command += ["-Wl,--start-group", *(str(archive) for archive in kit.archives), "-Wl,--end-group"]
    command += [f"-Wl,-u,{root}" for root in recipe.roots]
    command += [*recipe.flags, f"-Wl,-soname,{recipe.library}", f"-Wl,--version-script={script}"]
    said = run([*command, *compilers.link(work, environ), *recipe.libraries, *compilers.print_map], environ, "Linking")
    return linked(library, chosen, said)


def linked(library: Path, kernels: tuple[KernelId, ...], said: str) -> Library:
    """The library, and what the map among the linker's words tells of it."""
    pieces = read_map(said)
    return Library(path=library, kernels=kernels, sizes=measure(library, pieces, kernels) if pieces else None)


def compile_tables(
    kit: Kit, kernels: Iterable[KernelId], compilers: Compilers, *, work: Path, environ: Mapping[str, str]
) -> tuple[tuple[KernelId, ...], Path]:
    """The kernel tables as an object file in `work`, and the kernels in them, in upstream's order of registration."""
    wanted = frozenset(kernels)
    chosen = tuple(kernel for kernel in kit.kernels if kernel in wanted)
    source, compiled = work / "tables.c", work / "tables.o"
    source.write_text(tables_source(kit.about.tables, chosen), encoding="utf-8")
    flags = ["-c", "-O1", "-g0", "-fPIC", "-fvisibility=hidden"]
    run([str(compilers.c), *flags, str(source), "-o", str(compiled)], environ, "Linking")
    return chosen, compiled


def version_script(ort: str, exports: Sequence[str]) -> str:
    """Which symbols are exported, with the version that the official library gives them."""
    return f"VERS_{ort} {{ global: {' '.join(f'{name};' for name in exports)} local: *; }};\n"


def run(command: Sequence[str], environ: Mapping[str, str], what: str) -> str:
    """Run a compiler or linker; its standard output.

    Raises:
        ToolError: it failed; says how `what` went wrong.
    """
    try:
        done = subprocess.run(
            command, env=dict(environ), capture_output=True, text=True, errors="replace", timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{command[0]} did not run: {error}.") from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).splitlines()
        raise ToolError(f"{what} failed:\n" + "\n".join(lines[:_SHOWN]))
    return done.stdout
