"""An extension module out of a kit and the loader's binding: ONNX Runtime and its Python API in one file."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ortpack_build.base.hashing import sha256, sha256_of
from ortpack_build.link.linker import Library, link, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ortpack_build.base.cache import Cache
    from ortpack_build.kernels.index import KernelId
    from ortpack_build.kit import Kit
    from ortpack_build.link.binding_sources import Binding
    from ortpack_build.toolchain import Compilers

MODULE = "_binding"
MODULE_FILE = f"{MODULE}.abi3.so"


def link_static(
    kit: Kit,
    kernels: Iterable[KernelId],
    compilers: Compilers,
    binding: Binding,
    *,
    package: str,
    jobs: int,
    cache: Cache,
    work: Path,
    environ: Mapping[str, str],
) -> Library:
    """Compile the binding, or take it from the cache, and link it with the given kernels.

    Args:
        kit: what to link from.
        kernels: those of the kit's that the module registers.
        compilers: of the toolchain that the kit was made with.
        binding: its sources and what they include, below `work`.
        package: dotted name of the Python package that the module is for.
        jobs: how many compilers run at once.
        cache: where the compiled binding is kept.
        work: an existing folder; the module is left in it.
        environ: of the compilers.

    Raises:
        ToolError: the compiler or the linker failed.
    """
    # The same protections as everything in the kit.
    flags = [*kit.about.options["CMAKE_CXX_FLAGS"].split(), *binding.flags]
    flags += ["-DORTPACK_STATIC_ORT=1", f'-DORTPACK_PACKAGE="{package}"', f"-DNB_DOMAIN={package}"]
    flags += [f"-D{name}" for name in binding.define]
    flags += [word for folder in (*binding.include, kit.path / "include") for word in ("-isystem", str(folder))]

    def compile_one(source: Path, folder: Path) -> None:
        target = folder / f"{source.stem}.o"
        level = "-O2" if source.name in binding.fast else "-Os"
        own = ["-DNB_BUILD"] if source in binding.nanobind else []
        command = [str(compilers.cxx), "-c", level, *flags, *own, str(source), "-o", str(target)]
        run(command, environ, f"Compiling {source.name}")

    def make(folder: Path) -> None:
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(lambda source: compile_one(source, folder), binding.sources))

    entry = cache.get("binding-objects", _key(kit, binding, flags, work), make)
    objects = [entry / f"{source.stem}.o" for source in binding.sources]
    script, module = work / "exports.lds", work / MODULE_FILE
    script.write_text(f"{{ global: PyInit_{MODULE}; local: *; }};\n", encoding="utf-8")
    return link(
        kit,
        kernels,
        compilers,
        output=module,
        objects=objects,
        # Python's own functions come from the interpreter that loads the module.
        flags=(*(flag for flag in kit.about.recipe.flags if flag != "--no-undefined"), "--version-script", str(script)),
        work=work,
        environ=environ,
    )


def _key(kit: Kit, binding: Binding, flags: Sequence[str], work: Path) -> str:
    """The hash of all that the binding is compiled with; folders of headers are told by what is in them, or pinned."""
    ours = sorted({source.parent for source in binding.sources if source not in binding.nanobind})
    files = {f"{file.name} {sha256_of(file)}" for folder in ours for file in folder.iterdir() if file.is_file()}
    headers = {name: digest for name, digest in kit.about.files.items() if name.startswith("include/")}
    plain = [flag.replace(str(work), "").replace(str(kit.path), "") for flag in flags]
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
