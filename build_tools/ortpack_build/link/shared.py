"""A shared library out of a kit: the kernel tables as C, compiled, and linked with what they reach."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ortpack_build.errors import ToolError
from ortpack_build.kernels.select import tables_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ortpack_build.kernels.index import KernelId
    from ortpack_build.kit import Kit
    from ortpack_build.toolchain import Compilers

_TIMEOUT = 1800  # seconds; zig compiles libc++ when it is first used
_SHOWN = 30


@dataclass(frozen=True, kw_only=True)
class Library:
    """A linked library and the kernels that it has."""

    path: Path
    kernels: tuple[KernelId, ...]


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
    wanted = frozenset(kernels)
    chosen = tuple(kernel for kernel in kit.kernels if kernel in wanted)  # registered in upstream's order
    recipe = kit.about.recipe
    source, script = work / "tables.c", work / "exports.lds"
    source.write_text(tables_source(kit.about.tables, chosen), encoding="utf-8")
    script.write_text(version_script(kit.about.ort_version, recipe.roots), encoding="utf-8")
    library, compiled = work / recipe.library, work / "tables.o"
    _run(
        [str(compilers.c), "-c", "-O1", "-g0", "-fPIC", "-fvisibility=hidden", str(source), "-o", str(compiled)],
        environ,
    )
    command = [str(compilers.cxx), "-shared", "-o", str(library), str(compiled)]
    command += ["-Wl,--start-group", *(str(archive) for archive in kit.archives), "-Wl,--end-group"]
    command += [f"-Wl,-u,{root}" for root in recipe.roots]
    command += [*recipe.flags, f"-Wl,-soname,{recipe.library}", f"-Wl,--version-script={script}"]
    _run([*command, *compilers.link(work, environ), *recipe.libraries], environ)
    return Library(path=library, kernels=chosen)


def version_script(ort: str, exports: Sequence[str]) -> str:
    """Which symbols are exported, with the version that the official library gives them."""
    return f"VERS_{ort} {{ global: {' '.join(f'{name};' for name in exports)} local: *; }};\n"


def _run(command: Sequence[str], environ: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command, env=dict(environ), capture_output=True, text=True, errors="replace", timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{command[0]} did not run: {error}.") from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).splitlines()
        raise ToolError("Linking failed:\n" + "\n".join(lines[:_SHOWN]))
