"""The loader's sources, C++ and Python, for packages that carry ONNX Runtime themselves.

Its sources travel with this distribution, and nanobind's come from a pinned wheel. Python's headers are those of the
interpreter that runs this, with NumPy's from a pinned wheel, or both are Debian's for the target.
"""

from __future__ import annotations

import keyword
import platform
import re
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from ortpack_build.base.archive import extract_all
from ortpack_build.base.data_file import Model, Sha256, Version, read, shipped_folder
from ortpack_build.base.errors import FetchError, SourceError, UsageError
from ortpack_build.base.tags import version_key
from ortpack_build.machines import emulation
from ortpack_build.origin import pip_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ortpack_build.base.context import Context

_SHIPPED = "_loader"  # folder of the installed distribution
_STAND_INS = {"_runtime": "_embedded"}  # module → what takes its place
_OWN_IMPORT = re.compile(r"^(?P<indent>\s*)from ortpack(?:\.(?P<module>\w+))? import (?P<names>.+)$", re.MULTILINE)
_RELATIVE_IMPORT = re.compile(r"^\s*from \.(?P<module>\w*) import (?P<names>\([^)]*\)|.+)$", re.MULTILINE)
_SIZES = re.compile(r"^#define SIZEOF_LONG \d", re.MULTILINE)
_NUMPY = "numpy"
_ANY_IMPORT = re.compile(r"^\s*(?:import ortpack\b|from ortpack\b).*$", re.MULTILINE)


class Headers(Model, frozen=True):
    """A wheel that something is compiled with."""

    name: Annotated[str, Meta(description="The distribution")]
    version: Annotated[str, Meta(description="Its version")]
    file: Annotated[str, Meta(description="The wheel's file name")]
    sha256: Sha256
    include: Annotated[tuple[str, ...], Meta(description="Folders of the wheel with headers")]
    sources: Annotated[tuple[str, ...], Meta(description="Files of the wheel to compile")] = ()
    licenses: Annotated[dict[str, str], Meta(description="Path in the wheel → file name")] = msgspec.field(
        default_factory=dict
    )
    target: Annotated[str, Meta(description="If it is for one only: goes with the interpreter's own headers")] = ""


class BindingFile(Model, frozen=True):
    """kits/binding.toml: how the loader's binding is compiled into an extension module of its own."""

    schema: Literal[1]
    python: Annotated[Version, Meta(description="Oldest Python that the module runs on")]
    abi: Annotated[Version, Meta(description="Python whose stable ABI nanobind is compiled for; its headers have it")]
    prelude: Annotated[str, Meta(description="Header of the binding that every file includes first")]
    numpy: Annotated[Version, Meta(description="Oldest NumPy")]
    fast: Annotated[tuple[str, ...], Meta(description="Files that are compiled for speed")]
    flags: Annotated[tuple[str, ...], Meta(description="For the compiler")]
    define: Annotated[tuple[str, ...], Meta(description="Macros")]
    replaced: Annotated[tuple[str, ...], Meta(description="Requirements of the loader that a module makes needless")]
    headers: Annotated[tuple[Headers, ...], Meta(description="Wheels that it is compiled with")]


@dataclass(frozen=True, kw_only=True)
class Binding:
    """The binding, ready to be compiled.

    Attributes:
        sources: every file to compile.
        nanobind: those of them that are nanobind's own.
        fast: names of the files that are compiled for speed; the others are compiled for size.
        include: folders with headers.
        flags: for the compiler.
        define: macros.
        licenses: file name → text that goes with the module.
        stated: component → its version, for runtime.json.
        identity: distinguishes Python's headers from others of the same version; part of the key.
    """

    sources: tuple[Path, ...]
    nanobind: frozenset[Path]
    fast: frozenset[str]
    include: tuple[Path, ...]
    flags: tuple[str, ...]
    define: tuple[str, ...]
    licenses: Mapping[str, Path]
    stated: Mapping[str, str]
    identity: str


@dataclass(frozen=True, kw_only=True)
class PythonHeaders:
    """Headers of Python, and of NumPy if they are of the same origin.

    Attributes:
        links: symbolic links to make in the folder where the binding is compiled: name → folder that it leads to.
        include: folders with headers, relative to that folder.
        stated: component → its version, and whose package it is.
        identity: distinguishes them from others of the same version; part of the key.
    """

    links: Mapping[str, Path]
    include: tuple[str, ...]
    stated: Mapping[str, str] = field(default_factory=dict)
    identity: str


def load() -> BindingFile:
    """Read binding.toml.

    Raises:
        ManifestError: it has a mistake.
    """
    return read(shipped_folder() / "kits" / "binding.toml", BindingFile)


def sources_folder() -> Path:
    """Return the folder with `binding/` and `ortpack/`: in the installed distribution, or in the checkout."""
    package = Path(__file__).parents[1]
    installed = package / _SHIPPED
    return installed if installed.is_dir() else package.parent.parent / "src"


def check_name(package: str) -> str:
    """Return the name of a package to embed in, if it is a possible one.

    Raises:
        UsageError: it can't be imported, or it is the loader's own.
    """
    parts = package.split(".")
    if not package.isascii() or not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise UsageError(f"{package!r} is no name of a Python package.", hint="For instance: mylib._ort")
    if parts[0] in ("ortpack", "ortpack_runtimes"):
        raise UsageError(f"{package!r} belongs to the loader.", hint="Name a package of your own: mylib._ort")
    return package


def python_headers(target: str, host: str | None, context: Context) -> PythonHeaders:
    """Return this interpreter's headers if they serve the target, otherwise Debian's, out of the target's root.

    Raises:
        UsageError: there is no root for the target.
        FetchError: Debian's can't be had.
    """
    data = load()
    reason = _why_not_own(data, target, host)
    if not reason:
        return _own_headers()
    try:
        return debian_headers(target, context)
    except FetchError as error:
        way = "use --linkage shared"
        if target in _alike(data):
            way = f"run ortpack-build with CPython {data.abi} or newer and its headers"
            way += "" if host in _alike(data) else f" on {target}"
        raise FetchError(
            f"No headers of Python can be had for {target}. This interpreter's do not serve: {reason}. "
            f"Debian's can't be fetched: {error}",
            hint=f"{error.hint} Or {way}.".strip(),
        ) from error


def debian_headers(target: str, context: Context) -> PythonHeaders:
    """Return Debian's headers, out of the target's root.

    Raises:
        UsageError: there is no root for the target.
        FetchError: they can't be had.
    """
    root = emulation.headers(target, context)
    return PythonHeaders(
        links={"python": root.path},
        include=tuple(str("python" / path.relative_to(root.path)) for path in root.include),
        stated=emulation.versions(root),
        identity=root.path.parent.name,
    )


def _why_not_own(data: BindingFile, target: str, host: str | None) -> str:
    """Say why this interpreter's headers can't be compiled with; empty if they can."""
    headers = _python_headers()
    if sys.implementation.name != "cpython" or sys.version_info[:2] < version_key(data.abi)[:2]:
        return f"{sys.implementation.name} {platform.python_version()} is not CPython {data.abi} or newer"
    if not {target, host} <= _alike(data):
        return f"they are of {host}"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "a free-threaded interpreter has none for the stable ABI"
    if not (headers / "Python.h").is_file():
        return f"{headers} has no Python.h (python3-dev)"
    # A distribution's may only say where the one of the platform is.
    if target != host and not _SIZES.search((headers / "pyconfig.h").read_text(encoding="utf-8")):
        return f"{headers / 'pyconfig.h'} gives no sizes of types, so it is for {host} only"
    return ""


def _alike(data: BindingFile) -> set[str]:
    """The targets that can use each other's headers of Python."""
    return {entry.target for entry in data.headers if entry.name == _NUMPY}


def _own_headers() -> PythonHeaders:
    headers = _python_headers()
    links, include = {"python": headers}, ["python"]
    # Debian's pyconfig.h includes <x86_64-linux-gnu/python3.13/pyconfig.h>. The folder that has it holds the headers of
    # this machine's libc, too.
    platforms = sysconfig.get_config_var("MULTIARCH") or ""
    if platforms and (headers.parent / platforms / headers.name).is_dir():
        links[f"platform/{platforms}/{headers.name}"] = headers.parent / platforms / headers.name
        include.append("platform")
    return PythonHeaders(
        links=links, include=tuple(include), stated={"python": platform.python_version()}, identity=sys.version
    )


def _python_headers() -> Path:
    return Path(sysconfig.get_path("include"))


def prepare(target: str, python: PythonHeaders, work: Path, context: Context, *, own: Path | None = None) -> Binding:
    """Lay out everything that is compiled below `work`, so that no path of this machine gets into the module.

    Args:
        target: name of the target.
        python: headers of Python, and of NumPy if they are of the same origin.
        work: an existing folder.
        cache: where wheels with headers are kept.
        report: told what is going on.
        own: the folder with `binding/`; that of this distribution if None.

    Raises:
        FetchError: a wheel with headers can't be had.
        ArchiveError: a wheel is damaged, or lacks a file.
        SourceError: this distribution lacks its own sources.
    """
    data, own = load(), own or sources_folder()
    found = sources(own / "binding")
    if not found:
        raise SourceError(f"{own} does not hold the loader's sources.", hint="Reinstall ortpack-build.")
    (work / "binding").symlink_to(own / "binding")
    for name, folder in python.links.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).symlink_to(folder)
    include, nanobind, stated = [work / name for name in python.include], [], dict(python.stated)
    license_ = own / "LICENSE" if own.name == _SHIPPED else own.parent / "LICENSE"
    licenses = {"ortpack-LICENSE": license_}
    for entry in data.headers:
        if entry.target not in ("", target) or entry.name in python.stated:
            continue
        folder = _unpacked(entry, context)
        (work / entry.name).symlink_to(folder)
        include += [work / entry.name / path for path in entry.include]
        nanobind += [work / entry.name / path for path in entry.sources]
        licenses |= {name: folder / path for path, name in entry.licenses.items()}
        stated[entry.name] = entry.version
        for path in (*entry.include, *entry.sources, *entry.licenses):
            if not (folder / path).exists():
                raise SourceError(f"{entry.file} has no {path}.")
    return Binding(
        sources=(*(work / "binding" / path for path in found), *nanobind),
        nanobind=frozenset(nanobind),
        fast=frozenset(data.fast),
        include=tuple(include),
        flags=(*data.flags, *prelude(data, work / "binding")),
        define=(*data.define, limited_api(data)),
        licenses=licenses,
        stated=stated,
        identity=python.identity,
    )


@dataclass(frozen=True, kw_only=True)
class Unpacked:
    """A wheel of headers and sources, unpacked in `folder`."""

    entry: Headers
    folder: Path


def nanobind(context: Context) -> Unpacked:
    """nanobind's headers and sources.

    Raises:
        FetchError: its wheel can't be had.
        ArchiveError: the wheel is damaged.
    """
    entry = next(entry for entry in load().headers if entry.name == "nanobind")
    return Unpacked(entry=entry, folder=_unpacked(entry, context))


def sources(folder: Path) -> list[Path]:
    """The files to compile of the binding's folder, relative to it."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*.cpp"))


def prelude(data: BindingFile, folder: Path) -> tuple[str, str]:
    """Flags for what every file includes first; `folder` is the binding's."""
    return "-include", str(folder / data.prelude)


def limited_api(data: BindingFile) -> str:
    """The macro that chooses the stable ABI."""
    major, minor = version_key(data.abi)[:2]
    return f"Py_LIMITED_API={major << 24 | minor << 16:#010x}"


def _unpacked(entry: Headers, context: Context) -> Path:
    pin = pip_wheel.Pin(distribution=entry.name, version=entry.version, file=entry.file, sha256=entry.sha256)
    return context.cache.get("headers", entry.sha256, lambda folder: extract_all(pip_wheel.fetch(pin, context), folder))


def modules() -> dict[str, bytes]:
    """Return the Python modules of an embedding package: file name → content, the same for any name of the package.

    They are those that the loader's `__init__` imports, and that those import in turn.

    Raises:
        SourceError: the loader's modules are missing, or import in a way that ties them to their name.
    """
    folder = sources_folder() / "ortpack"
    texts, wanted = {"py.typed": ""}, {"__init__"}
    while wanted:
        module = wanted.pop()
        file = _module_file(folder, _STAND_INS.get(module, module))
        if file is None:
            raise SourceError(f"{folder} lacks the module {module} of the loader.", hint="Reinstall ortpack-build.")
        text = _renamed(file.name, file.read_text(encoding="utf-8"))
        texts[f"{module}{file.suffix}"] = text
        for found in _RELATIVE_IMPORT.finditer(text):
            # `from . import x`: x is a module, or a name of the package.
            names = [found["module"]] if found["module"] else re.findall(r"\w+", found["names"])
            wanted |= {name for name in names if found["module"] or _module_file(folder, name)}
        wanted -= {name.partition(".")[0] for name in texts}
    return {name: text.encode() for name, text in sorted(texts.items())}


def _module_file(folder: Path, module: str) -> Path | None:
    """The module's file: its code, or for the native module its types."""
    return next((file for suffix in (".py", ".pyi") if (file := folder / f"{module}{suffix}").is_file()), None)


def _renamed(name: str, text: str) -> str:
    """Make a module's imports of the loader relative."""
    text = _OWN_IMPORT.sub(lambda m: f"{m['indent']}from .{m['module'] or ''} import {m['names']}", text)
    if left := _ANY_IMPORT.search(text):
        raise SourceError(f"{name} of the loader imports by its name: {left[0].strip()}")
    return text
