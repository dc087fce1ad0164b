"""Which runtime to use: a pure function of what is installed, the machine, and the user's wish.

Every candidate gets a verdict with a reason, so that `explain()` and `doctor` can say why a runtime was or was not
taken. Nothing here reads a file, the environment or the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ortpack._installed import BrokenRuntime, Runtime
from ortpack.errors import (
    RuntimeNotFoundError,
    RuntimeUnusableError,
    UnknownDeviceError,
    UnknownProviderError,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ortpack._machine import Machine

BASE_API = 17  # the oldest ORT C API that the binding speaks

USABLE, REJECTED = "usable", "rejected"
CPU = "CPUExecutionProvider"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user asked for; nothing set means: the best that works here."""

    runtime: str | None = None  # by name
    device: str | None = None
    providers: tuple[str, ...] = ()
    asked_by: str = "automatic"  # for messages: "ORTPACK_RUNTIME", "device=", …


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One runtime and the verdict on it."""

    runtime: Runtime | BrokenRuntime
    verdict: str  # USABLE or REJECTED
    reason: str

    @property
    def usable(self) -> bool:
        return self.verdict == USABLE


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """The outcome: every candidate in the order in which they are tried, rejected ones last."""

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

    def __str__(self) -> str:
        lines = [f"{self.machine}; wish: {describe(self.wish)}"]
        for candidate in self.candidates:
            mark = "->" if candidate.runtime is self.chosen else "  "
            lines.append(f"{mark} {candidate.runtime.name}: {candidate.verdict}: {candidate.reason}")
        if not self.candidates:
            lines.append("   no runtime is installed: pip install ortpack[cpu]")
        return "\n".join(lines)


def describe(wish: Wish) -> str:
    """The wish in a few words."""
    if wish.runtime:
        return f"runtime {wish.runtime!r} ({wish.asked_by})"
    if wish.device:
        return f"device {wish.device!r}"
    if wish.providers:
        return f"providers {', '.join(wish.providers)}"
    return "automatic"


def resolve(
    found: Iterable[Runtime | BrokenRuntime], machine: Machine, wish: Wish, damage: Mapping[str, Sequence[str]]
) -> Resolution:
    """Judge every runtime in `found`.

    Args:
        found: what is installed, in any order: it does not matter.
        machine: where they would run.
        wish: what the user asked for.
        damage: name of a runtime -> what is wrong with its files.
    """
    candidates = [_judge(runtime, machine, wish, damage.get(runtime.name, ())) for runtime in found]
    candidates.sort(key=_rank)
    return Resolution(wish=wish, machine=machine, candidates=tuple(candidates))


def demand(resolution: Resolution) -> Runtime:
    """The chosen runtime.

    Raises:
        RuntimeNotFoundError: nothing is installed, or nothing of the wished name.
        RuntimeUnusableError: what is installed can't work here; the message has each one's reason.
        UnknownDeviceError, UnknownProviderError: no installed runtime has what was wished for.
    """
    if resolution.chosen:
        return resolution.chosen
    wish = resolution.wish
    if not resolution.candidates:
        what = wish.runtime or wish.device or "cpu"
        raise RuntimeNotFoundError(f"no ONNX Runtime is installed for ortpack: pip install ortpack[{what}]")
    runtimes = [c.runtime for c in resolution.candidates if isinstance(c.runtime, Runtime)]
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


def _rank(candidate: Candidate) -> tuple[bool, int, str]:
    runtime = candidate.runtime
    priority = runtime.priority if isinstance(runtime, Runtime) else 0
    return (not candidate.usable, -priority, runtime.name)


def _judge(runtime: Runtime | BrokenRuntime, machine: Machine, wish: Wish, damage: Sequence[str]) -> Candidate:
    if isinstance(runtime, BrokenRuntime):
        return Candidate(runtime=runtime, verdict=REJECTED, reason=runtime.reason)
    reason = _against(runtime, machine, wish, damage)
    if reason:
        return Candidate(runtime=runtime, verdict=REJECTED, reason=reason)
    return Candidate(runtime=runtime, verdict=USABLE, reason=_in_favour(runtime, wish))


def _against(runtime: Runtime, machine: Machine, wish: Wish, damage: Sequence[str]) -> str | None:
    """The first reason why `runtime` can't be taken."""
    if wish.runtime and wish.runtime != runtime.name:
        return f"{wish.asked_by} asks for {wish.runtime!r}"
    if runtime.reduced and wish.runtime != runtime.name:
        return "it holds only the operators of some models: load it by name or path"
    if misfit := _platform_misfit(runtime.platform, machine):
        return f"it is built for {runtime.target}; {misfit}"
    if runtime.api_version < BASE_API:
        return (
            f"ORT {runtime.ort_version} (API {runtime.api_version}) is older than API {BASE_API}, the oldest supported"
        )
    if damage:
        return f"{'; '.join(damage)}: reinstall the package that brought it"
    if wish.device and wish.device not in runtime.devices:
        return f"it does not serve the device {wish.device!r}"
    missing = [provider for provider in wish.providers if provider not in runtime.providers]
    if missing:
        return f"it does not have {', '.join(missing)}"
    return None


def _platform_misfit(platform: Mapping[str, str], machine: Machine) -> str | None:
    for key in ("os", "arch", "libc"):
        wanted, here = platform.get(key), getattr(machine, key)
        if wanted and here and wanted != here:
            return f"this machine is {machine}"
    for key in ("libc_version", "os_version"):
        wanted, here = platform.get(key), getattr(machine, key)
        if wanted and here and _numbers(here) < _numbers(wanted):
            name = platform.get("libc", "libc") if key == "libc_version" else machine.os
            return f"it needs {name} {wanted} or newer, this machine has {here}"
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _in_favour(runtime: Runtime, wish: Wish) -> str:
    what = f"ORT {runtime.ort_version} for {runtime.target}"
    if wish.runtime:
        return f"{what}, named by {wish.asked_by}"
    if wish.device:
        return f"{what}, serves the device {wish.device!r}"
    if wish.providers:
        return f"{what}, has {', '.join(wish.providers)}"
    return f"{what}, devices {', '.join(runtime.devices)}, priority {runtime.priority}"
