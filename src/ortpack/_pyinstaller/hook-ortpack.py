"""What an application with ortpack needs in it: modules that no bytecode names, and every runtime that is installed.

A runtime stays out with `--exclude-module ortpack_runtimes.<name>`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PyInstaller.utils.hooks import collect_submodules, copy_metadata

from ortpack._installed import Runtime, installed, search_folders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PyInstaller.depend.imphookapi import PostGraphAPI

# The extension module imports NumPy, and nanobind_backend, which has a module for each version of its ABI.
hiddenimports = [
    *collect_submodules("ortpack", filter=lambda name: "_pyinstaller" not in name),
    *collect_submodules("nanobind_backend"),
    "numpy",
]


def hook(hook_api: PostGraphAPI) -> None:
    """Add the files of the runtimes, and what they have from other wheels, to where the loader looks for them."""
    excluded = set(hook_api.analysis.excludes)
    libraries: set[tuple[str, str]] = set()
    data: set[tuple[str, str]] = set()
    for runtime in installed():
        if not isinstance(runtime, Runtime) or f"ortpack_runtimes.{runtime.name}" in excluded:
            continue
        for file, place in (*_own(runtime), *_from_elsewhere(runtime)):
            (libraries if _is_library(file) else data).add((str(file), str(place)))
        if vendor := _vendor(runtime):
            data.update(copy_metadata(vendor))
    hook_api.add_binaries(sorted(libraries))
    hook_api.add_datas(sorted(data))


def _own(runtime: Runtime) -> Iterator[tuple[Path, Path]]:
    """Each file in the runtime's folder, and the folder of the application that it goes to."""
    site = runtime.path.parent.parent
    for file in runtime.path.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file, file.parent.relative_to(site)


def _from_elsewhere(runtime: Runtime) -> Iterator[tuple[Path, Path]]:
    """As `_own`, for what a runtime needs of other distributions."""
    sites = search_folders()
    if _vendor(runtime):
        folder = runtime.library.parent
        site = next((site for site in sites if folder.is_relative_to(site)), folder)
        yield from ((file, folder.relative_to(site)) for file in folder.iterdir() if _is_library(file))
    for entry in runtime.requires:
        path = entry.get("path")
        if entry.get("from") == "pip" and isinstance(path, str):
            files = [file for site in sites if (file := site / path).is_file()]
            yield from ((file, Path(path).parent) for file in files[:1])


def _vendor(runtime: Runtime) -> str:
    """The distribution that a plugin's library lies in; empty if it lies in ours, or is not installed."""
    return "" if runtime.base is None or runtime.base.missing else runtime.base.distribution


def _is_library(file: Path) -> bool:
    return file.suffix in (".so", ".dylib", ".dll") or ".so." in file.name
