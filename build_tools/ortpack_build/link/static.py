"""An extension module out of a kit and the loader's binding: ONNX Runtime and its Python API in one file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ortpack_build.link.shared import Library, compile_tables, linked, run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ortpack_build.binding import Binding
    from ortpack_build.kernels.index import KernelId
    from ortpack_build.kit import Kit
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
    work: Path,
    environ: Mapping[str, str],
) -> Library:
    """Compile the binding and link it with the given kernels.

    Args:
        kit: what to link from.
        kernels: those of the kit's that the module registers.
        compilers: of the toolchain that the kit was made with.
        binding: its sources and what they include, below `work`.
        package: dotted name of the Python package that the module is for.
        jobs: how many compilers run at once.
        work: an existing folder; the module is left in it.
        environ: of the compilers.

    Raises:
        ToolError: the compiler or the linker failed.
    """
    chosen, tables = compile_tables(kit, kernels, compilers, work=work, environ=environ)
    # The same protections as everything in the kit.
    flags = [*kit.about.options["CMAKE_CXX_FLAGS"].split(), *binding.flags]
    flags += ["-DORTPACK_STATIC_ORT=1", f'-DORTPACK_PACKAGE="{package}"', f"-DNB_DOMAIN={package}"]
    flags += [f"-D{name}" for name in binding.define]
    flags += [word for folder in (*binding.include, kit.path / "include") for word in ("-isystem", str(folder))]

    def compile_one(source: Path) -> Path:
        target = work / f"{source.stem}.o"
        level = "-O2" if source.name in binding.fast else "-Os"
        own = ["-DNB_BUILD"] if source in binding.nanobind else []
        command = [str(compilers.cxx), "-c", level, *flags, *own, str(source), "-o", str(target)]
        run(command, environ, f"Compiling {source.name}")
        return target

    with ThreadPoolExecutor(jobs) as pool:
        objects = [*pool.map(compile_one, binding.sources)]
    script, module = work / "exports.lds", work / MODULE_FILE
    script.write_text(f"{{ global: PyInit_{MODULE}; local: *; }};\n", encoding="utf-8")
    command = [str(compilers.cxx), "-shared", "-o", str(module), str(tables), *map(str, objects)]
    command += ["-Wl,--start-group", *(str(archive) for archive in kit.archives), "-Wl,--end-group"]
    # Python's own functions come from the interpreter that loads the module.
    command += [flag for flag in kit.about.recipe.flags if flag != "-Wl,--no-undefined"]
    command += [f"-Wl,--version-script={script}"]
    command += [*compilers.link(work, environ), *kit.about.recipe.libraries, *compilers.print_map]
    return linked(module, chosen, run(command, environ, "Linking"))
