"""What `doctor` warns about: an environment that works worse than it could, or not for the reason that it seems."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from ortpack._installed import FOLDER, Runtime
from ortpack._needs import numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ortpack._machine import Machine
    from ortpack._needs import MachineFacts

# A device that this machine may have, and the devices of runtimes that use it, best first
_USES = (
    (
        "nvidia-gpu",
        "NVIDIA GPU",
        ("cuda", "tensorrt", "tensorrt-rtx", "tensorrt-rtx-cuda12", "directml", "webgpu"),
    ),
    ("amd-gpu", "AMD GPU", ("migraphx", "directml", "webgpu")),
    ("intel-gpu", "Intel GPU", ("openvino", "directml", "webgpu")),
    ("intel-npu", "Intel NPU", ("openvino",)),
)
# What begins like this may write into the folder `onnxruntime`; plugins of the same makers have folders of their own
_OFFICIAL = ("onnxruntime", "ort-nightly")
_SHARED = "onnxruntime/__init__.py"
_ONLY_ON = {"migraphx": "linux", "directml": "windows"}


def unused_devices(runtimes: Iterable[Runtime], machine: Machine, facts: MachineFacts) -> list[str]:
    """Devices of this machine that no installed runtime uses, with what to install."""
    served = {device for runtime in runtimes for device in runtime.devices}
    found = []
    for fact, label, names in _USES:
        if (have := facts[fact]) and served.isdisjoint(names):
            name = next(name for name in names if _ONLY_ON.get(name, machine.os) == machine.os)
            if name == "cuda" and numbers((facts["cuda-driver"] or ("13",))[0]) < (13,):
                name = "cuda12"
            found.append(f"this machine has an {label} ({have[0]}) and no runtime for it: pip install ortpack[{name}]")
    # A GPU that no probe can tell, such as a virtual machine's share of one
    untold = not found and None in (facts["nvidia-gpu"], facts["amd-gpu"], facts["intel-gpu"])
    directx = machine.os == "windows" and machine.arch == "amd64" and untold and facts["directx"]
    if directx and served.isdisjoint(("directml", "cuda", "openvino", "webgpu")):
        found.append("this machine has DirectX 12 and no runtime for a GPU: pip install ortpack[directml]")
    if machine.os == "macos" and machine.arch == "arm64" and served.isdisjoint(("coreml", "webgpu")):
        found.append("this Mac has a GPU and a Neural Engine and no runtime for them: pip install ortpack[coreml]")
    return found


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
