"""Options of sessions. They are recorded here, and applied to a runtime's own when a session is created."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ortpack import errors
from ortpack._binding import NativeSessionOptions, append_ep_devices
from ortpack._cpus import limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ortpack._binding import Library
    from ortpack._enums import ExecutionMode, ExecutionOrder, GraphOptimizationLevel
    from ortpack._plugins import OrtEpDevice
    from ortpack._values import OrtValue


_AFFINITIES = "session.intra_op_thread_affinities"  # goes with a number of threads that somebody chose
_PARALLEL = 1  # ORT_PARALLEL; see _enums

_verbosity = 0  # of sessions whose options set none; for the whole process


def set_default_logger_verbosity(verbosity: int) -> None:
    """Set how much sessions that are created from now on log at severity 0, when their options do not say."""
    global _verbosity  # noqa: PLW0603 - a setting of the process
    _verbosity = verbosity


def _boolean(name: str, value: object) -> bool:
    if value not in (True, False):
        raise errors.InvalidArgument(f"{name} has to be True or False, not {value!r}")
    return bool(value)


def _integer(name: str, value: object, lowest: int, highest: int = 2**31 - 1) -> int:
    try:
        number = int(value.__index__())  # type: ignore[attr-defined]
    except AttributeError:
        raise errors.InvalidArgument(f"{name} has to be a whole number, not {value!r}") from None
    if not lowest <= number <= highest:
        raise errors.InvalidArgument(f"{name} has to be {lowest} to {highest}, not {number}")
    return number


def _text(name: str, value: object) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise errors.InvalidArgument(f"{name} has to be a str, not {value!r}")
    return value


class SessionOptions:
    """How a session is created. The options belong to no runtime, and may be used for any number of sessions.

    A wrong value is refused when it is set. What a runtime does not support is refused when a session is created.
    """

    __slots__ = (
        "_calls",
        "_config",
        "_devices",
        "_enable_cpu_mem_arena",
        "_enable_mem_pattern",
        "_enable_profiling",
        "_execution_mode",
        "_graph_optimization_level",
        "_inter_op_num_threads",
        "_intra_op_num_threads",
        "_log_severity_level",
        "_log_verbosity_level",
        "_logid",
        "_optimized_model_filepath",
        "_profile_file_prefix",
        "_providers",
        "_use_deterministic_compute",
        "_use_per_session_threads",
    )

    def __init__(self) -> None:
        self._calls: list[tuple[str, tuple[Any, ...]]] = []  # methods of NativeSessionOptions, with their arguments
        self._config: dict[str, str] = {}
        self._providers: list[tuple[str, dict[str, str]]] = []
        self._devices: list[tuple[tuple[OrtEpDevice, ...], dict[str, str]]] = []
        self._enable_cpu_mem_arena = True
        self._enable_mem_pattern = True
        self._enable_profiling = False
        self._execution_mode = 0  # ORT_SEQUENTIAL; see _enums
        self._graph_optimization_level = 99  # ORT_ENABLE_ALL
        self._inter_op_num_threads = 0
        self._intra_op_num_threads = 0
        self._log_severity_level = -1
        self._log_verbosity_level = 0
        self._logid = ""
        self._optimized_model_filepath = ""
        self._profile_file_prefix = "onnxruntime_profile_"
        self._use_deterministic_compute = False
        self._use_per_session_threads = True

    def __repr__(self) -> str:
        return f"<SessionOptions {' '.join(f'{name}={value!r}' for name, value in self._changed().items())}>"

    def _changed(self) -> dict[str, object]:
        fresh = SessionOptions()
        names = (name for name in self.__slots__ if name not in ("_calls", "_config", "_devices", "_providers"))
        changed = {name[1:]: getattr(self, name[1:]) for name in names if getattr(self, name) != getattr(fresh, name)}
        return changed | self._config

    def _copy(self) -> SessionOptions:
        copy = SessionOptions()
        for name in self.__slots__:
            value = getattr(self, name)
            setattr(copy, name, value.copy() if isinstance(value, (list, dict)) else value)
        return copy

    def _native(self, library: Library) -> NativeSessionOptions:
        """Apply what is recorded here to new options of one library."""
        native = NativeSessionOptions(library)
        fresh = SessionOptions()
        if self._log_verbosity_level == 0 and _verbosity:
            native.set_log_verbosity_level(_verbosity)
        for attribute, apply in (
            ("_execution_mode", native.set_execution_mode),
            ("_graph_optimization_level", native.set_graph_optimization_level),
            ("_intra_op_num_threads", native.set_intra_op_num_threads),
            ("_inter_op_num_threads", native.set_inter_op_num_threads),
            ("_log_severity_level", native.set_log_severity_level),
            ("_log_verbosity_level", native.set_log_verbosity_level),
            ("_logid", native.set_logid),
            ("_enable_mem_pattern", native.set_mem_pattern),
            ("_enable_cpu_mem_arena", native.set_cpu_mem_arena),
            ("_use_deterministic_compute", native.set_deterministic_compute),
            ("_optimized_model_filepath", native.set_optimized_model_filepath),
        ):
            value = getattr(self, attribute)
            if value != getattr(fresh, attribute):
                apply(value)
        if self._enable_profiling:
            native.enable_profiling(self._profile_file_prefix)
        if self._use_per_session_threads and _AFFINITIES not in self._config:
            self._limit_threads(native)
        if not self._use_per_session_threads:
            native.disable_per_session_threads()
        for key, entry in self._config.items():
            native.add_session_config_entry(key, entry)
        for method, arguments in self._calls:
            getattr(native, method)(*arguments)
        for devices, options in self._devices:
            append_ep_devices(native, [device._native for device in devices], options)
        return native

    def _limit_threads(self, native: NativeSessionOptions) -> None:
        """Set numbers of threads that nobody chose, where the process may not use all CPUs: ORT counts them all."""
        inter_op = self._execution_mode == _PARALLEL and self._inter_op_num_threads == 0
        if (self._intra_op_num_threads == 0 or inter_op) and (cpus := limit()):
            if self._intra_op_num_threads == 0:
                native.set_intra_op_num_threads(cpus)
            if inter_op:
                native.set_inter_op_num_threads(cpus)

    # --- properties, all with the official names ----------------------------------------------------------------

    @property
    def enable_cpu_mem_arena(self) -> bool:
        """Keep freed memory of the CPU for later runs. Default: True."""
        return self._enable_cpu_mem_arena

    @enable_cpu_mem_arena.setter
    def enable_cpu_mem_arena(self, value: bool) -> None:
        self._enable_cpu_mem_arena = _boolean("enable_cpu_mem_arena", value)

    @property
    def enable_mem_pattern(self) -> bool:
        """Plan memory ahead where all shapes are known. Default: True."""
        return self._enable_mem_pattern

    @enable_mem_pattern.setter
    def enable_mem_pattern(self, value: bool) -> None:
        self._enable_mem_pattern = _boolean("enable_mem_pattern", value)

    @property
    def enable_mem_reuse(self) -> bool:
        """Let values take over each other's memory. Always True: the C API can't turn it off."""
        return True

    @enable_mem_reuse.setter
    def enable_mem_reuse(self, value: bool) -> None:
        if not _boolean("enable_mem_reuse", value):
            raise errors.NotImplemented("enable_mem_reuse can't be turned off through ONNX Runtime's C API")

    @property
    def enable_profiling(self) -> bool:
        """Write a profile of every run. Default: False."""
        return self._enable_profiling

    @enable_profiling.setter
    def enable_profiling(self, value: bool) -> None:
        self._enable_profiling = _boolean("enable_profiling", value)

    @property
    def execution_mode(self) -> ExecutionMode:
        """One node after the other, or several at once. Default: ORT_SEQUENTIAL."""
        from ortpack._enums import ExecutionMode  # noqa: PLC0415 - slow to import

        return ExecutionMode(self._execution_mode)

    @execution_mode.setter
    def execution_mode(self, value: ExecutionMode) -> None:
        from ortpack._enums import ExecutionMode, member  # noqa: PLC0415 - slow to import

        self._execution_mode = member(ExecutionMode, "execution_mode", value)

    @property
    def execution_order(self) -> ExecutionOrder:
        """The order of nodes. Always DEFAULT: the C API can't change it."""
        from ortpack._enums import ExecutionOrder  # noqa: PLC0415 - slow to import

        return ExecutionOrder.DEFAULT

    @execution_order.setter
    def execution_order(self, value: ExecutionOrder) -> None:
        from ortpack._enums import ExecutionOrder, member  # noqa: PLC0415 - slow to import

        if member(ExecutionOrder, "execution_order", value) != ExecutionOrder.DEFAULT:
            raise errors.NotImplemented("execution_order can't be changed through ONNX Runtime's C API")

    @property
    def graph_optimization_level(self) -> GraphOptimizationLevel:
        """Which optimizations of the graph are allowed. Default: ORT_ENABLE_ALL."""
        from ortpack._enums import GraphOptimizationLevel  # noqa: PLC0415 - slow to import

        return GraphOptimizationLevel(self._graph_optimization_level)

    @graph_optimization_level.setter
    def graph_optimization_level(self, value: GraphOptimizationLevel) -> None:
        from ortpack._enums import GraphOptimizationLevel, member  # noqa: PLC0415 - slow to import

        self._graph_optimization_level = member(GraphOptimizationLevel, "graph_optimization_level", value)

    @property
    def inter_op_num_threads(self) -> int:
        """The number of threads that run different nodes at once; 0: ONNX Runtime decides."""
        return self._inter_op_num_threads

    @inter_op_num_threads.setter
    def inter_op_num_threads(self, value: int) -> None:
        self._inter_op_num_threads = _integer("inter_op_num_threads", value, 0)

    @property
    def intra_op_num_threads(self) -> int:
        """The number of threads that share the work of one node; 0: ONNX Runtime decides."""
        return self._intra_op_num_threads

    @intra_op_num_threads.setter
    def intra_op_num_threads(self, value: int) -> None:
        self._intra_op_num_threads = _integer("intra_op_num_threads", value, 0)

    @property
    def log_severity_level(self) -> int:
        """What the session logs: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal; -1: as the default logger."""
        return self._log_severity_level

    @log_severity_level.setter
    def log_severity_level(self, value: int) -> None:
        self._log_severity_level = _integer("log_severity_level", value, -1, 4)

    @property
    def log_verbosity_level(self) -> int:
        """How much the session logs at severity 0."""
        return self._log_verbosity_level

    @log_verbosity_level.setter
    def log_verbosity_level(self, value: int) -> None:
        self._log_verbosity_level = _integer("log_verbosity_level", value, 0)

    @property
    def logid(self) -> str:
        """The session's name in the log."""
        return self._logid

    @logid.setter
    def logid(self, value: str) -> None:
        self._logid = _text("logid", value)

    @property
    def optimized_model_filepath(self) -> str:
        """Where the optimized model is written; empty: nowhere."""
        return self._optimized_model_filepath

    @optimized_model_filepath.setter
    def optimized_model_filepath(self, value: str | os.PathLike[str]) -> None:
        self._optimized_model_filepath = _text("optimized_model_filepath", value)

    @property
    def profile_file_prefix(self) -> str:
        """The beginning of a profile's file name; the time and `.json` follow."""
        return self._profile_file_prefix

    @profile_file_prefix.setter
    def profile_file_prefix(self, value: str | os.PathLike[str]) -> None:
        self._profile_file_prefix = _text("profile_file_prefix", value)

    @property
    def use_deterministic_compute(self) -> bool:
        """Prefer kernels whose results do not vary from run to run. Default: False."""
        return self._use_deterministic_compute

    @use_deterministic_compute.setter
    def use_deterministic_compute(self, value: bool) -> None:
        self._use_deterministic_compute = _boolean("use_deterministic_compute", value)

    @property
    def use_per_session_threads(self) -> bool:
        """Whether the session has threads of its own; False: it uses those of `set_global_thread_pool_sizes`."""
        return self._use_per_session_threads

    @use_per_session_threads.setter
    def use_per_session_threads(self, value: bool) -> None:
        self._use_per_session_threads = _boolean("use_per_session_threads", value)

    # --- methods ------------------------------------------------------------------------------------------------

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Set one entry of ONNX Runtime's session configuration, such as `session.intra_op.allow_spinning`."""
        self._config[_text("key", key)] = _text("value", value)

    def get_session_config_entry(self, key: str) -> str:
        """Look up an entry of the session configuration.

        Raises:
            NotFound: it was never set.
        """
        try:
            return self._config[key]
        except KeyError:
            raise errors.NotFound(f"these SessionOptions have no config entry {key!r}") from None

    def add_free_dimension_override_by_name(self, name: str, size: int) -> None:
        """Give the dimension that the model calls `name` a fixed size."""
        size = _integer("size", size, 0, 2**63 - 1)
        self._calls.append(("add_free_dimension_override_by_name", (_text("name", name), size)))

    def add_free_dimension_override_by_denotation(self, denotation: str, size: int) -> None:
        """Give dimensions of that denotation (such as `DATA_BATCH`) a fixed size."""
        size = _integer("size", size, 0, 2**63 - 1)
        self._calls.append(("add_free_dimension_override_by_denotation", (_text("denotation", denotation), size)))

    def add_initializer(self, name: str, value: OrtValue) -> None:
        """Use `value` for the model's initializer `name`. It is not copied, so that sessions can share it."""
        self._calls.append(("add_initializer", (_text("name", name), value)))

    def add_external_initializers(self, names: Sequence[str], values: Sequence[OrtValue]) -> None:
        """Use `values` for initializers whose data the model keeps in other files."""
        if len(names) != len(values):
            raise errors.InvalidArgument(f"{len(names)} names of external initializers, but {len(values)} values")
        self._calls.append(("add_external_initializers", (list(names), list(values))))

    def add_external_initializers_from_files_in_memory(
        self, names: Sequence[str], files: Sequence[bytes], lengths: Sequence[int] | None = None
    ) -> None:
        """Use `files` in place of the files called `names`, where the model keeps data of initializers."""
        if lengths is not None:
            files = [file[:length] for file, length in zip(files, lengths, strict=True)]
        if len(names) != len(files):
            raise errors.InvalidArgument(f"{len(names)} names of external files, but {len(files)} files")
        arguments = ([_text("name", name) for name in names], [bytes(file) for file in files])
        self._calls.append(("add_external_initializers_from_files_in_memory", arguments))

    def register_custom_ops_library(self, path: str | os.PathLike[str]) -> None:
        """Load a library of custom operators when a session is created."""
        self._calls.append(("register_custom_ops_library", (_text("path", path),)))

    def add_provider(self, name: str, options: Mapping[str, object] | None = None) -> None:
        """Add an execution provider after those that were added before; sessions without `providers=` use them."""
        self._providers.append((_text("name", name), {str(key): str(value) for key, value in (options or {}).items()}))

    def add_provider_for_devices(
        self, ep_devices: Sequence[OrtEpDevice], provider_options: Mapping[str, object] | None = None
    ) -> None:
        """Use an execution provider on these devices (from `get_ep_devices`), after what was added before.

        Sessions with these options run on the runtime that the devices belong to: give them `runtime=` if it is not
        the default one.

        Raises:
            InvalidArgument: no device, or devices of several providers.
        """
        devices = tuple(ep_devices)
        names = sorted({device.ep_name for device in devices})
        if len(names) != 1:
            raise errors.InvalidArgument(
                f"ep_devices has to be devices of one execution provider, not of {', '.join(names) or 'none'}"
            )
        self._devices.append((devices, {str(key): str(value) for key, value in (provider_options or {}).items()}))

    def has_providers(self) -> bool:
        """Whether `add_provider` or `add_provider_for_devices` was called."""
        return bool(self._providers or self._devices)
