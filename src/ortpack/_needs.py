"""A runtime's needs are compared with the machine; the first unmet one is told, with the command that mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ortpack._facts import Fact
    from ortpack._installed import Need, Runtime

# Fact → how a message starts when the machine has it but that is not enough, and when the machine has none
_SAYS = {
    "nvidia-gpu": ("the NVIDIA GPU is {have}", "this machine has no NVIDIA GPU"),
    "nvidia-driver": ("the NVIDIA driver is {have}", "this machine has no NVIDIA driver"),
    "cuda-driver": ("the NVIDIA driver supports CUDA {have}", "this machine has no NVIDIA driver for CUDA"),
    "cuda-compute": ("the GPU has compute capability {have}", "this machine has no CUDA GPU"),
    "windows-build": ("this is Windows {have}", "this is not Windows"),
    "directx": ("this machine has DirectX {have}", "this machine has no DirectX"),
    "amd-gpu": ("the AMD GPU is {have}", "this machine has no AMD GPU"),
    "intel-gpu": ("the Intel GPU is {have}", "this machine has no Intel GPU"),
    "intel-npu": ("the Intel NPU is {have}", "this machine has no Intel NPU"),
    "intel-device": ("the Intel device is {have}", "this machine has no CPU, GPU or NPU of Intel"),
    "rocm": ("this machine has ROCm {have}", "this machine has no ROCm"),
    "cpu-vendor": ("the CPU's vendor is {have}", "the CPU's vendor is another"),
    "cpu-feature": ("the CPU does not have it", "the CPU does not have it"),
    "vulkan": ("this machine has Vulkan {have}", "this machine has no Vulkan loader (libvulkan.so.1)"),
}


class MachineFacts(Protocol):
    """What is known of a machine: `_facts.Facts`, or a description in a test."""

    def __getitem__(self, name: str) -> Fact:
        """Look up the values of a fact: an empty tuple when the thing is not there, None when that is not known."""

    def find(self, requirement: Mapping[str, object]) -> Path | None:
        """Find the file of a library that a runtime requires; None if it is not there."""


class Unknown:
    """A machine of which nothing is known, so that no need counts as unmet."""

    def __getitem__(self, name: str) -> Fact:
        return None

    def find(self, requirement: Mapping[str, object]) -> Path | None:
        from pathlib import Path  # noqa: PLC0415 - slow to import

        return Path(str(requirement.get("library", "")))


def unmet(runtime: Runtime, facts: MachineFacts) -> str | None:
    """Name the first thing that `runtime` needs and the machine lacks, and what to do; None when nothing is lacking.

    A fact that is not known is no reason against a runtime: loading it will tell.
    """
    for need in runtime.needs:
        if reason := _unmet(need, facts):
            return f"{reason}: {need.mend}" if need.mend else reason
    for entry in runtime.requires:
        if entry.get("optional") or entry.get("from") not in ("pip", "driver"):
            continue
        if facts.find(entry) is None:
            if entry["from"] == "driver":
                return f"{entry.get('library')} is missing, which the device's driver brings: install the driver"
            return f"{entry.get('library')} is missing, which {entry.get('distribution')} brings: {runtime.install}"
    return None


def _unmet(need: Need, facts: MachineFacts) -> str | None:
    have = facts[need.fact]
    if have is None:
        return None
    enough, absent = _SAYS.get(need.fact, (f"{need.fact} is {{have}}", f"this machine has no {need.fact}"))
    if not have:
        return absent
    shown = enough.format(have=", ".join(have))
    if need.at_least and numbers(have[0]) < numbers(need.at_least):
        return f"{shown}, {need.at_least} or newer is needed"
    if need.one_of and not set(need.one_of) & set(have):
        return f"{shown}, {' or '.join(need.one_of)} is needed"
    return None


def numbers(version: str) -> tuple[int, ...]:
    """Turn a version into a tuple that can be compared: "1.32.0" is (1, 32, 0)."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def fits(version: str, clauses: str) -> bool:
    """Whether `version` meets clauses such as ">=1.24,<2"; no clause at all is met by any."""
    here = numbers(version)
    for clause in filter(None, (part.strip() for part in clauses.split(","))):
        wanted = numbers(clause.lstrip("<>= "))
        cut = here[: len(wanted)]
        if clause.startswith(">=") and here < wanted:
            return False
        if clause.startswith("<") and not here < wanted:
            return False
        if clause.startswith("==") and cut != wanted:
            return False
    return True
