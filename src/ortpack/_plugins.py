"""Plugins: execution provider libraries that are registered with a runtime which is loaded.

A user registers one by hand, or asks for a device that a plugin serves. This module also finds the packages that
vendors publish plugins in (`onnxruntime-ep-openvino`, …). It imports such a package only when its device or provider is
asked for, and from the file that its distribution installed.
"""

from __future__ import annotations

import enum
import functools
import re
import threading
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ortpack._installed import PLUGIN, PLUGIN_API, BaseRuntime, Runtime, search_folders
from ortpack.errors import InvalidArgument, RuntimeLoadError, RuntimeNotFoundError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from ortpack._binding import Library, NativeEpDevice

_TYPES = ("GPU", "NPU", "CPU")  # where a provider offers several devices, one of the first type is taken


class OrtHardwareDeviceType(enum.IntEnum):
    """The types of devices."""

    CPU = 0
    GPU = 1
    NPU = 2


@dataclass(frozen=True, kw_only=True)
class OrtHardwareDevice:
    """A device of this machine, as ONNX Runtime found it."""

    type: OrtHardwareDeviceType
    vendor_id: int  # PCI
    vendor: str
    device_id: int  # PCI
    metadata: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True, kw_only=True)
class OrtEpDevice:
    """A device together with an execution provider that can use it. It belongs to one runtime."""

    ep_name: str
    ep_vendor: str
    ep_metadata: Mapping[str, str] = field(hash=False)
    ep_options: Mapping[str, str] = field(hash=False)  # the provider's defaults for this device
    device: OrtHardwareDevice
    _native: NativeEpDevice = field(repr=False)


@dataclass
class _Registration:
    """A library that is registered with a runtime."""

    path: Path
    ep_names: frozenset[str]
    sessions: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)  # the sessions that run on it


_registered: dict[tuple[str, str], _Registration] = {}  # (path of the runtime's library, name)
_lock = threading.RLock()


def devices_of(library: Library) -> list[OrtEpDevice]:
    """List the devices that the providers of a library offer on this machine.

    Raises:
        NotImplemented: the library is older than ONNX Runtime 1.22.
    """
    from ortpack import _binding  # noqa: PLC0415 - loads native code

    found = []
    for entry in _binding.ep_devices(library):
        native, ep_name, ep_vendor, ep_metadata, ep_options, kind, vendor_id, vendor, number, metadata = entry
        device = OrtHardwareDevice(
            type=OrtHardwareDeviceType(kind), vendor_id=vendor_id, vendor=vendor, device_id=number, metadata=metadata
        )
        found.append(
            OrtEpDevice(
                ep_name=ep_name,
                ep_vendor=ep_vendor,
                ep_metadata=ep_metadata,
                ep_options=ep_options,
                device=device,
                _native=native,
            )
        )
    return found


def device_for(library: Library, ep_name: str, kind: str | None = None) -> OrtEpDevice | None:
    """Choose a provider's device where the user named none: a GPU before an NPU before the CPU.

    Args:
        library: the library that has the provider.
        ep_name: the provider's name.
        kind: "CPU", "GPU" or "NPU" for a device of that type only.
    """
    if library.api_version < PLUGIN_API:
        return None
    offered = [device for device in devices_of(library) if device.ep_name == ep_name]
    for wanted in (kind,) if kind else _TYPES:
        for device in offered:
            if device.device.type.name == wanted:
                return device
    return None


def use(library: Library, ep_names: Iterable[str], session: object) -> None:
    """Remember that a session runs on these providers: `unregister` refuses while it lives."""
    names = set(ep_names)
    with _lock:
        for (path, _), registration in _registered.items():
            if path == library.path and names & registration.ep_names:
                registration.sessions.add(session)


def activate(library: Library, plugin: Runtime) -> Runtime:
    """Register an installed plugin with a loaded library, unless it is already; return it with its providers' names.

    The names are those of the devices that appear, since a vendor's package need not tell them.

    Raises:
        RuntimeLoadError: the plugin can't be loaded, or offers no device on this machine.
    """
    from ortpack.errors import OrtError  # noqa: PLC0415

    base = plugin.base
    assert base is not None  # noqa: S101 - every plugin has one
    name, file, wanted = base.registration, plugin.library, plugin.providers
    if plugin.provenance.get("origin") == "vendor":
        name, file, wanted = _ask(plugin)
    with _lock:
        # The user may have registered the same file by hand, under another name
        same = (key for key, known in _registered.items() if key[0] == library.path and known.path == file.absolute())
        name = next(same, (library.path, name))[1]
        if (library.path, name) not in _registered:
            try:
                register(library, name, file)
            except (OrtError, RuntimeNotFoundError) as error:
                raise RuntimeLoadError(f"the plugin {plugin.name!r} can't be used: {error}") from error
        registration = _registered[library.path, name]
    providers = tuple(n for n in wanted if n in registration.ep_names) or tuple(sorted(registration.ep_names))
    if not providers:
        raise RuntimeLoadError(
            f"the plugin {plugin.name!r} was registered from {file}, but it offers no device on this machine"
        )
    return described(plugin, providers)


def described(plugin: Runtime, providers: tuple[str, ...]) -> Runtime:
    """Return the plugin with these providers; the first of them serves its devices."""
    return plugin._replace(providers=providers, devices=dict.fromkeys(plugin.devices, providers[:1]))


def register(library: Library, name: str, path: str | os.PathLike[str]) -> None:
    """Register an execution provider library with a runtime's library, and note which providers it brings.

    Raises:
        InvalidArgument: the name is taken.
        RuntimeNotFoundError: there is no such file.
        OrtError: the provider's library can't be loaded, or is for a newer ONNX Runtime.
    """
    from ortpack import _binding  # noqa: PLC0415 - loads native code

    path = Path(path).absolute()
    if not path.is_file():
        raise RuntimeNotFoundError(f"there is no execution provider library at {path}")
    with _lock:
        if (library.path, name) in _registered:
            raise InvalidArgument(f"an execution provider library is registered as {name!r} already")
        before = {device._native for device in devices_of(library)}
        _binding.register_ep_library(library, name, str(path))
        offered = frozenset(device.ep_name for device in devices_of(library) if device._native not in before)
        _registered[library.path, name] = _Registration(path=path, ep_names=offered)


def unregister(library: Library, name: str) -> None:
    """Take an execution provider library out of a runtime's library again.

    Raises:
        InvalidArgument: no such name is registered, or sessions still run on its devices.
    """
    from ortpack import _binding  # noqa: PLC0415 - loads native code

    with _lock:
        known = _registered.get((library.path, name))
        if known is None:
            names = sorted(name for path, name in _registered if path == library.path)
            raise InvalidArgument(
                f"no execution provider library is registered as {name!r}; registered are: {', '.join(names) or 'none'}"
            )
        if running := len(known.sessions):
            raise InvalidArgument(f"{name!r} can't be unregistered: {running} session(s) still run on its devices")
        _binding.unregister_ep_library(library, name)
        del _registered[library.path, name]


# --- packages of vendors ------------------------------------------------------------------------------------------

_HELPER = re.compile(r"^def get_library_path\(", re.MULTILINE)


def vendor_plugins(companions: Iterable[Runtime] = ()) -> tuple[Runtime, ...]:
    """List the plugins in vendors' packages.

    Args:
        companions: installed runtimes. A package of ours that describes a vendor's plugin (devices, needs) takes that
            plugin's place, so it is left out.
    """
    names = {entry.name for entry in companions}
    known = {entry.base.distribution for entry in companions if entry.base}
    found = _vendor_plugins(search_folders())
    return tuple(p for p in found if p.name not in names and p.provenance["distribution"] not in known)


@functools.cache
def _vendor_plugins(folders: Sequence[Path]) -> tuple[Runtime, ...]:
    """Find the packages that define `get_library_path`, the helper that ONNX Runtime documents for plugins.

    Their sources are read and none is imported. Only packages that a distribution in `folders` says it installed are
    looked at.
    """
    from importlib.metadata import distributions  # noqa: PLC0415 - slow to import, and rarely needed

    found: dict[str, Runtime] = {}
    for folder in folders:
        for distribution in distributions(path=[str(folder)]):
            for package in _packages(distribution):
                file = folder / package / "__init__.py"
                try:
                    source = file.read_text(encoding="utf-8")
                except (OSError, ValueError):
                    continue
                if package == "ortpack" or not _HELPER.search(source):
                    continue
                plugin = _described(distribution.metadata["Name"], distribution.version, package, file)
                found.setdefault(plugin.name, plugin)
    return tuple(found[name] for name in sorted(found))


def _packages(distribution: Any) -> set[str]:
    """List the top-level packages that a distribution says it installed."""
    if listed := distribution.read_text("top_level.txt"):
        return {name for name in listed.split() if name.isidentifier()}
    files = distribution.files or ()
    return {file.parts[0] for file in files if len(file.parts) == 2 and file.parts[1] == "__init__.py"}


def _described(distribution: str, version: str, package: str, file: Path) -> Runtime:
    name = re.sub(r"[-_.]+", "-", distribution).lower()
    name = re.sub(r"^onnxruntime-(ep-)?", "", name)
    return Runtime(
        name=name,
        variant="",
        target="this platform",
        ort_version=version,
        api_version=PLUGIN_API,
        linkage="shared",
        folder=str(file.parent),
        file=str(file),  # the package's `__init__.py`; `_ask` calls it for the library when that is needed
        providers=(),
        devices={name: (), **{f"{name}-{kind.lower()}": () for kind in _TYPES}},
        priority=-1,
        model_formats=(),
        reduced=False,
        platform={},
        files={},
        requires=(),
        provenance={"origin": "vendor", "distribution": distribution, "package": package},
        kind=PLUGIN,
        base=BaseRuntime(
            ort_versions="", registration=package, device_types={f"{name}-{kind.lower()}": kind for kind in _TYPES}
        ),
    )


@functools.cache
def _helpers(file: Path, package: str) -> Any:
    """Import a vendor's package from its file: a module of that name elsewhere on `sys.path` is not taken."""
    import importlib.util  # noqa: PLC0415
    import sys  # noqa: PLC0415

    loaded = sys.modules.get(package)
    if loaded is not None and getattr(loaded, "__file__", None) == str(file):
        return loaded
    name = f"_ortpack_vendor_{package}"
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])
    assert spec is not None  # noqa: S101 - the file exists and ends in .py
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _ask(plugin: Runtime) -> tuple[str, Path, tuple[str, ...]]:
    """Ask a vendor's package for its registration name, its library and its providers' names (maybe none).

    Raises:
        RuntimeLoadError: the package's helpers fail.
    """
    package = str(plugin.provenance["package"])
    try:
        helpers = _helpers(plugin.library, package)
        library = Path(helpers.get_library_path())
        names = tuple(helpers.get_ep_names()) if hasattr(helpers, "get_ep_names") else ()
        registration = str(getattr(helpers, "REGISTRATION_NAME", names[0] if names else package))
    except Exception as error:
        distribution = plugin.provenance["distribution"]
        raise RuntimeLoadError(f"the package {distribution} can't tell where its library is: {error}") from error
    return registration, library, names


def provider_names(plugin: Runtime) -> tuple[str, ...]:
    """List the names of a plugin's providers, if it tells them; imports the vendor's package."""
    if plugin.providers:
        return plugin.providers
    try:
        return _ask(plugin)[2]
    except RuntimeLoadError:
        return ()
