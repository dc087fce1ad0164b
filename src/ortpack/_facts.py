"""Facts about the machine that accelerators depend on: devices, drivers, libraries.

A probe finds each fact when it is first asked for. Probes read a few small files below `/proc`, `/sys` and the library
folders, or Windows' registry. None loads a library, starts a process or changes anything. A fact is a tuple of values:
empty when the thing is not there, None when the probe can't tell.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack._registry import pci_devices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ortpack._registry import PciDevice

Fact = tuple[str, ...] | None

# Newest CUDA version that each branch of NVIDIA's driver supports (CUDA release notes, table of driver versions)
_CUDA_OF_DRIVER = (
    (590, "13.1"), (580, "13.0"), (575, "12.9"), (570, "12.8"), (565, "12.7"), (560, "12.6"), (555, "12.5"),
    (550, "12.4"), (545, "12.3"), (535, "12.2"), (530, "12.1"), (525, "12.0"), (520, "11.8"), (515, "11.7"),
    (510, "11.6"), (495, "11.5"), (470, "11.4"), (465, "11.3"), (460, "11.2"), (455, "11.1"), (450, "11.0"),
)  # fmt: skip
_NVIDIA, _AMD, _INTEL, _MICROSOFT = "0x10de", "0x1002", "0x8086", "0x1414"
_DISPLAY, _ACCELERATOR = "0x03", "0x12"  # PCI base classes


def _is_version(text: str) -> bool:
    parts = text.split(".")
    return len(parts) > 1 and all(part.isdigit() for part in parts)


class Facts:
    """The facts of one machine. Each is probed when it is first asked for, and kept.

    Args:
        root: where the file system starts; another one is a machine that a test describes.
        platform: as `sys.platform`.
        prefixes: folders below which pip's wheels lie, in order.
        registry: gives the devices on the PCI bus of a Windows machine, or raises OSError.
    """

    def __init__(
        self,
        *,
        root: Path | None = None,
        platform: str = sys.platform,
        prefixes: Iterable[Path] = (),
        registry: Callable[[], Iterable[PciDevice]] = pci_devices,
    ) -> None:
        self._root = Path("/") if root is None else root
        self._platform = platform
        self._prefixes = tuple(prefixes)
        self._registry = registry
        self._known: dict[str, Fact] = {}

    def __getitem__(self, name: str) -> Fact:
        """Look up the fact called `name`; None for one that this loader does not know."""
        if name not in self._known:
            probe = _PROBES.get(name)
            try:
                self._known[name] = probe(self) if probe else None
            except OSError:
                self._known[name] = None
        return self._known[name]

    def find(self, requirement: Mapping[str, object]) -> Path | None:
        """Find a library that a `runtime.json` requires: in pip's wheels, the conda environment, or the system."""
        path = requirement.get("path")
        if isinstance(path, str):
            for prefix in self._prefixes:
                if (file := prefix / path).is_file():
                    return file
        if requirement.get("from") == "driver":
            return self._driver_library(str(requirement.get("library", "")))
        return self.system_library(str(requirement.get("library", "")))

    def system_library(self, name: str) -> Path | None:
        """Find the file called `name` in the conda environment, or in the folders that the dynamic loader searches."""
        for folder in (*self._conda_folders(), *self._library_folders()):
            if (file := folder / name).is_file():
                return file
        return None

    def _conda_folders(self) -> list[Path]:
        """List the library folders of the conda environment that this Python belongs to, if any."""
        prefix = Path(sys.prefix)
        if not (prefix / "conda-meta").is_dir():
            return []
        return [prefix / "Library" / "bin"] if self._platform == "win32" else [prefix / "lib"]

    def _driver_library(self, name: str) -> Path | None:
        """Find a driver's library in LD_LIBRARY_PATH, where the provider looks too, or as `system_library` does."""
        for folder in filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")):
            if Path(folder).is_absolute() and (file := Path(folder) / name).is_file():
                return file
        return self.system_library(name)

    def _library_folders(self) -> list[Path]:
        if self._platform == "win32":
            return [Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32"]
        if self._platform == "darwin":
            return [self._at("usr/lib"), self._at("usr/local/lib"), self._at("opt/homebrew/lib")]
        named = [self._root / entry.lstrip("/") for entry in self._ld_so_conf(self._at("etc/ld.so.conf"), 0)]
        usual = ("usr/lib64", "lib64", "usr/lib", "lib", "usr/lib/wsl/lib", "run/opengl-driver/lib")
        triplets = sorted(self._at("usr/lib").glob("*-linux-gnu*"))
        return list(dict.fromkeys([*named, *triplets, *(self._at(folder) for folder in usual)]))

    def _ld_so_conf(self, file: Path, depth: int) -> list[str]:
        folders: list[str] = []
        for line in self._lines(file):
            words = line.partition("#")[0].split()
            if len(words) == 2 and words[0] == "include" and depth < 4:
                pattern = words[1] if words[1].startswith("/") else f"/etc/{words[1]}"
                for included in sorted(self._root.glob(pattern.lstrip("/"))):
                    folders += self._ld_so_conf(included, depth + 1)
            elif len(words) == 1 and words[0].startswith("/"):
                folders.append(words[0])
        return folders

    def _at(self, path: str) -> Path:
        return self._root / path

    def _lines(self, file: Path) -> list[str]:
        try:
            return file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []

    def _first(self, path: str) -> str:
        return next(iter(self._lines(self._at(path))), "").strip()

    def _linux(self) -> bool:
        return self._platform.startswith("linux")

    # --- probes -----------------------------------------------------------------------------------------------------

    def nvidia_driver(self) -> Fact:
        """The version of NVIDIA's driver."""
        if self._platform == "darwin":
            return ()
        if not self._linux():
            return self._windows_nvidia_driver() if self.system_library("nvcuda.dll") else ()
        for line in self._lines(self._at("proc/driver/nvidia/version")):
            if "Kernel Module" in line:
                numbers = [word for word in line.partition("Kernel Module")[2].split() if _is_version(word)]
                return tuple(numbers[:1]) or None
        if version := self._first("sys/module/nvidia/version"):
            return (version,)
        library = self._driver_library("libcuda.so.1")
        if library is None:
            return ()
        # WSL and some containers show no kernel module, but the name of the driver's library ends with its version.
        version = library.resolve().name.removeprefix("libcuda.so.")
        return (version,) if _is_version(version) else None

    def _windows_nvidia_driver(self) -> Fact:
        """Read the driver's version: Windows' 32.0.15.8088 is NVIDIA's 580.88, the last five digits."""
        for device in self._registry():
            digits = "".join(device.driver_version.split(".")[2:])[-5:]
            if device.vendor == _NVIDIA and device.kind.startswith(_DISPLAY) and len(digits) == 5 and digits.isdigit():
                return (f"{digits[:3]}.{digits[3:]}",)
        return None

    def cuda_driver(self) -> Fact:
        """The newest CUDA version that NVIDIA's driver supports."""
        driver = self["nvidia-driver"]
        if not driver:
            return driver
        branch = int(driver[0].split(".")[0])
        return next(((cuda,) for oldest, cuda in _CUDA_OF_DRIVER if branch >= oldest), ())

    def nvidia_gpu(self) -> Fact:
        """NVIDIA's GPUs: their models, or PCI numbers."""
        if self._linux():
            known = [self._model(file) for file in sorted(self._at("proc/driver/nvidia/gpus").glob("*/information"))]
            if known:
                return tuple(known)
            seen = self._pci(_NVIDIA, _DISPLAY)
            hidden = not self._at("proc/driver/nvidia").is_dir() and self._driver_library("libcuda.so.1") is not None
            return None if hidden and not seen else seen  # WSL and some containers have a driver and show no GPU
        return self._pci(_NVIDIA, _DISPLAY)

    def _model(self, file: Path) -> str:
        for line in self._lines(file):
            if line.startswith("Model:"):
                return line.partition(":")[2].strip()
        return "NVIDIA GPU"

    def _pci(self, vendor: str, kind: str) -> Fact:
        """List a vendor's devices whose PCI class starts with `kind`, as "vendor:device"."""
        if self._platform == "darwin":
            return ()
        if self._platform == "win32":
            return self._windows_pci(vendor, kind)
        folder = self._at("sys/bus/pci/devices")
        if not self._linux() or not folder.is_dir():
            return None
        found = []
        for device in sorted(folder.iterdir()):
            maker, shape, model = (next(iter(self._lines(device / name)), "") for name in ("vendor", "class", "device"))
            if maker == vendor and shape.startswith(kind):
                found.append(f"{maker}:{model}")
        return tuple(found)

    def _windows_pci(self, vendor: str, kind: str) -> Fact:
        devices = [device for device in self._registry() if device.kind.startswith(kind)]
        found = tuple(f"{vendor}:{device.model}" for device in devices if device.vendor == vendor)
        # A virtual machine's share of a GPU appears as a device of Microsoft's, whoever made the GPU.
        hidden = not found and any(device.vendor == _MICROSOFT for device in devices)
        return None if hidden else found

    def cpu_vendor(self) -> Fact:
        """The CPU's vendor, such as `GenuineIntel`."""
        if self._platform == "darwin":
            return None
        if self._platform == "win32":
            return tuple(os.environ.get("PROCESSOR_IDENTIFIER", "").rpartition(", ")[2:]) or None
        return self._cpuinfo("vendor_id")[:1] or None

    def cpu_features(self) -> Fact:
        """The CPU's features, as Linux names them."""
        if not self._linux():
            return None
        return tuple((self._cpuinfo("flags") or self._cpuinfo("Features") or ("",))[0].split()) or None

    def _cpuinfo(self, key: str) -> tuple[str, ...]:
        for line in self._lines(self._at("proc/cpuinfo")):
            name, _, value = line.partition(":")
            if name.strip() == key:
                return (value.strip(),)
        return ()

    def windows_build(self) -> Fact:
        """The version of the running Windows."""
        if sys.platform != "win32" or self._platform != "win32":
            return ()
        version = sys.getwindowsversion()
        return (f"{version.major}.{version.minor}.{version.build}",)

    def directx(self) -> Fact:
        """The version of DirectX that Windows has."""
        if self._platform != "win32":
            return ()
        return ("12",) if self.system_library("d3d12.dll") else ()

    def intel_npu(self) -> Fact:
        """Intel's NPUs."""
        return self._pci(_INTEL, _ACCELERATOR)

    def intel_device(self) -> Fact:
        """List Intel's CPU, GPUs and NPUs: a plugin for Intel's devices needs one of them."""
        parts = [self["cpu-vendor"], self["intel-gpu"], self["intel-npu"]]
        found = [value for values in parts for value in values or () if value not in ("AuthenticAMD", "HygonGenuine")]
        return tuple(found) or (None if None in parts else ())

    def rocm(self) -> Fact:
        """The version of ROCm."""
        if not self._linux():
            return None
        version = self._first("opt/rocm/.info/version").partition("-")[0]
        return (version,) if version else ()

    def vulkan(self) -> Fact:
        """The name of the system's Vulkan loader."""
        if not self._linux():
            return None
        return ("libvulkan.so.1",) if self.system_library("libvulkan.so.1") else ()


_PROBES: dict[str, Callable[[Facts], Fact]] = {
    "nvidia-gpu": Facts.nvidia_gpu,
    "nvidia-driver": Facts.nvidia_driver,
    "cuda-driver": Facts.cuda_driver,
    "windows-build": Facts.windows_build,
    "directx": Facts.directx,
    "amd-gpu": lambda facts: facts._pci(_AMD, _DISPLAY),
    "intel-gpu": lambda facts: facts._pci(_INTEL, _DISPLAY),
    "intel-npu": Facts.intel_npu,
    "intel-device": Facts.intel_device,
    "rocm": Facts.rocm,
    "cpu-vendor": Facts.cpu_vendor,
    "cpu-feature": Facts.cpu_features,
    "vulkan": Facts.vulkan,
}
KNOWN = tuple(_PROBES)


def these_facts() -> Facts:
    """Make the facts of this machine."""
    from ortpack._installed import search_folders  # noqa: PLC0415 - only when something is asked

    return Facts(prefixes=search_folders())
