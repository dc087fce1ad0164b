"""Runtimes are loaded here: the environment is read, a runtime is resolved, and its library stays in the process."""

from __future__ import annotations

import functools
import os
from _thread import RLock  # threading's, without importing the rest of that
from typing import TYPE_CHECKING

from ortpack import _telemetry
from ortpack._binary import NotALibraryError, identify
from ortpack._installed import (
    CPU,
    PLUGIN,
    RUNTIME,
    BrokenRuntime,
    Runtime,
    absolute,
    described,
    installed,
    installed_as,
    is_library,
    read_runtime,
)
from ortpack._machine import this_machine
from ortpack._resolve import Candidate, Resolution, Wish, demand, resolve
from ortpack._value import Value
from ortpack.errors import (
    OrtError,
    RuntimeLoadError,
    RuntimeNotFoundError,
    RuntimeUnusableError,
    UnknownDeviceError,
    warn_fallback,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ortpack import _frozen  # noqa: F401 - cx_Freeze reads it
    from ortpack._binding import Library
    from ortpack._facts import Fact, Facts

LIBRARY_VARIABLE = "ORTPACK_LIBRARY"
RUNTIME_VARIABLE = "ORTPACK_RUNTIME"

_loading = RLock()


class LoadedRuntime(Value):
    """A runtime whose library is in this process, for as long as the process lives."""

    info: Runtime
    library: Library
    base: Runtime | None = None  # plugins and extensions: the runtime whose library it is

    def __str__(self) -> str:
        return f"{self.info.name} (ORT {self.library.version}) from {(self.base or self.info).file}"


def runtimes() -> tuple[Runtime, ...]:
    """List the installed runtimes, by name. Broken folders are left out; `explain()` and `doctor` show them."""
    return tuple(runtime for runtime in installed() if isinstance(runtime, Runtime))


def explain(device: str | None = None, providers: Sequence[str] = (), runtime: str | None = None) -> Resolution:
    """Tell which runtime would be taken, and why each of the others would not. Nothing is loaded.

    `ORTPACK_RUNTIME` is taken into account; `ORTPACK_LIBRARY`, which names a file and needs no choice, is not.
    """
    wish = _wish(device=device, providers=tuple(providers), runtime=runtime)
    return _judge(_with_vendors(installed(), wish), wish)


def _resolved(runtime: str | None = None) -> Resolution:
    """Resolve as `explain` does; where a runtime is named and can be used, the others are not looked at."""
    wish = _wish(device=None, providers=(), runtime=runtime)
    named = installed_as(wish.runtime) if wish.runtime else None
    if isinstance(named, Runtime) and named.kind == RUNTIME:
        alone = _judge((named,), wish)
        if alone.chosen:
            return alone
    return explain(runtime=runtime)


def _judge(found: Iterable[Runtime | BrokenRuntime], wish: Wish) -> Resolution:
    found = tuple(found)
    damage = {entry.name: entry.damage() for entry in found if isinstance(entry, Runtime)}
    return resolve(found, this_machine(), wish, damage, _OnDemand())


class _OnDemand:
    """This machine's facts. Their module, which is slow to import, is imported when a candidate needs a fact."""

    def __getitem__(self, name: str) -> Fact:
        return _facts()[name]

    def find(self, requirement: Mapping[str, object]) -> Path | None:
        return _facts().find(requirement)


@functools.cache
def _facts() -> Facts:
    from ortpack._facts import these_facts  # noqa: PLC0415

    return these_facts()


def _with_vendors(found: Iterable[Runtime | BrokenRuntime], wish: Wish) -> tuple[Runtime | BrokenRuntime, ...]:
    """Add vendors' plugins to `found` when the wish names a runtime, device or provider that none of `found` has."""
    found = tuple(found)
    here = tuple(entry for entry in found if isinstance(entry, Runtime))
    no_name = wish.runtime is not None and all(wish.runtime != entry.name for entry in found)
    no_device = wish.device is not None and all(wish.device not in entry.devices for entry in here)
    lacking = {name for name in wish.providers if all(name not in entry.providers for entry in here)}
    if not (no_name or no_device or lacking):
        return found
    from ortpack._plugins import described, provider_names, vendor_plugins  # noqa: PLC0415 - reads many files

    plugins = vendor_plugins(here)
    if lacking:
        plugins = tuple(described(plugin, provider_names(plugin)) for plugin in plugins)
    return (*found, *plugins)


def _wish(*, device: str | None, providers: tuple[str, ...], runtime: str | None) -> Wish:
    if runtime is not None:
        return Wish(runtime=runtime, device=device, providers=providers, asked_by="runtime=")
    if name := os.environ.get(RUNTIME_VARIABLE):
        return Wish(runtime=name, device=device, providers=providers, asked_by=RUNTIME_VARIABLE)
    return Wish(device=device, providers=providers, asked_by="device=" if device else "automatic")


def runtime() -> LoadedRuntime:
    """Load the default runtime: that of `ORTPACK_LIBRARY` or `ORTPACK_RUNTIME`, or the best that works.

    It is resolved and loaded once; changes of these variables after that have no effect.

    Raises:
        ResolutionError: nothing is installed, or nothing that works here.
    """
    with _loading:
        return _default()


@functools.cache
def _default() -> LoadedRuntime:
    if named := os.environ.get(LIBRARY_VARIABLE):
        return _load_path(named, asked_by=LIBRARY_VARIABLE)
    return _load_best(_resolved())


def load_runtime(name_or_path: str | os.PathLike[str]) -> LoadedRuntime:
    """Load one runtime, beside any others that are loaded. Sessions take the result as `runtime=`.

    Args:
        name_or_path: the name of an installed runtime; or the path of a runtime's folder, or of any ONNX Runtime
            library. A string with a path separator is a path.

    Raises:
        RuntimeNotFoundError: nothing of that name is installed, or the path does not exist.
        RuntimeUnusableError: the runtime can't work on this machine.
        RuntimeManifestError: its `runtime.json` can't be used.
        RuntimeLoadError: its library can't be loaded, or is not ONNX Runtime.
    """
    return _load_named(name_or_path, None)


def _load_named(name_or_path: str | os.PathLike[str], device: str | None) -> LoadedRuntime:
    """Load as `load_runtime` does. A runtime whose accelerator can't work here is taken too if it serves `device`."""
    with _loading:
        if isinstance(name_or_path, str) and not _is_path(name_or_path):
            resolution = _resolved(name_or_path)
            if device is not None and resolution.chosen is None:
                on_device = explain(runtime=name_or_path, device=device)
                resolution = on_device if on_device.chosen else resolution
            return _load(demand(resolution), resolution)
        return _load_path(name_or_path, asked_by="load_runtime")


def select(
    *,
    device: str | None,
    providers: Sequence[str] | None,
    runtime: LoadedRuntime | str | os.PathLike[str] | None,
    allow_fallback: bool = True,
) -> LoadedRuntime:
    """Load the runtime for a session with these wishes.

    Args:
        device: a device that it has to serve, if any.
        providers: execution providers that it has to have, if any.
        runtime: the runtime itself, or its name or path; None lets the others decide.
        allow_fallback: False to refuse a runtime that would only be taken because a better one can't work.

    Raises:
        ResolutionError: when an explicit wish can't be met; nothing is taken in its stead.
    """
    # Every runtime has the CPU's provider, so that one is no reason to leave the default runtime.
    named = tuple(provider for provider in providers or () if provider != CPU)
    with _loading:
        if runtime is not None or os.environ.get(LIBRARY_VARIABLE):
            if runtime is None:
                loaded = _default()
            else:
                loaded = runtime if isinstance(runtime, LoadedRuntime) else _load_named(runtime, device)
            return _serving(loaded, device, named)
        if device is None and not named:
            if not allow_fallback:
                _refuse_fallback(explain())
            return _runtime_default()
        resolution = explain(device=device, providers=named)
        return _load(demand(resolution), resolution)


def _serving(loaded: LoadedRuntime, device: str | None, providers: tuple[str, ...]) -> LoadedRuntime:
    """Return `loaded`, or it with a plugin that adds the device or the providers if it does not have them itself.

    Raises:
        UnknownDeviceError: neither it nor a plugin serves the device.
    """
    available = loaded.library.available_providers()
    lacking = tuple(name for name in providers if name not in available and name not in loaded.info.providers)
    if (device is None or device in loaded.info.devices) and not lacking:
        return loaded
    base = loaded.base or loaded.info
    wish = Wish(runtime=base.name, device=device, providers=lacking, asked_by="runtime=")
    plugins = [entry for entry in _with_vendors((base, *installed()), wish) if isinstance(entry, Runtime)]
    resolution = _judge([base, *(entry for entry in plugins if entry.kind == PLUGIN)], wish)
    if resolution.chosen is not None:
        return _load(resolution.chosen, resolution)
    if device is None:
        return loaded  # the session names the provider that is missing
    reasons = "".join(f"; {c.runtime.name}: {c.reason}" for c in resolution.candidates if c.unfit)
    raise UnknownDeviceError(
        f"the runtime {loaded.info.name!r} does not serve device={device!r}; "
        f"it serves: {', '.join(loaded.info.devices)}{reasons}"
    )


def _refuse_fallback(resolution: Resolution) -> None:
    if passed := resolution.passed_over:
        reasons = "; ".join(f"{c.runtime.name}: {c.reason}" for c in passed)
        raise RuntimeUnusableError(f"allow_fallback=False, and what should be used can't be: {reasons}")


_runtime_default = runtime  # `select` has a parameter of that name


def _is_path(text: str) -> bool:
    return os.sep in text or bool(os.altsep and os.altsep in text)


def next_best(loaded: LoadedRuntime, error: Exception) -> LoadedRuntime | None:
    """Load what automatic mode tries after `loaded`, which failed with `error`, and warn; None when nothing is left."""
    resolution = explain()
    after = [candidate for candidate in resolution.candidates if candidate.usable]
    names = [candidate.runtime.name for candidate in after]
    if resolution.wish.runtime or os.environ.get(LIBRARY_VARIABLE) or loaded.info.name not in names:
        return None
    after = after[names.index(loaded.info.name) + 1 :]
    with _loading:
        return _first_that_loads(after, [f"{loaded.info.name}: {error}"]) if after else None


def _load_best(resolution: Resolution) -> LoadedRuntime:
    """Load the best usable runtime. What can't be used is passed over with one warning, unless it was named."""
    chosen = demand(resolution)
    if resolution.wish.runtime:
        return _load(chosen, resolution)
    failures = [f"{c.runtime.name}: {c.reason}" for c in resolution.passed_over]
    return _first_that_loads([candidate for candidate in resolution.candidates if candidate.usable], failures)


def _first_that_loads(candidates: Sequence[Candidate], failures: list[str]) -> LoadedRuntime:
    for candidate in candidates:
        assert isinstance(candidate.runtime, Runtime)  # noqa: S101 - usable ones are
        try:
            loaded = _open_candidate(candidate.runtime, candidate.base)
            _prove(loaded)
        except (RuntimeLoadError, OrtError) as error:
            failures.append(f"{candidate.runtime.name}: {error}")
            continue
        if failures:
            warn_fallback(f"ortpack runs on {loaded.info.name!r} because: {'; '.join(failures)}")
        return loaded
    raise RuntimeLoadError("no installed runtime can be loaded: " + "; ".join(failures))


def _prove(loaded: LoadedRuntime) -> None:
    """Let ONNX Runtime load the libraries of the default device's providers: its list of names does not prove them.

    Raises:
        OrtError: a provider's library can't be loaded, as ONNX Runtime reports it.
    """
    if loaded.info.kind == PLUGIN:
        return  # its devices were seen when it was registered
    for provider in next(iter(loaded.info.devices.values())):
        if provider != CPU:
            from ortpack._binding import NativeSessionOptions  # noqa: PLC0415 - native code

            try:
                NativeSessionOptions(loaded.library).append_provider(provider, {})
            except OrtError as error:
                raise with_cause(error, loaded) from None


def with_cause(error: OrtError, loaded: LoadedRuntime) -> OrtError:
    """Add to an error of a provider what the system says of those of the runtime's libraries that it can't load."""
    own = loaded.info
    files = [own.path / name for name in own.files if own.path / name != own.library and is_library(name)]
    if own.base and own.base.runtime:
        files += [own.path.parent / own.base.runtime / name for name in own.base.files]
    from ortpack._preload import refused  # noqa: PLC0415 - something has failed

    reasons = [reason for reason in refused(files) if reason not in str(error)]
    return type(error)(f"{error}: {'; '.join(reasons)}") if reasons else error


def _load(found: Runtime, resolution: Resolution) -> LoadedRuntime:
    base = next((c.base for c in resolution.candidates if c.runtime is found or c.runtime == found), None)
    return _open_candidate(found, base)


def _open_candidate(found: Runtime, base: Runtime | None) -> LoadedRuntime:
    """Load what a runtime requires from pip, then its library; register it if it is a plugin."""
    requires = [*(base.requires if base else ()), *found.requires]
    if any(entry.get("from") == "pip" for entry in requires):
        from ortpack._preload import preload  # noqa: PLC0415

        preload(requires, _facts().find)
    library = _open(os.path.realpath((base or found).file))
    if found.kind == PLUGIN:
        from ortpack._plugins import activate  # noqa: PLC0415

        found = activate(library, found)
    return LoadedRuntime(info=found, library=library, base=base)


def _load_path(path: str | os.PathLike[str], *, asked_by: str) -> LoadedRuntime:
    path = absolute(os.path.expanduser(path))
    if not os.path.exists(path):
        raise RuntimeNotFoundError(f"{asked_by}: {path} does not exist")
    if os.path.isdir(path):
        found = read_runtime(path)
        # Plugins and extensions need an installed runtime; a runtime needs nothing else.
        others = [] if found.kind == RUNTIME else [entry for entry in installed() if entry.name != found.name]
        resolution = _judge([found, *others], Wish(runtime=found.name, asked_by=asked_by))
        return _load(demand(resolution), resolution)
    library = _open(os.path.realpath(path))
    return LoadedRuntime(info=described(path, library), library=library)


@functools.cache
def _open(path: str) -> Library:
    from ortpack._binding import Library  # noqa: PLC0415 - the first native code to be loaded

    _telemetry.prepare()
    machine = this_machine()
    try:
        facts = identify(path)
    except NotALibraryError as error:
        raise RuntimeLoadError(f"{path} is not a library that can be loaded: {error}") from error
    except OSError as error:
        raise RuntimeLoadError(f"{path} can't be read: {error.strerror}") from error
    if facts.os != machine.os or machine.arch not in facts.arches:
        raise RuntimeLoadError(
            f"{path} is a {facts.format} library for {facts.os} on {'/'.join(facts.arches)}; this process is {machine}"
        )
    return Library(path)
