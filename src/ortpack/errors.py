"""The errors and warnings of ortpack.

They have one base and are of two kinds: what ONNX Runtime itself reports (`OrtError`, with the class names of the
official package), and what goes wrong before a runtime runs (`ResolutionError`).
"""

from __future__ import annotations


class OrtpackError(RuntimeError):
    """Base of every error that ortpack raises on purpose."""


# --- reported by ONNX Runtime: one class for each OrtErrorCode ---------------------------------------------------


class OrtError(OrtpackError):
    """An error status that ONNX Runtime returned."""


class Fail(OrtError):
    """ORT_FAIL: the operation failed; the message says how."""


class InvalidArgument(OrtError, ValueError):
    """ORT_INVALID_ARGUMENT: a name, type, rank or size that the model or the API does not accept."""


class NoSuchFile(OrtError, FileNotFoundError):
    """ORT_NO_SUCHFILE: the model file does not exist."""


class NoModel(OrtError):
    """ORT_NO_MODEL: the session has no model."""


class EngineError(OrtError):
    """ORT_ENGINE_ERROR: an execution engine failed."""


class RuntimeException(OrtError):
    """ORT_RUNTIME_EXCEPTION: an exception inside ONNX Runtime."""


class InvalidProtobuf(OrtError):
    """ORT_INVALID_PROTOBUF: the bytes are no ONNX model."""


class ModelLoaded(OrtError):
    """ORT_MODEL_LOADED: a model is loaded already."""


class NotImplemented(OrtError):  # noqa: A001 - the official name
    """ORT_NOT_IMPLEMENTED: no kernel, or a feature that this build leaves out."""


class InvalidGraph(OrtError):
    """ORT_INVALID_GRAPH: the graph breaks ONNX's rules, or uses an operator nobody knows."""


class EPFail(OrtError):
    """ORT_EP_FAIL: an execution provider failed."""


class ModelLoadCanceled(OrtError):
    """ORT_MODEL_LOAD_CANCELED: loading was cancelled."""


class ModelRequiresCompilation(OrtError):
    """ORT_MODEL_REQUIRES_COMPILATION: the session only takes compiled models."""


class NotFound(OrtError):
    """ORT_NOT_FOUND: what was asked for does not exist."""


# --- the same, where more is known than ONNX Runtime says --------------------------------------------------------


class MissingOperator(NotImplemented):
    """A model needs operators that the runtime was built without; the message has the command that adds them.

    Attributes:
        operators: (domain, name, opset) of each; none if only a type is missing.
    """

    def __init__(self, message: str, operators: tuple[tuple[str, str, int], ...] = ()) -> None:
        super().__init__(message)
        self.operators = operators


class ModelFormatError(InvalidArgument):
    """A model of a format, or a version of it, that the runtime does not load; the message says how to convert."""


# --- before a runtime runs ---------------------------------------------------------------------------------------


class ResolutionError(OrtpackError):
    """No runtime could be found, chosen or loaded as wished."""


class RuntimeNotFoundError(ResolutionError):
    """No runtime of that name, or none at all, is installed."""


class RuntimeUnusableError(ResolutionError):
    """The runtime is installed but can't work on this machine."""


class RuntimeManifestError(ResolutionError):
    """A `runtime.json` is missing, malformed, or newer than this loader."""


class RuntimeLoadError(ResolutionError):
    """The native library could not be loaded, or is not ONNX Runtime."""


class UnknownDeviceError(ResolutionError, ValueError):
    """A device name that ortpack does not know."""


class UnknownProviderError(ResolutionError, ValueError):
    """An execution provider that the runtime does not have."""


class FallbackWarning(RuntimeWarning):
    """A faster runtime or provider was passed over; the message says why."""


def warn_fallback(message: str) -> None:
    """Issue a FallbackWarning that points at the line outside this package which led to it."""
    import sys  # noqa: PLC0415 - rare
    import warnings  # noqa: PLC0415

    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == __package__:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, FallbackWarning, stacklevel=level)
