"""The choice of a runtime: a pure function of what is installed, the machine, and the user's wish.

Every candidate gets a verdict with a reason, so that `explain()` and `doctor` can say why a runtime was or was not
taken. Nothing here reads a file, the environment or the clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortpack._installed import CPU, FALLBACK, PLUGIN, RUNTIME, BrokenRuntime, Runtime
from ortpack._needs import Unknown, fits, numbers, unmet
from ortpack._value import Value
from ortpack.errors import (
    RuntimeNotFoundError,
    RuntimeUnusableError,
    UnknownDeviceError,
    UnknownProviderError,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ortpack._machine import Machine
    from ortpack._needs import MachineFacts

BASE_API = 17  # the oldest ORT C API that the binding speaks

USABLE, REJECTED = "usable", "rejected"


class Wish(Value):
    """What the user asked for. A wish with nothing set is for the best runtime that works here."""

    runtime: str | None = None  # its name
    device: str | None = None
    providers: tuple[str, ...] = ()
    asked_by: str = "automatic"  # where the wish comes from, for messages: "ORTPACK_RUNTIME", "device=", …


class Candidate(Value):
    """One runtime, plugin or extension, and the verdict on it."""

    runtime: Runtime | BrokenRuntime
    verdict: str  # USABLE or REJECTED
    reason: str
    base: Runtime | None = None  # usable plugins and extensions: the runtime that they are added to
    unfit: bool = False  # rejected because the machine lacks something or files are damaged, whatever the wish

    @property
    def usable(self) -> bool:
        """Whether the runtime may be tried."""
        return self.verdict == USABLE


class Resolution(Value):
    """The outcome of a choice: every candidate in the order in which they are tried, rejected ones last."""

    wish: Wish
    machine: Machine
    candidates: tuple[Candidate, ...]

    @property
    def usable(self) -> tuple[Runtime, ...]:
        """The runtimes that may be tried, best first."""
        return tuple(c.runtime for c in self.candidates if c.usable and isinstance(c.runtime, Runtime))

    @property
    def chosen(self) -> Runtime | None:
        """The first usable runtime, if any."""
        return next(iter(self.usable), None)

    @property
    def passed_over(self) -> tuple[Candidate, ...]:
        """The candidates that the machine can't serve and that would otherwise have come before the chosen one."""
        chosen = self.chosen
        if chosen is None:
            return ()
        return tuple(c for c in self.candidates if c.unfit and _priority(c) > chosen.priority)

    def __str__(self) -> str:
        lines = [f"{self.machine}; wish: {describe(self.wish)}"]
        for candidate in self.candidates:
            mark = "->" if candidate.runtime is self.chosen else "  "
            lines.append(f"{mark} {candidate.runtime.name}: {candidate.verdict}: {candidate.reason}")
        if not self.candidates:
            lines.append(f"   no runtime is installed: pip install ortpack[{FALLBACK}]")
        return "\n".join(lines)


def describe(wish: Wish) -> str:
    """Say the wish in a few words."""
    if wish.runtime:
        return f"runtime {wish.runtime!r} ({wish.asked_by})"
    if wish.device:
        return f"device {wish.device!r}"
    if wish.providers:
        return f"providers {', '.join(wish.providers)}"
    return "automatic"


def resolve(
    found: Iterable[Runtime | BrokenRuntime],
    machine: Machine,
    wish: Wish,
    damage: Mapping[str, Sequence[str]],
    facts: MachineFacts | None = None,
) -> Resolution:
    """Judge every runtime in `found`.

    Args:
        found: what is installed; its order does not matter.
        machine: where the runtimes would run.
        wish: what the user asked for.
        damage: name of a runtime -> what is wrong with its files.
        facts: what is known of the machine's devices, drivers and libraries; asked only for what a candidate needs.
    """
    found = tuple(found)
    judge = _Judge(found, machine, wish, damage, facts or Unknown())
    candidates = sorted((judge(runtime) for runtime in found), key=lambda candidate: _rank(candidate, wish))
    return Resolution(wish=wish, machine=machine, candidates=tuple(candidates))


def demand(resolution: Resolution) -> Runtime:
    """Return the chosen runtime, or say why there is none.

    Raises:
        RuntimeNotFoundError: nothing is installed, or nothing of the wished name.
        RuntimeUnusableError: what is installed can't work here; the message has each one's reason.
        UnknownDeviceError: no installed runtime serves the wished device.
        UnknownProviderError: no installed runtime has a wished provider.
    """
    if resolution.chosen:
        return resolution.chosen
    wish = resolution.wish
    if not resolution.candidates:
        what = wish.runtime or wish.device or FALLBACK
        raise RuntimeNotFoundError(f"no ONNX Runtime is installed for ortpack: pip install ortpack[{what}]")
    runtimes = [c.runtime for c in resolution.candidates if isinstance(c.runtime, Runtime)]
    if not any(r.kind == RUNTIME for r in runtimes) and len(runtimes) == len(resolution.candidates):
        raise RuntimeNotFoundError(
            f"{', '.join(sorted(r.name for r in runtimes))} only adds to an ONNX Runtime, and none is installed for "
            f"ortpack: pip install ortpack[{FALLBACK}]"
        )
    if wish.runtime and wish.runtime not in (c.runtime.name for c in resolution.candidates):
        raise RuntimeNotFoundError(
            f"{wish.asked_by} asks for the runtime {wish.runtime!r}, which is not installed; "
            + _among("installed", wish.runtime, [c.runtime.name for c in resolution.candidates])
        )
    devices = sorted({device for runtime in runtimes for device in runtime.devices})
    if wish.device and wish.device not in devices:
        raise UnknownDeviceError(
            f"no installed runtime serves device={wish.device!r}; "
            + _among("devices here", wish.device, devices)
            + f". If there is a runtime for it: pip install ortpack[{wish.device}]"
        )
    providers = sorted({provider for runtime in runtimes for provider in runtime.providers})
    for provider in wish.providers:
        if provider not in providers:
            raise UnknownProviderError(
                f"no installed runtime has the provider {provider!r}; " + _among("providers here", provider, providers)
            )
    concerned = [c for c in resolution.candidates if not wish.runtime or c.runtime.name == wish.runtime]
    reasons = "; ".join(f"{c.runtime.name}: {c.reason}" for c in concerned)
    raise RuntimeUnusableError(f"no installed runtime can be used here ({describe(wish)}): {reasons}")


def _among(label: str, wrong: str, known: Collection[str]) -> str:
    import difflib  # noqa: PLC0415 - for messages only

    folded = {name.casefold(): name for name in known}
    nearest = difflib.get_close_matches(wrong.casefold(), folded, n=1)
    listed = f"{label}: {', '.join(sorted(known)) or 'none'}"
    return f"did you mean {folded[nearest[0]]!r}? ({listed})" if nearest else listed


def _priority(candidate: Candidate) -> int:
    return candidate.runtime.priority if isinstance(candidate.runtime, Runtime) else 0


def _rank(candidate: Candidate, wish: Wish) -> tuple[bool, bool, bool, int, str]:
    """The key by which candidates are sorted.

    Usable ones come first; among them the named one, then those whose first device is the wished one, then the highest
    priority.
    """
    runtime = candidate.runtime
    devices = list(runtime.devices) if isinstance(runtime, Runtime) else []
    made_for_another = wish.device is not None and devices[:1] != [wish.device]
    return (not candidate.usable, runtime.name != wish.runtime, made_for_another, -_priority(candidate), runtime.name)


class _Judge:
    """Gives the verdict on one runtime at a time. It knows the others, because a plugin needs one of them."""

    def __init__(
        self,
        found: Sequence[Runtime | BrokenRuntime],
        machine: Machine,
        wish: Wish,
        damage: Mapping[str, Sequence[str]],
        facts: MachineFacts,
    ) -> None:
        self._found = [runtime for runtime in found if isinstance(runtime, Runtime)]
        self._machine = machine
        self._wish = wish
        self._damage = damage
        self._facts = facts
        self._unfit: dict[str, str | None] = {}

    def __call__(self, runtime: Runtime | BrokenRuntime) -> Candidate:
        if isinstance(runtime, BrokenRuntime):
            return Candidate(runtime=runtime, verdict=REJECTED, reason=runtime.reason)
        if reason := self._unwished(runtime):
            return Candidate(runtime=runtime, verdict=REJECTED, reason=reason)
        if reason := self._unfitness(runtime):
            return Candidate(runtime=runtime, verdict=REJECTED, reason=reason, unfit=True)
        base = None
        if runtime.kind != RUNTIME:
            base, reason = self._base(runtime)
            if reason:
                return Candidate(runtime=runtime, verdict=REJECTED, reason=reason, unfit=True)
        here = (*runtime.providers, *(base.providers if base else ()))
        missing = [provider for provider in self._wish.providers if provider not in here]
        if missing:
            return Candidate(runtime=runtime, verdict=REJECTED, reason=f"it does not have {', '.join(missing)}")
        reason = _in_favour(runtime, self._wish)
        if base:
            reason += f", with the runtime {base.name!r} (ORT {base.ort_version})"
        return Candidate(runtime=runtime, verdict=USABLE, reason=reason, base=base)

    def _unwished(self, runtime: Runtime) -> str | None:
        """Give the first reason why `runtime` is not what the user asked for; None if it is."""
        wish = self._wish
        named = wish.runtime == runtime.name
        if wish.runtime and not named:
            # A plugin may add the wished device or provider to the named runtime
            adds = runtime.kind != RUNTIME and (wish.device or wish.providers) and self._by_name(wish.runtime)
            if not adds:
                return f"{wish.asked_by} asks for {wish.runtime!r}"
        if runtime.reduced and not named:
            return "it holds only the operators of some models: load it by name or path"
        if runtime.priority < 0 and not (named or wish.device or wish.providers):
            return f"it is taken only when it is asked for, with device={next(iter(runtime.devices))!r} or by name"
        if wish.device and wish.device not in runtime.devices:
            return f"it does not serve the device {wish.device!r}"
        if runtime.kind == RUNTIME:
            missing = [provider for provider in wish.providers if provider not in runtime.providers]
            if missing:
                return f"it does not have {', '.join(missing)}"
        return None

    def _unfitness(self, runtime: Runtime) -> str | None:
        """Give the first reason why `runtime` can't work on this machine, whatever the wish; None if it can."""
        if runtime.name not in self._unfit:
            self._unfit[runtime.name] = self._find_unfitness(runtime)
        return self._unfit[runtime.name]

    def _find_unfitness(self, runtime: Runtime) -> str | None:
        if misfit := _platform_misfit(runtime.platform, self._machine):
            return f"it is built for {runtime.target}; {misfit}"
        if runtime.kind != PLUGIN and runtime.api_version < BASE_API:
            return (
                f"ORT {runtime.ort_version} (API {runtime.api_version}) is older than API {BASE_API}, "
                "the oldest supported"
            )
        if damage := self._damage.get(runtime.name, ()):
            return f"{'; '.join(damage)}: reinstall the package that brought it"
        if runtime.base and runtime.base.missing:
            return runtime.base.missing
        if self._wish.device is not None and runtime.devices.get(self._wish.device) == (CPU,):
            return None  # `needs` and `requires` are about its other providers
        return unmet(runtime, self._facts)

    def _by_name(self, name: str) -> Runtime | None:
        return next((runtime for runtime in self._found if runtime.name == name and runtime.kind == RUNTIME), None)

    def _base(self, runtime: Runtime) -> tuple[Runtime | None, str]:
        """Choose the runtime that a plugin or extension is added to, or say why there is none."""
        needed = runtime.base
        assert needed is not None  # noqa: S101 - read_runtime gives one to every plugin and extension
        named = self._wish.runtime if self._wish.runtime != runtime.name else None
        if name := needed.runtime or named:
            only = self._by_name(name)
            if only is None:
                return None, f'it extends the runtime {name!r}, which is not installed: pip install "ortpack[{name}]"'
            choice = [only]
        else:
            # The runtime of lowest priority has the fewest providers, so the least is loaded and can go wrong.
            choice = [r for r in self._found if r.kind == RUNTIME and not r.reduced]
            choice.sort(key=lambda r: (r.priority, tuple(-part for part in numbers(r.ort_version)), r.name))
        if not choice:
            return None, f"no ONNX Runtime is installed for it to work with: pip install ortpack[{FALLBACK}]"
        reasons = []
        for candidate in choice:
            if reason := self._mismatch(runtime, candidate) or self._unfitness(candidate):
                reasons.append(f"not with {candidate.name!r}: {reason}")
            else:
                return candidate, ""
        return None, "; ".join(reasons)

    @staticmethod
    def _mismatch(runtime: Runtime, candidate: Runtime) -> str | None:
        needed = runtime.base
        if needed and not fits(candidate.ort_version, needed.ort_versions):
            return f"it is for ORT {needed.ort_versions}, this is {candidate.ort_version}: install releases that fit"
        if runtime.kind == PLUGIN and candidate.api_version < runtime.api_version:
            return f"it needs ORT's API {runtime.api_version}, this has {candidate.api_version}: use a newer release"
        return None


def _platform_misfit(platform: Mapping[str, str], machine: Machine) -> str | None:
    for key in ("os", "arch", "libc"):
        wanted, here = platform.get(key), getattr(machine, key)
        if wanted and here and wanted != here:
            return f"this machine is {machine}"
    for key in ("libc_version", "os_version"):
        wanted, here = platform.get(key), getattr(machine, key)
        if wanted and here and numbers(here) < numbers(wanted):
            name = platform.get("libc", "libc") if key == "libc_version" else machine.os
            return f"it needs {name} {wanted} or newer, this machine has {here}"
    return None


def _in_favour(runtime: Runtime, wish: Wish) -> str:
    what = f"{runtime.kind} {runtime.ort_version}" if runtime.kind == PLUGIN else f"ORT {runtime.ort_version}"
    what += f" for {runtime.target}"
    if wish.runtime:
        return f"{what}, named by {wish.asked_by}"
    if wish.device:
        return f"{what}, serves the device {wish.device!r}"
    if wish.providers:
        return f"{what}, has {', '.join(wish.providers)}"
    return f"{what}, devices {', '.join(runtime.devices)}, priority {runtime.priority}"
