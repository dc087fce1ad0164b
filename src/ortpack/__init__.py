"""ortpack: ONNX Runtime, with the right native library resolved at run time.

The names are those of `onnxruntime`, so `import ortpack as onnxruntime` is how to move over. Importing this package
loads nothing native, and not even NumPy: each name is fetched from its module when it is first used.

All public names stand in this file. `_session`, `_options` and `_values` are the API of models; `_functions` asks and
sets up runtimes. `_runtime` loads them: `_installed` finds what is there, `_resolve` chooses by what `_machine`,
`_facts` and `_needs` tell, `_plugins` adds execution providers. `_binding` is the native code, `_embedded` takes the
place of `_runtime` in packages that carry ONNX Runtime themselves.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know the name; typing's takes longer to import than all of this package

if TYPE_CHECKING:
    from ortpack import errors as errors
    from ortpack._binding import RunOptions as RunOptions
    from ortpack._enums import ExecutionMode as ExecutionMode
    from ortpack._enums import ExecutionOrder as ExecutionOrder
    from ortpack._enums import GraphOptimizationLevel as GraphOptimizationLevel
    from ortpack._functions import get_all_providers as get_all_providers
    from ortpack._functions import get_available_providers as get_available_providers
    from ortpack._functions import get_build_info as get_build_info
    from ortpack._functions import get_device as get_device
    from ortpack._functions import get_ep_devices as get_ep_devices
    from ortpack._functions import get_version_string as get_version_string
    from ortpack._functions import register_execution_provider_library as register_execution_provider_library
    from ortpack._functions import set_default_logger_severity as set_default_logger_severity
    from ortpack._functions import set_global_thread_pool_sizes as set_global_thread_pool_sizes
    from ortpack._functions import unregister_execution_provider_library as unregister_execution_provider_library
    from ortpack._installed import Runtime as Runtime
    from ortpack._options import SessionOptions as SessionOptions
    from ortpack._options import set_default_logger_verbosity as set_default_logger_verbosity
    from ortpack._plugins import OrtEpDevice as OrtEpDevice
    from ortpack._plugins import OrtHardwareDevice as OrtHardwareDevice
    from ortpack._plugins import OrtHardwareDeviceType as OrtHardwareDeviceType
    from ortpack._resolve import Candidate as Candidate
    from ortpack._resolve import Resolution as Resolution
    from ortpack._runtime import LoadedRuntime as LoadedRuntime
    from ortpack._runtime import explain as explain
    from ortpack._runtime import load_runtime as load_runtime
    from ortpack._runtime import runtime as runtime
    from ortpack._runtime import runtimes as runtimes
    from ortpack._session import InferenceSession as InferenceSession
    from ortpack._session import ModelMetadata as ModelMetadata
    from ortpack._session import NodeArg as NodeArg
    from ortpack._session import PlacedNode as PlacedNode
    from ortpack._telemetry import disable_telemetry_events as disable_telemetry_events
    from ortpack._telemetry import enable_telemetry_events as enable_telemetry_events
    from ortpack._values import IOBinding as IOBinding
    from ortpack._values import OrtDevice as OrtDevice
    from ortpack._values import OrtValue as OrtValue
    from ortpack.errors import FallbackWarning as FallbackWarning
    from ortpack.errors import OrtError as OrtError
    from ortpack.errors import OrtpackError as OrtpackError
    from ortpack.errors import ResolutionError as ResolutionError

__version__ = "0.1.0"

# Module → its public names: the same as above, for Python itself.
_MODULES = {
    "_binding": ("RunOptions",),
    "_enums": ("ExecutionMode", "ExecutionOrder", "GraphOptimizationLevel"),
    "_functions": (
        "get_all_providers",
        "get_available_providers",
        "get_build_info",
        "get_device",
        "get_ep_devices",
        "get_version_string",
        "register_execution_provider_library",
        "set_default_logger_severity",
        "set_global_thread_pool_sizes",
        "unregister_execution_provider_library",
    ),
    "_installed": ("Runtime",),
    "_options": ("SessionOptions", "set_default_logger_verbosity"),
    "_plugins": ("OrtEpDevice", "OrtHardwareDevice", "OrtHardwareDeviceType"),
    "_resolve": ("Candidate", "Resolution"),
    "_runtime": ("LoadedRuntime", "explain", "load_runtime", "runtime", "runtimes"),
    "_session": ("InferenceSession", "ModelMetadata", "NodeArg", "PlacedNode"),
    "_telemetry": ("disable_telemetry_events", "enable_telemetry_events"),
    "_values": ("IOBinding", "OrtDevice", "OrtValue"),
    "errors": ("FallbackWarning", "OrtError", "OrtpackError", "ResolutionError"),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_WHERE)  # noqa: PLE0605 - ruff wants a list that is written out


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415 - only when a name is used

    value: object
    if name == "errors":
        value = import_module(f"{__name__}.errors")
    elif module := _WHERE.get(name):
        try:
            value = getattr(import_module(f"{__name__}.{module}"), name)
        except ImportError as error:
            if (explained := _explained(error)) is error:
                raise
            raise explained from error
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _explained(error: ImportError) -> ImportError:
    """Make of an error one that says what to do, if this package lies in an archive."""
    from pathlib import Path  # noqa: PLC0415 - only when something has failed

    archive = Path(__file__).parents[1]
    if not archive.is_file():
        return error
    return ImportError(
        f"{__name__} lies in an archive, {archive}, and the system loads native modules from files only: unpack the "
        f"archive (python -m zipfile -e {archive} FOLDER), and name that folder in its place on sys.path"
    )


def __dir__() -> list[str]:
    return __all__
