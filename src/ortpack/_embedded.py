"""This module takes the place of `_runtime` in a package that carries ONNX Runtime in its own extension module.

`ortpack-build wheel --embed` writes such packages. They have one runtime, so there is nothing to choose: no variable
names another, and `runtime.json` may lie beside the module. The functions are those of `_runtime`.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from ortpack import _telemetry
from ortpack._installed import Runtime, absolute, described, read_runtime
from ortpack._machine import this_machine
from ortpack._value import Value
from ortpack.errors import RuntimeNotFoundError, UnknownDeviceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ortpack._binding import Library
    from ortpack._resolve import Resolution
    from ortpack.errors import OrtError


class LoadedRuntime(Value):
    """The runtime in this package."""

    info: Runtime
    library: Library
    base: Runtime | None = None  # only plugins and extensions have one, and there are none here

    def __str__(self) -> str:
        return f"{self.info.name} (ORT {self.library.version}) in {self.info.file}"


def runtimes() -> tuple[Runtime, ...]:
    """List the one runtime that there is."""
    return (_own(),)


def explain(device: str | None = None, providers: Sequence[str] = (), runtime: str | None = None) -> Resolution:
    """Give the one runtime that there is in the form of a choice. Nothing is loaded."""
    from ortpack._resolve import USABLE, Candidate, Resolution, Wish  # noqa: PLC0415 - only to explain

    wish = Wish(device=device, providers=tuple(providers), runtime=runtime, asked_by="embedded")
    reason = f"ORT {_own().ort_version} is part of this package"
    only = Candidate(runtime=_own(), verdict=USABLE, reason=reason)
    return Resolution(wish=wish, machine=this_machine(), candidates=(only,))


@functools.cache
def runtime() -> LoadedRuntime:
    """Load the one runtime that there is."""
    from ortpack._binding import Library  # noqa: PLC0415 - the first native code to be loaded

    _telemetry.prepare()
    return LoadedRuntime(info=_own(), library=Library(_own().file))


def load_runtime(name_or_path: str | os.PathLike[str]) -> LoadedRuntime:
    """Load the one runtime that there is, if it is the one that is asked for.

    Raises:
        RuntimeNotFoundError: another one is asked for; a package with its own runtime loads no other.
    """
    own = _own()
    if name_or_path == own.name or os.path.normpath(absolute(name_or_path)) in (own.folder, own.file):
        return runtime()
    raise RuntimeNotFoundError(
        f"{os.fspath(name_or_path)!r}: {__package__} carries the runtime {own.name!r} and loads no other"
    )


def select(
    *,
    device: str | None,
    providers: Sequence[str] | None,  # noqa: ARG001 - the session says which it lacks
    runtime: LoadedRuntime | str | os.PathLike[str] | None,
    allow_fallback: bool = True,  # noqa: ARG001 - there is nothing to fall back to
) -> LoadedRuntime:
    """Load the one runtime that there is, for a session.

    Raises:
        ResolutionError: another one is asked for, or a device that it does not serve.
    """
    if runtime is None:
        loaded = _only()
    elif isinstance(runtime, LoadedRuntime):
        loaded = runtime
    else:
        loaded = load_runtime(runtime)
    if device is not None and device not in loaded.info.devices:
        raise UnknownDeviceError(
            f"the runtime {loaded.info.name!r} does not serve device={device!r}; "
            f"it serves: {', '.join(loaded.info.devices)}"
        )
    return loaded


_only = runtime  # `select` has a parameter of that name


def with_cause(error: OrtError, loaded: LoadedRuntime) -> OrtError:  # noqa: ARG001 - as in `_runtime`
    """Return the error unchanged: everything is in one library, which has been loaded, so there is no other cause."""
    return error


def next_best(loaded: LoadedRuntime, error: Exception) -> LoadedRuntime | None:  # noqa: ARG001 - as in `_runtime`
    """Return None: there is no other runtime to try."""
    return None


@functools.cache
def _own() -> Runtime:
    folder = os.path.dirname(__file__)
    if os.path.isfile(os.path.join(folder, "runtime.json")):
        return read_runtime(folder)
    # Tools that make an application of Python's modules leave data files out, and the module needs none
    from ortpack import _binding  # noqa: PLC0415 - the first native code to be loaded

    _telemetry.prepare()
    about = described(_binding.__file__, _binding.Library())
    return about._replace(name=__package__, linkage="static")
