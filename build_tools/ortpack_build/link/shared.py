"""Links a shared library like the official one: with the same file name, SONAME and exports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortpack_build.link.linker import Library, link

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ortpack_build.kernels.index import KernelId
    from ortpack_build.kit import Kit
    from ortpack_build.toolchain import Workplace


def link_shared(kit: Kit, kernels: Iterable[KernelId], place: Workplace) -> Library:
    """Link a shared library with the given kernels.

    Args:
        kit: what to link from.
        kernels: those of the kit's that the library registers.
        place: where it is linked, and left, with compilers of the toolchain that the kit was made with.

    Raises:
        ToolError: the compiler or the linker failed.
    """
    recipe = kit.about.recipe
    script, library = place.folder / "exports.lds", place.folder / recipe.library
    script.write_text(version_script(kit.about.ort_version, recipe.roots), encoding="utf-8")
    return link(
        kit,
        kernels,
        place,
        output=library,
        roots=recipe.roots,
        flags=(*recipe.flags, "-soname", recipe.library, "--version-script", str(script)),
    )


def version_script(ort: str, exports: Sequence[str]) -> str:
    """Write the linker script that exports these symbols, with the version that the official library gives them."""
    return f"VERS_{ort} {{ global: {' '.join(f'{name};' for name in exports)} local: *; }};\n"
