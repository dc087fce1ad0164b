"""The edge between resolution and the native world: reads the environment, loads libraries, keeps them."""

from __future__ import annotations

import functools
import os
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack._binary import NotALibraryError, identify
from ortpack._installed import Runtime, installed, read_runtime
from ortpack._machine import this_machine
from ortpack._resolve import CPU, Resolution, Wish, demand, resolve
from ortpack.errors import (
    FallbackWarning,
    RuntimeLoadError,
    RuntimeNotFoundError,
    UnknownDeviceError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ortpack._binding import Library

LIBRARY_VARIABLE = "ORTPACK_LIBRARY"
RUNTIME_VARIABLE = "ORTPACK_RUNTIME"

_loading = threading.RLock()


@dataclass(frozen=True, kw_only=True)
class LoadedRuntime:
    """A runtime whose library is in this process, for as long as the process lives."""

    info: Runtime
    library: Library

    def __str__(self) -> str:
        return f"{self.info.name} (ORT {self.library.version}) from {self.info.library}"


def runtimes() -> tuple[Runtime, ...]:
    """The installed runtimes, by name. Folders that are broken are left out; `explain()` and `doctor` show them."""
    return tuple(runtime for runtime in installed() if isinstance(runtime, Runtime))


def explain(device: str | None = None, providers: Sequence[str] = (), runtime: str | None = None) -> Resolution:
    """Which runtime would be taken, and why each of the others would not. Loads nothing.

    `ORTPACK_RUNTIME` is taken into account; `ORTPACK_LIBRARY`, which names a file and needs no choice, is not.
    """
    wish = _wish(device=device, providers=tuple(providers), runtime=runtime)
    found = installed()
    damage = {entry.name: entry.damage() for entry in found if isinstance(entry, Runtime)}
    return resolve(found, this_machine(), wish, damage)


def _wish(*, device: str | None, providers: tuple[str, ...], runtime: str | None) -> Wish:
    if runtime is not None:
        return Wish(runtime=runtime, device=device, providers=providers, asked_by="runtime=")
    if name := os.environ.get(RUNTIME_VARIABLE):
        return Wish(runtime=name, device=device, providers=providers, asked_by=RUNTIME_VARIABLE)
    return Wish(device=device, providers=providers, asked_by="device=" if device else "automatic")


def runtime() -> LoadedRuntime:
    """The runtime that is used when nobody names one: `ORTPACK_LIBRARY`, `ORTPACK_RUNTIME`, or the best that works.

    Resolved and loaded once; changes of the environment after that have no effect.

    Raises:
        ResolutionError: nothing is installed, or nothing that works here.
    """
    with _loading:
        return _default()


@functools.cache
def _default() -> LoadedRuntime:
    if named := os.environ.get(LIBRARY_VARIABLE):
        return _load_path(Path(named), asked_by=LIBRARY_VARIABLE)
    return _load_best(explain())


def load_runtime(name_or_path: str | os.PathLike[str]) -> LoadedRuntime:
    """Load one runtime, beside any others that are loaded: give it to sessions as `runtime=`.

    Args:
        name_or_path: the name of an installed runtime; or the path of a runtime's folder, or of any ONNX Runtime
            library. A string with a path separator is a path.

    Raises:
        RuntimeNotFoundError, RuntimeUnusableError, RuntimeManifestError, RuntimeLoadError: with what to do.
    """
    with _loading:
        if isinstance(name_or_path, str) and not _is_path(name_or_path):
            return _load(demand(explain(runtime=name_or_path)))
        return _load_path(Path(name_or_path), asked_by="load_runtime")


def select(
    *,
    device: str | None,
    providers: Sequence[str] | None,
    runtime: LoadedRuntime | str | os.PathLike[str] | None,
) -> LoadedRuntime:
    """The runtime for a session with these wishes.

    Raises:
        ResolutionError: when an explicit wish can't be met; nothing is taken in its stead.
    """
    if isinstance(runtime, LoadedRuntime):
        loaded = runtime
    elif runtime is not None:
        loaded = load_runtime(runtime)
    elif os.environ.get(LIBRARY_VARIABLE) or (device is None and not providers):
        loaded = _runtime_default()
    else:
        # Among the installed ones, the first that has what was asked for; CPU alone is no reason to leave the default.
        named = tuple(provider for provider in providers or () if provider != CPU)
        if device is None and not named:
            loaded = _runtime_default()
        else:
            with _loading:
                loaded = _load(demand(explain(device=device, providers=named)))
    if device is not None and device not in loaded.info.devices:
        raise UnknownDeviceError(
            f"the runtime {loaded.info.name!r} does not serve device={device!r}; "
            f"it serves: {', '.join(loaded.info.devices)}"
        )
    return loaded


_runtime_default = runtime  # `select` has a parameter of that name


def _is_path(text: str) -> bool:
    return os.sep in text or bool(os.altsep and os.altsep in text)


def _load_best(resolution: Resolution) -> LoadedRuntime:
    """Load the best usable runtime; what fails to load is passed over with one warning, unless it was named."""
    demand(resolution)
    failures: list[str] = []
    for candidate in resolution.usable:
        try:
            loaded = _load(candidate)
        except RuntimeLoadError as error:
            if resolution.wish.runtime:
                raise
            failures.append(str(error))
            continue
        if failures:
            warnings.warn(
                f"ortpack runs on {loaded.info.name!r} because: {'; '.join(failures)}", FallbackWarning, stacklevel=4
            )
        return loaded
    raise RuntimeLoadError("no installed runtime can be loaded: " + "; ".join(failures))


def _load(found: Runtime) -> LoadedRuntime:
    return LoadedRuntime(info=found, library=_open(found.library.resolve()))


def _load_path(path: Path, *, asked_by: str) -> LoadedRuntime:
    path = path.expanduser().absolute()
    if not path.exists():
        raise RuntimeNotFoundError(f"{asked_by}: {path} does not exist")
    if path.is_dir():
        found = read_runtime(path)
        wish = Wish(runtime=found.name, asked_by=asked_by)
        return _load(demand(resolve([found], this_machine(), wish, {found.name: found.damage()})))
    library = _open(path.resolve())
    return LoadedRuntime(info=_described(path, library), library=library)


def _described(path: Path, library: Library) -> Runtime:
    """What can be said of a bare library file: all that has no `runtime.json`."""
    providers = tuple(library.available_providers())
    return Runtime(
        name=path.name,
        variant="",
        target="",
        ort_version=library.version,
        api_version=library.api_version,
        linkage="shared",
        path=path.parent,
        library=path,
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


@functools.cache
def _open(path: Path) -> Library:
    from ortpack._binding import Library  # noqa: PLC0415 - the first native code to be loaded

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
    return Library(str(path))
