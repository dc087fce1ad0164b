"""Links extension modules: ONNX Runtime from a kit and the loader's binding, its Python API, in one file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ortpack_build.base.hashing import sha256, sha256_of
from ortpack_build.link.binding import MODULE_FILE, BindingJob, module_flags, object_name
from ortpack_build.link.linker import Library, link

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ortpack_build.base.cache import Cache
    from ortpack_build.kernels.index import KernelId
    from ortpack_build.kit import Kit
    from ortpack_build.link.binding_sources import Binding
    from ortpack_build.toolchain import Workplace


def link_static(
    kit: Kit, kernels: Iterable[KernelId], place: Workplace, binding: Binding, *, package: str, cache: Cache
) -> Library:
    """Compile the binding, or take it from the cache, and link it with the given kernels.

    Args:
        kit: what to link from.
        kernels: those of the kit's that the module registers.
        place: where it is linked, and left, with compilers of the toolchain that the kit was made with.
        binding: its sources and what they include, in the folder of `place`.
        package: dotted name of the Python package that the module is for.
        cache: where the compiled binding is kept.

    Raises:
        ToolError: the compiler or the linker failed.
    """
    job = BindingJob(
        binding=binding,
        package=package,
        flags=kit.about.options["CMAKE_CXX_FLAGS"].split(),  # the same protections as everything in the kit
        ort=kit.path / "include",
        linked=True,
    )

    def make(folder: Path) -> None:
        job.compile(place, folder)

    entry = cache.get("binding-objects", _key(kit, job, place.folder), make)
    return link(
        kit,
        kernels,
        place,
        output=place.folder / MODULE_FILE,
        objects=[entry / object_name(source) for source in binding.sources],
        flags=module_flags(kit.about.recipe.flags, place.folder),
    )


def _key(kit: Kit, job: BindingJob, work: Path) -> str:
    """Hash everything that the binding is compiled with: headers by their files, or by the pin that they are of."""
    binding = job.binding
    ours = sorted({source.parent for source in binding.sources if source not in binding.nanobind})
    files = {f"{file.name} {sha256_of(file)}" for folder in ours for file in folder.iterdir() if file.is_file()}
    headers = {name: digest for name, digest in kit.about.files.items() if name.startswith("include/")}
    plain = [word.replace(str(work), "").replace(str(kit.path), "") for word in job.arguments]
    stated = [
        kit.about.toolchain,
        plain,
        sorted(files),
        headers,
        dict(binding.stated),
        binding.identity,
        sorted(binding.fast),
    ]
    return sha256(json.dumps(stated, sort_keys=True).encode())
