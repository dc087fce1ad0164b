"""Devices on the PCI bus are read from Windows' registry here: no device is opened, nothing is loaded or changed.

The registry keeps devices that were taken out. So a device that it lacks is not in the machine, and one that it has may
be gone: good enough to rule a runtime out, while loading the others will tell.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENUM = r"SYSTEM\CurrentControlSet\Enum\PCI"
_CLASS = r"SYSTEM\CurrentControlSet\Control\Class"
# Windows' setup classes (Microsoft, "System-defined device setup classes") as PCI base classes
_KINDS = {
    "{4d36e968-e325-11ce-bfc1-08002be10318}": "0x03",  # display adapters
    "{f01a9d53-3ff6-48d2-9f97-c8a7004be10c}": "0x12",  # compute accelerators
}


@dataclass(frozen=True, kw_only=True)
class PciDevice:
    """One device, as the registry describes it."""

    hardware_ids: tuple[str, ...]  # "PCI\\VEN_10DE&DEV_2684&CC_030000", one of several spellings
    class_guid: str = ""  # "{4d36e968-…}": Windows' own class, empty where no driver is installed
    driver_version: str = ""  # "32.0.15.8088"; empty where no driver is installed

    @property
    def vendor(self) -> str:
        """The vendor's PCI number as Linux spells it, "0x10de"; empty if the registry does not tell."""
        return self._part("VEN_", 4)

    @property
    def model(self) -> str:
        """The device's PCI number as Linux spells it, "0x2684"; empty if the registry does not tell."""
        return self._part("DEV_", 4)

    @property
    def kind(self) -> str:
        """The PCI class as Linux spells it, "0x030000", or its first digits; empty if the registry does not tell."""
        return self._part("CC_", 6) or self._part("CC_", 4) or _KINDS.get(self.class_guid.lower(), "")

    def _part(self, prefix: str, digits: int) -> str:
        for name in self.hardware_ids:
            for part in name.upper().rpartition("\\")[2].split("&"):
                value = part.removeprefix(prefix)
                if value != part and len(value) == digits:
                    return f"0x{value.lower()}"
        return ""


def pci_devices() -> list[PciDevice]:
    """List the devices that Windows knows on this machine's PCI bus.

    Raises:
        OSError: there is no such registry, or it may not be read.
    """
    if sys.platform != "win32":
        raise OSError("this system has no registry")
    import winreg  # noqa: PLC0415 - Windows only

    def names(key: Any) -> Iterator[str]:
        for index in range(winreg.QueryInfoKey(key)[0]):
            yield winreg.EnumKey(key, index)

    def value(key: Any, name: str) -> object:
        try:
            return winreg.QueryValueEx(key, name)[0]
        except OSError:  # no such value
            return None

    def driver_version(driver: object) -> str:
        if not driver:
            return ""
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, rf"{_CLASS}\{driver}") as key:
                return str(value(key, "DriverVersion") or "")
        except OSError:  # the driver was removed, or only administrators may read its key
            return ""

    found = []
    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, _ENUM) as bus:
        for device in names(bus):
            with winreg.OpenKey(bus, device) as places:
                for place in names(places):
                    with winreg.OpenKey(places, place) as key:
                        ids = value(key, "HardwareID")
                        found.append(
                            PciDevice(
                                hardware_ids=(*(ids if isinstance(ids, list) else ()), f"PCI\\{device}"),
                                class_guid=str(value(key, "ClassGUID") or ""),
                                driver_version=driver_version(value(key, "Driver")),
                            )
                        )
    return found
