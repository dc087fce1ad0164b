"""Sessions: a model is loaded with a runtime, the best that can do it, and run."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from ortpack import _binding, errors
from ortpack._binding import Session
from ortpack._installed import CPU, PLUGIN_API
from ortpack._options import SessionOptions
from ortpack._value import Value
from ortpack._values import IOBinding, OrtValue
from ortpack.errors import (
    InvalidArgument,
    InvalidProtobuf,
    NoSuchFile,
    OrtError,
    UnknownDeviceError,
    UnknownProviderError,
    warn_fallback,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ortpack._runtime import LoadedRuntime

    Providers = Sequence[str | tuple[str, Mapping[str, object]]]

_SERVICE = "AzureExecutionProvider"  # many builds have it; it only runs operators that call web services
_ASSIGNMENT_API = 24  # ORT's API since which a session can tell which provider got which node, if this entry is set
_ASSIGNMENT = "session.record_ep_graph_assignment_info"


class PlacedNode(Value):
    """A node of a model's graph, as it was when ONNX Runtime assigned nodes to providers."""

    name: str
    domain: str  # empty: the domain of ONNX itself
    operator: str


class NodeArg:
    """An input or output of a model: `name`, `type` (`tensor(float)`), `shape` (numbers, names, None)."""

    __slots__ = ("name", "shape", "type")

    def __init__(self, name: str, type: str, shape: list[int | str | None]) -> None:  # noqa: A002 - official name
        self.name = name
        self.type = type
        self.shape = shape

    def __repr__(self) -> str:
        return f"NodeArg(name={self.name!r}, type={self.type!r}, shape={self.shape!r})"


class ModelMetadata:
    """What a model's file says about the model: its names, its version, and texts of its producer."""

    __slots__ = (
        "custom_metadata_map",
        "description",
        "domain",
        "graph_description",
        "graph_name",
        "producer_name",
        "version",
    )

    def __init__(
        self,
        producer_name: str,
        graph_name: str,
        domain: str,
        description: str,
        graph_description: str,
        version: int,
        custom_metadata_map: dict[str, str],
    ) -> None:
        self.producer_name = producer_name
        self.graph_name = graph_name
        self.domain = domain
        self.description = description
        self.graph_description = graph_description
        self.version = version
        self.custom_metadata_map = custom_metadata_map

    def __repr__(self) -> str:
        return f"ModelMetadata({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


def provider_list(
    providers: Providers | None, options: Sequence[Mapping[str, object]] | None
) -> list[tuple[str, dict[str, str]]]:
    """Bring providers into one form: (name, options) for each.

    Args:
        providers: names, or (name, options) tuples, as the official package takes them.
        options: options for each of `providers`, when those are names only.

    Raises:
        ValueError: what was given is neither, or a provider is given twice.
    """
    if isinstance(providers, str):
        raise ValueError(f"providers has to be a list, such as [{providers!r}]")
    entries = list(providers or ())
    if options is not None:
        if any(not isinstance(entry, str) for entry in entries):
            raise ValueError("give options inside providers or in provider_options, not in both")
        if len(options) != len(entries):
            raise ValueError(f"{len(entries)} providers, but {len(options)} provider_options")
        entries = list(zip(entries, options, strict=True))  # type: ignore[arg-type]
    found: dict[str, dict[str, str]] = {}
    for entry in entries:
        pair: tuple[Any, ...] = (entry, {}) if isinstance(entry, str) else entry
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) and hasattr(pair[1], "items")):
            raise ValueError(f"a provider is a name or a (name, options) tuple, not {entry!r}")
        name, chosen = pair
        if name in found:
            raise ValueError(f"the provider {name!r} is given twice")
        found[name] = {str(key): str(value) for key, value in chosen.items()}
    return list(found.items())


def _readable(path: str) -> None:
    """Check that a path leads to a file, since ONNX Runtime's messages about others are unclear.

    Raises:
        NoSuchFile: there is nothing at the path, or nothing that can be read.
        InvalidProtobuf: the path leads to a directory.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise NoSuchFile(f"there is no model at {path!r}") from None
    except OSError as error:
        raise NoSuchFile(f"the model at {path!r} can't be read: {error.strerror}") from error
    except ValueError as error:  # a NUL in the path
        raise NoSuchFile(f"{path!r} is no path: {error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise InvalidProtobuf(f"{path!r} is a directory, not a model")


class InferenceSession(Session):
    """A model, loaded and ready to run.

    The first parameters are those of the official package, which is why there are so many.

    Args:
        path_or_bytes: the path of a model (`.onnx`, `.ort`), or its bytes.
        sess_options: how the session is created.
        providers: execution providers, best first: names, or (name, options) tuples. The CPU's is always there too.
        provider_options: options for each of `providers`, when those are names only.
        device: a device that the runtime has to serve, such as "cpu" or "cuda"; instead of `providers`.
        runtime: which runtime to use: one that `load_runtime` returned, a name, or a path.
        disabled_optimizers: names of graph optimizers to leave out.
        allow_fallback: False to refuse the CPU as a stand-in: it is an error then if the best installed runtime can't
            be used, or if the CPU would have to run nodes of a session on another device.

    Raises:
        ResolutionError: the wish for a device, provider or runtime can't be met. Nothing is used in its stead.
        OrtError: the model can't be loaded; the message has its path.
    """

    _inputs: list[NodeArg] | None
    _outputs: list[NodeArg] | None

    def __init__(
        self,
        path_or_bytes: str | os.PathLike[str] | bytes,
        sess_options: SessionOptions | None = None,
        providers: Providers | None = None,
        provider_options: Sequence[Mapping[str, object]] | None = None,
        *,
        device: str | None = None,
        runtime: LoadedRuntime | str | os.PathLike[str] | None = None,
        disabled_optimizers: Iterable[str] | None = None,
        allow_fallback: bool = True,
    ) -> None:
        from ortpack._runtime import next_best, select  # noqa: PLC0415 - resolves and loads

        model: str | bytes
        if isinstance(path_or_bytes, (bytes, bytearray, memoryview)):
            model = bytes(path_or_bytes)
        elif isinstance(path_or_bytes, (str, os.PathLike)):
            model = os.fsdecode(path_or_bytes)
            _readable(model)
        else:
            raise TypeError(f"a model is given as a path or as bytes, not as {type(path_or_bytes).__name__}")
        if sess_options is not None and not isinstance(sess_options, SessionOptions):
            raise TypeError(f"sess_options has to be ortpack.SessionOptions, not {type(sess_options).__name__}")
        options = SessionOptions() if sess_options is None else sess_options._copy()
        wanted = provider_list(providers, provider_options) or options._providers
        if wanted and device is not None:
            raise ValueError("give device= or providers, not both")
        if disabled_optimizers is not None:
            names = [disabled_optimizers] if isinstance(disabled_optimizers, str) else disabled_optimizers
            options.add_session_config_entry("optimization.disable_specified_optimizers", ";".join(names))

        asked = [name for name, _ in wanted] or None
        loaded = select(device=device, providers=asked, runtime=runtime, allow_fallback=allow_fallback)
        automatic = device is None and runtime is None and not wanted and not options._devices
        while True:
            try:
                self._create(loaded, model, options, wanted, device, allow_fallback)
                return
            except OrtError as error:
                following = None
                if automatic and allow_fallback and self._accelerated(loaded):
                    following = next_best(loaded, error)
                if following is None:
                    from ortpack._refusal import explained  # noqa: PLC0415 - needed only after a failure

                    if (better := explained(error, loaded.info, model)) is error:
                        raise
                    raise better from error
                loaded = following

    @staticmethod
    def _accelerated(loaded: LoadedRuntime) -> bool:
        """Whether the runtime's default device has other providers than the CPU's."""
        return next(iter(loaded.info.devices.values())) != (CPU,)

    def _create(
        self,
        loaded: LoadedRuntime,
        model: str | bytes,
        options: SessionOptions,
        wanted: list[tuple[str, dict[str, str]]],
        device: str | None,
        allow_fallback: bool,
    ) -> None:
        """Load the model with one runtime.

        Args:
            loaded: the runtime.
            model: path or bytes.
            options: this session's own copy.
            wanted: (name, options) of each provider that the user named; none: those of the device.
            device: the device that the user named, if any.
            allow_fallback: as for the session.
        """
        if not wanted and not options._devices:
            devices = loaded.info.devices
            wanted = [(name, {}) for name in devices[device if device is not None else next(iter(devices))]]
        native = options._native(loaded.library)
        if loaded.library.api_version >= _ASSIGNMENT_API and _ASSIGNMENT not in options._config:
            native.add_session_config_entry(_ASSIGNMENT, "1")
        kinds = loaded.info.base.device_types if loaded.info.base else {}
        given = [(devices[0].ep_name, chosen) for devices, chosen in options._devices]
        names = {name for name, _ in (*wanted, *given)} - {CPU}
        if names and not allow_fallback:
            native.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        _append(native, loaded, wanted, kinds.get(device or ""))
        super().__init__(loaded.library, model, native)
        if names and loaded.library.api_version >= PLUGIN_API:
            from ortpack._plugins import use  # noqa: PLC0415 - for other providers than the CPU's only

            use(loaded.library, names, self)
        self._runtime = loaded
        self._options = options
        self._provider_options = {**{name: chosen for name, chosen in (*given, *wanted) if name != CPU}, CPU: {}}
        self._inputs = self._outputs = None
        if names - {_SERVICE}:
            self._warn_if_idle(names)

    def _warn_if_idle(self, names: set[str]) -> None:
        """Warn when the providers that were asked for got no node: everything runs on the CPU then."""
        try:
            placed = self.placement()
        except errors.NotImplemented:
            return
        if placed and names.isdisjoint(placed):
            total = sum(len(nodes) for nodes in placed.values())
            warn_fallback(
                f"{', '.join(sorted(names))} runs none of the model's {total} nodes, {', '.join(placed)} does"
            )

    def placement(self) -> dict[str, tuple[PlacedNode, ...]]:
        """Tell which provider runs which nodes, as ONNX Runtime assigned them; those of subgraphs included.

        Raises:
            NotImplemented: the runtime is older than ONNX Runtime 1.24, or a minimal build, and does not tell.
        """
        found: dict[str, list[PlacedNode]] = {}
        for provider, nodes in _binding.assigned_nodes(self):
            found.setdefault(provider, []).extend(
                PlacedNode(name=name, domain=domain, operator=operator) for name, domain, operator in nodes
            )
        return {provider: tuple(nodes) for provider, nodes in found.items()}

    @property
    def runtime(self) -> LoadedRuntime:
        """The runtime that this session runs on."""
        return self._runtime

    def get_inputs(self) -> list[NodeArg]:
        """List the inputs that a run needs."""
        if self._inputs is None:
            self._inputs = [NodeArg(*port) for port in self._input_ports()]
        return self._inputs

    def get_outputs(self) -> list[NodeArg]:
        """List the outputs that a run can give."""
        if self._outputs is None:
            self._outputs = [NodeArg(*port) for port in self._output_ports()]
        return self._outputs

    def get_overridable_initializers(self) -> list[NodeArg]:
        """List the weights that a run may give other values for."""
        return [NodeArg(*port) for port in self._initializer_ports()]

    def get_modelmeta(self) -> ModelMetadata:
        """Read what the model's file says about the model."""
        return ModelMetadata(*self._metadata())

    def get_session_options(self) -> SessionOptions:
        """Copy the options that this session was created with."""
        return self._options._copy()

    def get_providers(self) -> list[str]:
        """List the execution providers that this session really has, in order."""
        return list(self._provider_options)

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        """Tell the options of each provider that were set, as strings."""
        return {name: dict(options) for name, options in self._provider_options.items()}

    def io_binding(self) -> IOBinding:
        """Make an object that keeps inputs and outputs bound from run to run."""
        return IOBinding(self)

    def run_with_iobinding(self, iobinding: IOBinding, run_options: _binding.RunOptions | None = None) -> None:
        """Run with the inputs and outputs that were bound.

        Raises:
            InvalidArgument: the binding belongs to another session.
        """
        if iobinding._session is not self:
            raise InvalidArgument("the IOBinding belongs to another session")
        iobinding._binding.run(run_options)

    def run_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: Mapping[str, Any],
        run_options: _binding.RunOptions | None = None,
    ) -> list[OrtValue]:
        """Run as `run` does, and return OrtValues; inputs may be OrtValues or arrays."""
        return [OrtValue(value) for value in self._run_with_values(output_names, input_dict_ort_values, run_options)]

    def disable_fallback(self) -> None:
        """Nothing to do: ortpack never falls back to other providers than were asked for."""

    def __repr__(self) -> str:
        return f"<InferenceSession on {self._runtime} with {', '.join(self.get_providers())}>"


def _append(
    native: _binding.NativeSessionOptions,
    loaded: LoadedRuntime,
    wanted: list[tuple[str, dict[str, str]]],
    kind: str | None,
) -> None:
    """Add the providers to a session's options.

    Args:
        native: the options.
        loaded: the runtime that the session is for.
        wanted: (name, options) of each provider, in order.
        kind: the type of device that a plugin's provider shall use: "CPU", "GPU", "NPU", or None for the best.

    Raises:
        UnknownProviderError: the runtime has no provider of that name.
        UnknownDeviceError: a plugin's provider offers no device of that type.
        InvalidArgument: the CPU's provider comes before another.
    """
    available = loaded.library.available_providers()
    for position, (name, options) in enumerate(wanted):
        if name not in available:
            from ortpack._plugins import device_for, devices_of  # noqa: PLC0415 - not for the library's own providers

            if found := device_for(loaded.library, name, kind):
                _binding.append_ep_devices(native, [found._native], options)
                continue
            if kind and device_for(loaded.library, name):
                kinds = ", ".join(d.device.type.name for d in devices_of(loaded.library) if d.ep_name == name)
                raise UnknownDeviceError(f"{name} offers no {kind} on this machine; it offers: {kinds}")
            from difflib import get_close_matches  # noqa: PLC0415 - slow to import

            from ortpack._functions import ALL_PROVIDERS  # noqa: PLC0415 - for messages only

            known = {provider.lower(): provider for provider in (*ALL_PROVIDERS, *available)}
            close = [known[found] for found in get_close_matches(name.lower(), known, 1, 0.5)]
            hint = f"; did you mean {close[0]!r}?" if close and close[0] != name else ""
            raise UnknownProviderError(
                f"the runtime {loaded.info.name!r} has no provider {name!r}; it has {', '.join(available)}{hint}"
            )
        if name == CPU and position + 1 < len(wanted):
            raise InvalidArgument(
                f"{CPU} can run every node, so {wanted[position + 1][0]} after it would get none; put {CPU} last"
            )
        try:
            native.append_provider(name, options)
        except OrtError as error:
            from ortpack._runtime import with_cause  # noqa: PLC0415 - has been imported

            raise with_cause(error, loaded) from None
