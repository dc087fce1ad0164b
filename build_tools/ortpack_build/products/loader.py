"""Makes the loader's own wheel for any target, compiled with zig.

The wheel needs nothing but NumPy, because nanobind's module and the C++ library that a build from source uses are not
to be had for every target: its binding contains nanobind's code, libc++, and the functions of the stable ABI that
nanobind calls and the oldest Python lacks.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pyproject_metadata
from packaging.utils import canonicalize_name

from ortpack_build import __version__
from ortpack_build.base import process
from ortpack_build.base.errors import SourceError, UsageError, storage_error
from ortpack_build.base.hashing import sha256, sha256_of
from ortpack_build.bundle import wheel
from ortpack_build.bundle.deflate import deflate_cached
from ortpack_build.kit import settings as kit_settings
from ortpack_build.link import binding_sources
from ortpack_build.link.binding import MODULE_FILE, BindingJob, module_flags
from ortpack_build.link.linker import run
from ortpack_build.products.kit import zig
from ortpack_build.toolchain import Link, set_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.requirements import Requirement

    from ortpack_build.base.context import Context
    from ortpack_build.toolchain import Toolchain

_PACKAGE = "ortpack"
_MODULES = ("*.py", "*.pyi", "py.typed", "_pyinstaller/*.py")
_FORMAT = 2  # of a module; part of its key. 1 needed musl by the name libc.so


@dataclass(frozen=True, kw_only=True)
class LoaderRequest:
    """A wheel of the loader as the user asks for it.

    Attributes:
        target: name of the target.
        host: name of the target that this machine is, which compiles; None if it is none.
        tree: the loader's source tree, the one with its pyproject.toml.
        out: where the wheel goes.
        jobs: how many compilers run at once.
        epoch: time of the wheel's entries, seconds since 1970.
    """

    target: str
    host: str | None
    tree: Path
    out: Path
    jobs: int
    epoch: int


def default_tree(folder: Path) -> Path:
    """The checkout that the user stands in, or else the one that this package lies in.

    Args:
        folder: where the user stands.

    Raises:
        UsageError: neither is one.
    """
    found = next(filter(_is_tree, (folder, Path(__file__).parents[3])), None)
    if found is None:
        raise UsageError(
            f"Neither {folder} nor this ortpack-build's folder is a checkout of ortpack.", hint="Name one: --tree DIR."
        )
    return found


def _is_tree(tree: Path) -> bool:
    return all(
        (tree / name).is_file() for name in ("pyproject.toml", "cmake/fetch_headers.py", "src/binding/module.cpp")
    )


def build(request: LoaderRequest, context: Context) -> wheel.Wheel:
    """Compile and pack the wheel of a target.

    Raises:
        BuildError: of any kind; nothing half-written is left.
    """
    if not _is_tree(request.tree):
        raise UsageError(f"{request.tree} is no source tree of the loader.", hint="--tree wants a checkout of ortpack.")
    kits = kit_settings.load(context.variants)
    chosen = zig(kits, request.target, request.host, context)
    module = _module(request, chosen, kits, context)
    data = binding_sources.load()
    tag = f"cp{data.python.replace('.', '')}-abi3-{chosen.tag}"
    nanobind = binding_sources.nanobind(context)
    license_texts = {name: nanobind.folder / path for path, name in nanobind.entry.licenses.items()}
    name, files = _contents(request.tree, module, license_texts, data.replaced, tag)
    with context.report.step(f"Packing {name}-{tag}.whl") as step:
        path = request.out / f"{name}-{tag}.whl"
        size = wheel.pack(files, path, deflate=partial(deflate_cached, cache=context.cache), epoch=request.epoch)
        step.detail(f"{size / 1e6:.2f} MB")
    return wheel.Wheel(path=path, size=size, tag=tag)


def _module(request: LoaderRequest, chosen: Toolchain, kits: kit_settings.Kits, context: Context) -> Path:
    """Compile the extension module, or take it from the cache, where its key is the hash of all that goes into it."""
    data, sources = binding_sources.load(), request.tree / "src" / "binding"
    python = binding_sources.debian_headers(request.target, context)
    ort = _ort_header(request.tree, context.environ)
    flags = [*kits.flags.c, *kits.processor(request.target).flags]
    libraries = kits.target(request.target).libraries
    stated = [
        {str(path.relative_to(sources)): sha256_of(path) for path in sorted(sources.rglob("*")) if path.is_file()},
        msgspec.to_builtins(data),
        {"root": python.identity, "ort": sha256_of(ort / "onnxruntime_c_api.h")},
        [dict(chosen.identity), [*flags, *data.flags, "-fPIC"], kits.link.flags, libraries],
    ]

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="ortpack-loader-", ignore_cleanup_errors=True) as scratch:
            work = Path(scratch)
            place = set_up(chosen, work, context, request.jobs)
            binding = binding_sources.prepare(request.target, python, work, context, own=request.tree / "src")
            job = BindingJob(binding=binding, package=_PACKAGE, flags=flags, ort=ort, linked=False)
            link = Link(
                output=folder / MODULE_FILE,
                objects=job.compile(place, work),
                archives=(),
                flags=module_flags(kits.link.flags, work),
                libraries=libraries,
            )
            run(place.compilers.linker(work, place.environ)(link), place.environ, "Linking")

    key = sha256(json.dumps([_FORMAT, *stated], sort_keys=True).encode())
    with context.report.step(f"Compiling the loader for {request.target}") as step:
        try:
            module = context.cache.get("loaders", key, make) / MODULE_FILE
        except OSError as error:
            raise storage_error("A temporary file", request.out, error) from error
        step.detail(f"{module.stat().st_size / 1e6:.2f} MB")
    return module


def _ort_header(tree: Path, environ: Mapping[str, str]) -> Path:
    """Return the folder with ONNX Runtime's C header, which the script of the loader's own build fetches.

    Raises:
        SourceError: it can't be had; says why.
    """
    script = tree / "cmake" / "fetch_headers.py"
    with tempfile.TemporaryDirectory(prefix="ortpack-loader-") as spare:
        command = [sys.executable, str(script), "--out", spare]
        done = process.run(command, environ=environ)
        folder = Path(done.output.strip() or "/")
        if done.code != 0 or not (folder / "onnxruntime_c_api.h").is_file():
            raise SourceError(done.errors.strip() or f"{script} gave nothing.")
        if folder.is_relative_to(spare):
            raise SourceError("The user's cache folder can't be written.", hint="Set XDG_CACHE_HOME to one that can.")
        return folder


def _contents(
    tree: Path, module: Path, license_texts: Mapping[str, Path], replaced: Sequence[str], tag: str
) -> tuple[str, dict[str, bytes]]:
    """Return the wheel's name (`ortpack-<version>`) and its files."""
    path = tree / "pyproject.toml"
    try:
        stated = tomllib.loads(path.read_text(encoding="utf-8"))
        metadata = pyproject_metadata.StandardMetadata.from_pyproject(stated, tree)
    except (tomllib.TOMLDecodeError, pyproject_metadata.ConfigurationError) as error:
        raise SourceError(f"{path}: {error}") from error
    metadata.dependencies = [line for line in metadata.dependencies if not _is_one(line, replaced)]
    texts = {str(name): tree / str(name) for name in metadata.license_files or []} | dict(license_texts)
    metadata.license_files = [Path(name) for name in texts]
    name = f"{metadata.name.replace('-', '_')}-{metadata.version}"
    info = f"{name}.dist-info"
    package = tree / "src" / _PACKAGE
    modules = [file for pattern in _MODULES for file in package.glob(pattern)]
    files = {f"{_PACKAGE}/{file.relative_to(package).as_posix()}": file.read_bytes() for file in modules}
    files[f"{_PACKAGE}/{MODULE_FILE}"] = module.read_bytes()
    files |= {f"{info}/licenses/{name}": file.read_bytes() for name, file in texts.items()}
    files[f"{info}/METADATA"] = str(metadata.as_rfc822()).encode()
    if metadata.entrypoints:
        groups = [[f"[{group}]", *_lines(entries)] for group, entries in metadata.entrypoints.items()]
        files[f"{info}/entry_points.txt"] = "\n".join(line for group in groups for line in [*group, ""]).encode()
    lines = ["Wheel-Version: 1.0", f"Generator: ortpack-build {__version__}", "Root-Is-Purelib: false", f"Tag: {tag}"]
    files[f"{info}/WHEEL"] = ("\n".join(lines) + "\n").encode()
    return name, wheel.with_record(files, info)


def _lines(entries: Mapping[str, str]) -> list[str]:
    return [f"{name} = {value}" for name, value in entries.items()]


def _is_one(requirement: Requirement, names: Sequence[str]) -> bool:
    return canonicalize_name(requirement.name) in names
