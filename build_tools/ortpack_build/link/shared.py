"""A shared library out of a kit, as the official one is: the same file name, SONAME and exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortpack_build.link.linker import Library, link

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ortpack_build.kernels.index import KernelId
    from ortpack_build.kit import Kit
    from ortpack_build.toolchain import Compilers


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
    recipe = kit.about.recipe
    script, library = work / "exports.lds", work / recipe.library
    script.write_text(version_script(kit.about.ort_version, recipe.roots), encoding="utf-8")
    return link(
        kit,
        kernels,
        compilers,
        output=library,
        roots=recipe.roots,
        flags=(*recipe.flags, "-soname", recipe.library, "--version-script", str(script)),
        work=work,
        environ=environ,
    )


def version_script(ort: str, exports: Sequence[str]) -> str:
    """Which symbols are exported, with the version that the official library gives them."""
    return f"VERS_{ort} {{ global: {' '.join(f'{name};' for name in exports)} local: *; }};\n"
