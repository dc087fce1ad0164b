"""What `doctor` warns about: an environment that works worse than it could, or not for the reason that it seems."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from ortpack._installed import FOLDER, Runtime
from ortpack._needs import numbers
from ortpack._served import SERVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ortpack._machine import Machine
    from ortpack._needs import MachineFacts
    from ortpack._served import Serving

# A GPU or NPU that this machine may have, by its fact, and how a sentence calls it
_DEVICES = (
    ("nvidia-gpu", "NVIDIA GPU"),
    ("amd-gpu", "AMD GPU"),
    ("intel-gpu", "Intel GPU"),
    ("intel-npu", "Intel NPU"),
)
_GPUS = ("nvidia-gpu", "amd-gpu", "intel-gpu")
# What begins like this may write into the folder `onnxruntime`; plugins of the same makers have folders of their own
_OFFICIAL = ("onnxruntime", "ort-nightly")
_SHARED = "onnxruntime/__init__.py"


def unused_devices(runtimes: Iterable[Runtime], machine: Machine, facts: MachineFacts) -> list[str]:
    """Devices of this machine that no installed runtime uses, with what to install."""
    used = {device for runtime in runtimes for device in runtime.devices}
    found = []
    for fact, label in _DEVICES:
        if (have := facts[fact]) and not _is_served(used, fact) and (extra := _advised(fact, machine, facts)):
            found.append(f"this machine has an {label} ({have[0]}) and no runtime for it: pip install ortpack[{extra}]")
    # A GPU that no probe can tell, such as a virtual machine's share of one
    untold = not found and None in [facts[fact] for fact in _GPUS]
    directx = machine.os == "windows" and machine.arch == "amd64" and untold and facts["directx"]
    if directx and not _is_served(used, "directx", *_GPUS) and (extra := _advised("directx", machine, facts)):
        found.append(f"this machine has DirectX 12 and no runtime for a GPU: pip install ortpack[{extra}]")
    apple = machine.os == "macos" and machine.arch == "arm64"
    if apple and not _is_served(used, "apple-gpu") and (extra := _advised("apple-gpu", machine, facts)):
        found.append(f"this Mac has a GPU and a Neural Engine and no runtime for them: pip install ortpack[{extra}]")
    return found


def _is_served(used: set[str], *facts: str) -> bool:
    """Whether one of the devices that installed runtimes offer uses one of these of the machine."""
    return not used.isdisjoint(serving.device for fact in facts for serving in SERVED.get(fact, ()))


def _advised(fact: str, machine: Machine, facts: MachineFacts) -> str | None:
    """The extra to install for a device: the first that is made for this machine, and that its drivers are new enough
    for if there is such a one."""
    platform = (machine.os, machine.arch, machine.libc)
    made = [serving for serving in SERVED.get(fact, ()) if platform in serving.platforms]
    fitting = [serving.extra for serving in made if _new_enough(serving, machine, facts)]
    return next(iter([*fitting, *(serving.extra for serving in made)]), None)


def _new_enough(serving: Serving, machine: Machine, facts: MachineFacts) -> bool:
    """Whether nothing that is known of the machine is too old for a variant."""
    wanted = [(fact, oldest) for fact, oldest, systems in serving.needs if not systems or machine.os in systems]
    return all(not (have := facts[fact]) or numbers(have[0]) >= numbers(oldest) for fact, oldest in wanted)


def clobbered(folders: Sequence[Path]) -> list[str]:
    """Official packages that overwrite each other, and two releases of one package of ours in a folder."""
    from importlib.metadata import distributions  # noqa: PLC0415 - slow to import

    found = []
    for folder in folders:
        versions: dict[str, set[str]] = {}
        official: list[str] = []
        for distribution in distributions(path=[str(folder)]):
            name = (distribution.metadata["Name"] or "").replace("_", "-").lower()
            versions.setdefault(name, set()).add(distribution.version)
            if name.startswith(_OFFICIAL) and any(str(file) == _SHARED for file in distribution.files or ()):
                official.append(name)
        official = sorted(set(official))
        if len(official) > 1:
            both = " and ".join(official)
            found.append(
                f"{both} overwrite each other's files in {folder}: "
                f"pip uninstall {' '.join(official)}, then install one of them"
            )
        found += [
            f"{name} is installed in {len(several)} versions ({', '.join(sorted(several))}) in {folder}: "
            f"pip install --force-reinstall {name}"
            for name, several in sorted(versions.items())
            if len(several) > 1 and (name == "ortpack" or name.startswith("ortpack-"))
        ]
    return found


def shadowed(folders: Sequence[Path]) -> list[str]:
    """Runtimes that are installed in several folders: the first is taken, the others play no part."""
    where: dict[str, list[Path]] = {}
    for folder in folders:
        try:
            entries = [entry.name for entry in (folder / FOLDER).iterdir() if (entry / "runtime.json").is_file()]
        except OSError:
            continue
        for name in entries:
            where.setdefault(name, []).append(folder)
    return [
        f"the runtime {name!r} is installed {len(places)} times; {places[0]} is taken, and not "
        f"{', '.join(map(str, places[1:]))}: uninstall the others"
        for name, places in sorted(where.items())
        if len({place.resolve() for place in places}) > 1
    ]


def writable(runtimes: Iterable[Runtime]) -> list[str]:
    """Runtimes that other users of this machine could change."""
    if sys.platform == "win32":
        return []
    found = []
    for runtime in runtimes:
        for place in (runtime.path, runtime.library):
            try:
                mode = place.stat().st_mode
            except OSError:
                continue
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                found.append(f"{place} can be written by everyone, who could plant code: chmod o-w {place}")
    return list(dict.fromkeys(found))


def ignored_variables() -> list[str]:
    """Variables that name a runtime and are set together: one of them is not looked at."""
    from ortpack._runtime import LIBRARY_VARIABLE, RUNTIME_VARIABLE  # noqa: PLC0415

    if os.environ.get(LIBRARY_VARIABLE) and os.environ.get(RUNTIME_VARIABLE):
        return [f"{LIBRARY_VARIABLE} and {RUNTIME_VARIABLE} are both set: the first one counts"]
    return []
