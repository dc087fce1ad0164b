"""ortpack: ONNX Runtime, with the right native library resolved at run time.

The names are those of `onnxruntime`, so `import ortpack as onnxruntime` is how to move over. Importing this package
loads nothing native, and not even NumPy: each name is fetched from its module when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ortpack import errors as errors
    from ortpack._installed import Runtime as Runtime
    from ortpack._resolve import Candidate as Candidate
    from ortpack._resolve import Resolution as Resolution
    from ortpack._runtime import LoadedRuntime as LoadedRuntime
    from ortpack._runtime import explain as explain
    from ortpack._runtime import load_runtime as load_runtime
    from ortpack._runtime import runtime as runtime
    from ortpack._runtime import runtimes as runtimes

__version__ = "0.1.0"

_MODULES = {
    "_installed": ("Runtime",),
    "_resolve": ("Candidate", "Resolution"),
    "_runtime": ("LoadedRuntime", "explain", "load_runtime", "runtime", "runtimes"),
    "errors": ("FallbackWarning", "OrtError", "OrtpackError", "ResolutionError"),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_WHERE)  # noqa: PLE0605 - all of them, and nothing else


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415 - only when a name is used

    value: object
    if name == "errors":
        value = import_module(f"{__name__}.errors")
    elif module := _WHERE.get(name):
        value = getattr(import_module(f"{__name__}.{module}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
