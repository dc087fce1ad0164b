"""The functions of the package that concern one runtime: the default one where none is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortpack._installed import CPU

if TYPE_CHECKING:
    import os

    from ortpack._binding import Library
    from ortpack._plugins import OrtEpDevice
    from ortpack._runtime import LoadedRuntime

# Every execution provider that some build of ONNX Runtime has, best first.
ALL_PROVIDERS = (
    "NvTensorRTRTXExecutionProvider",
    "TensorrtExecutionProvider",
    "CUDAExecutionProvider",
    "MIGraphXExecutionProvider",
    "ROCMExecutionProvider",
    "OpenVINOExecutionProvider",
    "DnnlExecutionProvider",
    "VitisAIExecutionProvider",
    "QNNExecutionProvider",
    "NnapiExecutionProvider",
    "VSINPUExecutionProvider",
    "JsExecutionProvider",
    "CoreMLExecutionProvider",
    "DmlExecutionProvider",
    "RknpuExecutionProvider",
    "WebNNExecutionProvider",
    "WebGpuExecutionProvider",
    "XnnpackExecutionProvider",
    "CANNExecutionProvider",
    "AzureExecutionProvider",
    CPU,
)


# --- what a runtime is and has -----------------------------------------------------------------------------------


def get_available_providers() -> list[str]:
    """List the execution providers of the default runtime."""
    return _library().available_providers()


def get_all_providers() -> list[str]:
    """List the execution providers that some build of ONNX Runtime has."""
    return list(ALL_PROVIDERS)


def get_version_string() -> str:
    """Tell the version of the default runtime's ONNX Runtime."""
    return _library().version


def get_build_info() -> str:
    """Tell how the default runtime's ONNX Runtime was built."""
    return _library().build_info()


def get_device() -> str:
    """Tell `GPU` when the default runtime has a provider for one, else `CPU`."""
    gpu = ("CUDA", "Tensorrt", "NvTensorRTRTX", "ROCM", "MIGraphX", "Dml", "WebGpu")
    return "GPU" if any(name.startswith(gpu) for name in get_available_providers()) else "CPU"


# --- settings ----------------------------------------------------------------------------------------------------


def set_default_logger_severity(severity: int) -> None:
    """Set what ONNX Runtime logs from now on: 0 verbose, 1 info, 2 warning (the default), 3 error, 4 fatal.

    It holds for every runtime, those that are loaded later included.

    Raises:
        InvalidArgument: there is no such severity.
    """
    from ortpack import _binding  # noqa: PLC0415 - loads native code

    _binding.set_default_logger_severity(severity)


def set_global_thread_pool_sizes(intra_op_num_threads: int, inter_op_num_threads: int) -> None:
    """Give the default runtime thread pools that sessions with `use_per_session_threads = False` share.

    Args:
        intra_op_num_threads, inter_op_num_threads: 0 for as many as there are cores, or as the process may use.

    Raises:
        Fail: a session was created already.
    """
    from ortpack._cpus import limit  # noqa: PLC0415 - only where threads are counted

    cpus = limit() or 0
    _library().set_global_threads(intra_op_num_threads or cpus, inter_op_num_threads or cpus)


# --- execution provider libraries ----------------------------------------------------------------------------------


def get_ep_devices(runtime: LoadedRuntime | None = None) -> list[OrtEpDevice]:
    """List the devices that the providers of a runtime offer on this machine, registered libraries' included.

    Args:
        runtime: None for the default one.

    Raises:
        NotImplemented: the runtime is older than ONNX Runtime 1.22.
    """
    from ortpack._plugins import devices_of  # noqa: PLC0415 - slow to import

    return devices_of(_library(runtime))


def register_execution_provider_library(
    registration_name: str, library_path: str | os.PathLike[str], runtime: LoadedRuntime | None = None
) -> None:
    """Load an execution provider library into a runtime; its devices are among `get_ep_devices()` then.

    Args:
        registration_name: any name; `unregister_execution_provider_library` takes it.
        library_path: the provider's library. A relative path counts from the working directory.
        runtime: None for the default one.

    Raises:
        InvalidArgument: the name is taken.
        RuntimeNotFoundError: there is no such file.
        OrtError: the library can't be loaded, or is for a newer ONNX Runtime.
    """
    from ortpack._plugins import register  # noqa: PLC0415 - slow to import

    register(_library(runtime), registration_name, library_path)


def unregister_execution_provider_library(registration_name: str, runtime: LoadedRuntime | None = None) -> None:
    """Take a library that was registered out of a runtime again.

    Args:
        registration_name: the name that it was registered under.
        runtime: None for the default one.

    Raises:
        InvalidArgument: no such name is registered, or sessions still run on its devices.
    """
    from ortpack._plugins import unregister  # noqa: PLC0415 - slow to import

    unregister(_library(runtime), registration_name)


def _library(loaded: LoadedRuntime | None = None) -> Library:
    from ortpack._runtime import runtime  # noqa: PLC0415 - resolves and loads

    return (runtime() if loaded is None else loaded).library
