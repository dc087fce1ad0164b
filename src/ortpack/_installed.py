"""Installed runtimes are found, read and checked here, but not loaded.

A runtime is a folder `ortpack_runtimes/<name>/` with a `runtime.json` (docs/runtime-json.md). It is looked for where
Python itself would import `ortpack_runtimes.<name>` from, but for the folder of the script, or the working directory,
that Python puts before `sys.path` unasked. A library path variable plays no part.

This module and the others on the way to a first result keep paths as text, because importing pathlib takes longer than
all else that the loader does.
"""

from __future__ import annotations

import json
import os
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ortpack._value import Value
from ortpack.errors import RuntimeManifestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from ortpack._binding import Library

SCHEMA = 1  # the version of runtime.json that this loader reads; a newer one is refused
RUNTIME, PLUGIN, EXTENSION = "runtime", "plugin", "extension"
PLUGIN_API = 22  # ORT's API since which provider libraries can be registered
CPU = "CPUExecutionProvider"  # every runtime has it
FOLDER = "ortpack_runtimes"
FALLBACK = "cpu"  # the extra to advise where nothing else is wished for; a test compares it with the manifests
_HOOK = "__path_hook__"  # ends an entry of sys.path that is no path: setuptools', for editable installs
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Need(Value):
    """A requirement on one fact of the machine: its value is `at_least`, or `one_of`; with neither, it has a value."""

    fact: str  # its name: docs/resolution.md has them
    mend: str  # what the user can do where the requirement is not met
    at_least: str | None = None
    one_of: tuple[str, ...] = ()


class BaseRuntime(Value):
    """What a plugin or an extension says of its base: the runtime that it needs, and how it is added to it."""

    ort_versions: str  # the base's: ">=1.24,<2"; empty: any
    runtime: str | None = None  # the base's name; None: any runtime that fits
    registration: str = ""  # plugins: the name that the library is registered under
    distribution: str = ""  # plugins: the vendor's package that the library lies in; empty: it lies in our folder
    missing: str = ""  # plugins: what is wrong with that package, if something is
    device_types: Mapping[str, str] = _NOTHING  # plugins: device name -> CPU, GPU or NPU
    files: Mapping[str, int] = _NOTHING  # extensions: file in the base's folder -> bytes


class Runtime(Value):
    """A runtime as its `runtime.json` describes it; or a plugin or extension, which adds providers to a runtime."""

    name: str
    variant: str
    target: str
    ort_version: str  # plugins: their own version
    api_version: int  # the version of ORT's C API that the library has; plugins: the oldest that they work with
    linkage: str
    folder: str  # absolute, as is the file
    file: str  # the library; extensions have none, their folder stands here
    providers: tuple[str, ...]
    devices: Mapping[str, tuple[str, ...]]  # device name -> its providers, in order; the first device is the default
    priority: int  # automatic mode takes the highest
    model_formats: tuple[str, ...]
    reduced: bool  # holds some operators only, so it is never taken automatically
    platform: Mapping[str, str]
    files: Mapping[str, Mapping[str, Any]]  # name -> {"sha256": hex, "size": bytes}
    requires: tuple[Mapping[str, Any], ...]
    provenance: Mapping[str, Any]
    kind: str = RUNTIME  # or PLUGIN, or EXTENSION
    base: BaseRuntime | None = None  # plugins and extensions: what they need
    needs: tuple[Need, ...] = ()
    extra: str = ""  # the extra of ortpack that installs it with all that it requires

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self.__dict__.items() if name not in _LONG)
        return f"Runtime({', '.join(shown)})"

    @property
    def path(self) -> Path:
        """The folder."""
        return _path(self.folder)

    @property
    def library(self) -> Path:
        """The library, absolute. Extensions have none, their folder stands here."""
        return _path(self.file)

    @property
    def install(self) -> str:
        """The command that installs it with all that it requires."""
        return f'pip install "ortpack[{self.extra or self.name}]"'

    def damage(self) -> list[str]:
        """Say what keeps the libraries from being loaded: which are missing, or cut off.

        Another size alone is none: packagers strip, patch and sign what they pack. `changes` has it.
        """
        found = []
        for name, file, size, _ in self._packed():
            try:
                whole = os.stat(file).st_size == size
            except OSError:
                if is_library(name):
                    found.append(f"{name} is missing")
                continue
            if not whole and is_library(name) and (reason := _no_library(file)):
                found.append(f"{name}: {reason}")
        return found

    def changes(self, *, hashes: bool = False) -> list[str]:
        """Say how the files on disk differ from those that were packed: in size and, with `hashes`, in their bytes.

        Python's modules of an application that was made of them are in its archive, so none is missed there.
        """
        found = []
        for name, file, expected, sha256 in self._packed():
            try:
                size = os.stat(file).st_size
            except OSError:
                if not is_library(name) and not (name.endswith(".py") and getattr(sys, "frozen", False)):
                    found.append(f"{name} is missing")
                continue
            if size != expected:
                found.append(f"{name} has {size:,} bytes instead of {expected:,}")
            elif hashes and sha256 and _sha256(file) != sha256:
                found.append(f"{name} has other bytes than were installed (SHA-256 differs)")
        return found

    def _packed(self) -> Iterator[tuple[str, str, int, str]]:
        """Give each file that was packed: the name that messages call it, path, size and SHA-256."""
        for name, entry in self.files.items():
            yield name, os.path.join(self.folder, name), entry["size"], entry["sha256"]
        if self.base and self.base.runtime:
            for name, size in self.base.files.items():
                file = os.path.join(os.path.dirname(self.folder), self.base.runtime, name)
                yield file, file, size, ""


class BrokenRuntime(Value):
    """A runtime's folder whose `runtime.json` can't be used, and the reason."""

    name: str
    folder: str
    reason: str

    @property
    def path(self) -> Path:
        """The folder."""
        return _path(self.folder)


_LONG = ("files", "requires", "provenance", "needs")  # fields of a runtime that are too long for its `repr`


def is_library(name: str) -> bool:
    """Tell whether a file of that name is a native library."""
    return name.endswith((".so", ".dylib", ".dll")) or ".so." in os.path.basename(name)


def _no_library(file: str) -> str:
    """Say what is wrong with a library's file as far as its headers tell; empty if nothing is."""
    from ortpack._binary import NotALibraryError, identify  # noqa: PLC0415 - only for files of another size

    try:
        identify(file)
    except (NotALibraryError, OSError) as error:
        return str(error)
    return ""


def _path(text: str) -> Path:
    from pathlib import Path  # noqa: PLC0415 - slow to import

    return Path(text)


def search_folders() -> tuple[Path, ...]:
    """List the folders where runtimes are looked for: those that Python imports from, then the one of this package."""
    return tuple(map(_path, _folders()))


def _folders() -> tuple[str, ...]:
    beside = os.path.dirname(os.path.dirname(__file__))
    return tuple(dict.fromkeys([*_import_path(), *_from_hooks(), beside]))


def _import_path() -> list[str]:
    """List the folders and archives of `sys.path` that somebody put there.

    Python puts another one before them for what it was started with: the script's folder, or the working directory.
    Nobody installs there, and anyone may write to it, so that one is left out, but where it is named once more.
    """
    entries = [entry for entry in sys.path if isinstance(entry, str)]
    for own in _own_entries():
        if own in entries:
            entries.remove(own)
            break
    return [absolute(entry) for entry in entries if entry not in ("", os.curdir) and not entry.endswith(_HOOK)]


def _own_entries() -> tuple[str, ...]:
    """List what the entry of `sys.path` may be that Python made of what it was started with."""
    if getattr(sys.flags, "safe_path", sys.flags.isolated) or getattr(sys, "frozen", False):
        return ()
    main = sys.modules.get("__main__")
    if spec := getattr(main, "__spec__", None):
        if spec.name == "__main__":  # an application in a folder or an archive, which is meant to be searched
            return ()
        try:  # `python -m`
            return os.getcwd(), os.environ.get("PWD", "")
        except FileNotFoundError:  # it was removed
            return (os.environ.get("PWD", ""),)
    file = getattr(main, "__file__", None)
    return (os.path.dirname(absolute(file)), os.path.dirname(os.path.realpath(file))) if file else ("",)


def _from_hooks() -> list[str]:
    """List the folders that import hooks know, which editable installs bring, to have parts of `ortpack_runtimes`."""
    places: list[str] = []
    for finder in sys.meta_path:
        if getattr(finder, "__name__", "") in ("BuiltinImporter", "FrozenImporter", "PathFinder"):
            continue
        # setuptools' hook tells of single packages only, and has no other list of them
        mapping = getattr(sys.modules.get(getattr(finder, "__module__", "")), "MAPPING", None)
        for name, path in mapping.items() if isinstance(mapping, dict) else ():
            if name == FOLDER:
                places.append(path)
            elif str(name).startswith(f"{FOLDER}."):
                places.append(os.path.dirname(path))
        try:
            spec = finder.find_spec(FOLDER, None)
        except (AttributeError, ImportError):  # hooks are anyone's
            continue
        places += list(spec.submodule_search_locations or ()) if spec else []
    return [os.path.dirname(place) for place in places if os.path.basename(place) == FOLDER]


def installed(folders: Iterable[str | os.PathLike[str]] | None = None) -> tuple[Runtime | BrokenRuntime, ...]:
    """Read every runtime below `folders`, sorted by name; of two with one name, the one in the earlier folder."""
    found: dict[str, Runtime | BrokenRuntime] = {}
    for folder in _folders() if folders is None else folders:
        place = os.path.join(folder, FOLDER)
        try:
            names = sorted(os.listdir(place))
        except OSError as error:  # not there, or not readable
            if isinstance(error, NotADirectoryError) or sys.platform == "win32":
                for broken in _in_archive(os.fspath(folder)):
                    found.setdefault(broken.name, broken)
            continue
        for name in names:
            if name not in found and _is_runtime(place, name):
                found[name] = _read_installed(os.path.join(place, name), name)
    return tuple(found[name] for name in sorted(found))


def _in_archive(file: str) -> list[BrokenRuntime]:
    """List the runtimes in a zip file that Python imports from; the system can load none of their libraries."""
    stdlib = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"
    if getattr(sys, "frozen", False) or os.path.basename(file) == stdlib or not os.path.isfile(file):
        return []
    from zipfile import BadZipFile, ZipFile  # noqa: PLC0415 - slow to import, and rarely needed

    try:
        with ZipFile(file) as archive:
            parts = [name.split("/") for name in archive.namelist()]
    except (OSError, BadZipFile):
        return []
    names = sorted({part[1] for part in parts if part[0] == FOLDER and part[2:] == ["runtime.json"]})
    reason = (
        f"it lies in the archive {file}, and the system loads libraries from files only: unpack the archive "
        f"(python -m zipfile -e {file} FOLDER), and name that folder in its place on sys.path"
    )
    return [BrokenRuntime(name=name, folder=os.path.join(file, FOLDER, name), reason=reason) for name in names]


def installed_as(name: str) -> Runtime | BrokenRuntime | None:
    """Read the installed runtime of that name; no other is looked at. None: there is none."""
    for folder in _folders():
        place = os.path.join(folder, FOLDER)
        if os.path.basename(name) == name and _is_runtime(place, name):
            return _read_installed(os.path.join(place, name), name)
    return None


def _is_runtime(place: str, name: str) -> bool:
    return not name.startswith(("_", ".")) and os.path.isdir(os.path.join(place, name))


def _read_installed(folder: str, name: str) -> Runtime | BrokenRuntime:
    try:
        runtime = read_runtime(folder)
    except RuntimeManifestError as error:
        return BrokenRuntime(name=name, folder=folder, reason=str(error))
    if runtime.name != name:
        file = os.path.join(folder, "runtime.json")
        reason = f"{file}: name is {runtime.name!r}, but the folder is called {name!r}"
        return BrokenRuntime(name=name, folder=folder, reason=reason)
    return runtime


def absolute(path: str | os.PathLike[str]) -> str:
    """Make a path absolute. Unlike `os.path.abspath` this keeps `..`: after a link it leads elsewhere."""
    text = os.fsdecode(path)
    return text if os.path.isabs(text) else os.path.join(os.getcwd(), text)


def read_runtime(folder: str | os.PathLike[str]) -> Runtime:
    """Read the runtime in `folder`.

    Raises:
        RuntimeManifestError: `runtime.json` is missing, malformed, or of a newer schema; names the file and the key.
    """
    folder = absolute(folder)
    file = os.path.join(folder, "runtime.json")
    try:
        with open(file, "rb") as stream:
            data = json.loads(stream.read().decode())
    except FileNotFoundError:
        raise RuntimeManifestError(f"{file} is missing: reinstall the package that owns this folder") from None
    except (OSError, ValueError) as error:
        raise RuntimeManifestError(f"{file} can't be read: {error}") from error
    try:
        return _runtime(folder, data)
    except _SchemaError as error:
        raise RuntimeManifestError(f"{file}: {error}") from error


def described(path: str, library: Library) -> Runtime:
    """Describe a library file that has no `runtime.json`, by what the library itself tells."""
    providers = tuple(library.available_providers())
    return Runtime(
        name=os.path.basename(path),
        variant="",
        target="",
        ort_version=library.version,
        api_version=library.api_version,
        linkage="shared",
        folder=os.path.dirname(path),
        file=path,
        providers=providers,
        devices={"cpu": (CPU,)},
        priority=0,
        model_formats=("onnx", "ort"),
        reduced=False,
        platform={},
        files={},
        requires=(),
        provenance={"origin": "path"},
    )


class _SchemaError(ValueError):
    """A `runtime.json` is not as docs/runtime-json.md says; the message has the key."""


def _runtime(folder: str, data: object) -> Runtime:
    if not isinstance(data, dict):
        raise _SchemaError("an object is expected")
    schema = _get(data, "schema", int)
    if schema > SCHEMA:
        raise _SchemaError(f"schema {schema} is newer than this loader knows ({SCHEMA}): pip install --upgrade ortpack")
    if schema < 1:
        raise _SchemaError(f"schema {schema} was never in use")
    files = _get(data, "files", dict)
    for name, entry in files.items():
        _inside(name, f"files.{name}")
        if not isinstance(entry, dict):
            raise _SchemaError(f"files.{name}: an object with sha256 and size is expected")
        _get(entry, "size", int, f"files.{name}.")
        _get(entry, "sha256", str, f"files.{name}.")
    kind = data.get("kind", RUNTIME)
    if kind not in (RUNTIME, PLUGIN, EXTENSION):
        raise _SchemaError(f"kind {kind!r} is not known to this loader: pip install --upgrade ortpack")
    library = ""
    base, place = _base(kind, data)
    if kind == RUNTIME or (kind == PLUGIN and place is None):
        library = _inside(_get(data, "library", str), "library")
        if library not in files:
            raise _SchemaError(f"library: {library!r} is not among files")
    devices = _get(data, "devices", dict)
    if not devices:
        raise _SchemaError("devices: at least one is expected")
    version = _get(data, "version" if kind == PLUGIN else "ort_version", str)
    return Runtime(
        name=_get(data, "name", str),
        variant=_get(data, "variant", str),
        target=_get(data, "target", str),
        ort_version=version,
        api_version=_get(data, "api_version", int),
        linkage=_get(data, "linkage", str) if kind == RUNTIME else "shared",
        folder=folder,
        file=place or os.path.join(folder, library),
        providers=_strings(data, "providers"),
        devices={name: _strings(devices, name, "devices.") for name in devices},
        priority=_get(data, "priority", int),
        model_formats=_strings(data, "model_formats") if kind == RUNTIME else (),
        reduced=_get(data, "reduced", bool) if kind == RUNTIME else False,
        platform={key: str(value) for key, value in _get(data, "platform", dict).items()},
        files=files,
        requires=tuple(_requirement(entry) for entry in _get(data, "requires", list)),
        provenance=_get(data, "provenance", dict),
        kind=kind,
        base=base,
        needs=tuple(_need(entry) for entry in data.get("needs", ())),
        extra=str(data.get("extra", "")),
    )


def _base(kind: str, data: dict[str, Any]) -> tuple[BaseRuntime | None, str | None]:
    """Read what a plugin or extension needs, and find a plugin's library if it lies in its vendor's package."""
    if kind == PLUGIN:
        plugin = _get(data, "plugin", dict)
        types = {
            name: str(entry.get("device_type", ""))
            for name, entry in plugin.get("ep_devices", {}).items()
            if isinstance(entry, dict)
        }
        distribution, place, missing = "", None, ""
        if "distribution" in plugin:
            distribution = _get(plugin, "distribution", str, "plugin.")
            path = _inside(_get(plugin, "path", str, "plugin."), "plugin.path")
            place, missing = _in_package(distribution, _get(plugin, "version", str, "plugin."), path)
        base = BaseRuntime(
            ort_versions=_get(plugin, "ort_versions", str, "plugin."),
            registration=_get(plugin, "registration", str, "plugin."),
            device_types=types,
            distribution=distribution,
            missing=missing,
        )
        return base, place
    if kind == EXTENSION:
        extends = _get(data, "extends", dict)
        files = _get(extends, "files", dict, "extends.")
        for name, entry in files.items():
            _inside(name, f"extends.files.{name}")
            if not isinstance(entry, dict):
                raise _SchemaError(f"extends.files.{name}: an object with sha256 and size is expected")
        base = BaseRuntime(
            runtime=_get(extends, "runtime", str, "extends."),
            ort_versions=_get(extends, "ort_versions", str, "extends."),
            files={name: _get(entry, "size", int, f"extends.files.{name}.") for name, entry in files.items()},
        )
        return base, None
    return None, None


def _in_package(distribution: str, version: str, path: str) -> tuple[str, str]:
    """Find a file of an installed distribution; where that version or the file is not there, say so as the second."""
    wanted = _normal(distribution)
    other = ""
    for folder in _folders():
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            if not name.endswith(".dist-info"):
                continue
            package, _, installed_version = name.removesuffix(".dist-info").partition("-")
            if _normal(package) != wanted:
                continue
            if installed_version == version and os.path.isfile(file := os.path.join(folder, path)):
                return file, ""
            other = other or installed_version
    if other == version:
        return path, f"{path} of {distribution} {version} is missing: pip install --force-reinstall {distribution}"
    found = f"{distribution} {other} is installed, it needs {version}" if other else f"{distribution} is not installed"
    return path, f'{found}: pip install "{distribution}=={version}"'


def _normal(name: str) -> str:
    return name.replace("_", "-").replace(".", "-").lower()


def _need(entry: object) -> Need:
    if not isinstance(entry, dict):
        raise _SchemaError("needs: a list of objects is expected")
    return Need(
        fact=_get(entry, "fact", str, "needs."),
        mend=str(entry.get("mend", "")),
        at_least=_get(entry, "at_least", str, "needs.") if "at_least" in entry else None,
        one_of=_strings(entry, "one_of", "needs.") if "one_of" in entry else (),
    )


def _requirement(entry: object) -> Mapping[str, Any]:
    if not isinstance(entry, dict):
        raise _SchemaError("requires: a list of objects is expected")
    if "path" in entry:
        _inside(_get(entry, "path", str, "requires."), "requires.path")
    return entry


def _get(data: dict[str, Any], key: str, kind: type, where: str = "") -> Any:
    if key not in data:
        raise _SchemaError(f"{where}{key} is missing")
    value = data[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _SchemaError(f"{where}{key}: {kind.__name__} is expected, not {type(value).__name__}")
    return value


def _strings(data: dict[str, Any], key: str, where: str = "") -> tuple[str, ...]:
    values = _get(data, key, list, where)
    if not all(isinstance(value, str) for value in values):
        raise _SchemaError(f"{where}{key}: a list of strings is expected")
    return tuple(values)


def _inside(name: str, key: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in name or not parts:
        raise _SchemaError(f"{key}: {name!r} leaves the runtime's folder")
    return name


def _sha256(file: str) -> str:
    import hashlib  # noqa: PLC0415 - 3 ms that only `doctor --verify` needs to spend

    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
