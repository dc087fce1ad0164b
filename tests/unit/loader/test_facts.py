"""Facts of machines that are described as file trees: nothing of this machine shows through."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from ortpack._facts import KNOWN, Facts, these_facts
from ortpack._registry import PciDevice, pci_devices

if TYPE_CHECKING:
    from pathlib import Path

    from ortpack._facts import Fact

DRIVER = """NVRM version: NVIDIA UNIX {kind}x86_64 Kernel Module  {version}  Tue Sep 23 10:11:12 UTC 2026
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)
"""


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def pci(number: int, vendor: str, kind: str, device: str = "0x1234") -> dict[str, str]:
    folder = f"sys/bus/pci/devices/0000:00:{number:02x}.0"
    return {f"{folder}/vendor": f"{vendor}\n", f"{folder}/class": f"{kind}\n", f"{folder}/device": f"{device}\n"}


@pytest.mark.parametrize(
    ("version", "cuda"),
    [
        ("580.65.06", "13.0"),
        ("590.10", "13.1"),
        ("999.1", "13.1"),
        ("550.54.14", "12.4"),
        ("549.9", "12.3"),
        ("525.60.13", "12.0"),
        ("470.57.02", "11.4"),
    ],
)
@pytest.mark.parametrize("kind", ["", "Open "])
def test_the_driver_tells_which_cuda_it_supports(tmp_path: Path, version: str, cuda: str, kind: str) -> None:
    text = DRIVER.format(version=version, kind=kind).replace("Module  ", "Module for x86_64  " if kind else "Module  ")
    facts = Facts(root=tree(tmp_path, {"proc/driver/nvidia/version": text}), platform="linux")
    assert facts["nvidia-driver"] == (version,)
    assert facts["cuda-driver"] == (cuda,)


def test_a_driver_older_than_any_known_supports_no_cuda(tmp_path: Path) -> None:
    text = DRIVER.format(version="390.157", kind="")
    facts = Facts(root=tree(tmp_path, {"proc/driver/nvidia/version": text}), platform="linux")
    assert facts["cuda-driver"] == ()


def test_without_a_kernel_module_the_drivers_library_tells(tmp_path: Path) -> None:
    tree(tmp_path, {"usr/lib/wsl/lib/libcuda.so.580.65.06": ""})
    (tmp_path / "usr/lib/wsl/lib/libcuda.so.1").symlink_to("libcuda.so.580.65.06")
    facts = Facts(root=tmp_path, platform="linux")
    assert facts["nvidia-driver"] == ("580.65.06",)


def test_a_drivers_library_without_a_version_is_not_known_and_no_driver_is_none(tmp_path: Path) -> None:
    assert Facts(root=tmp_path, platform="linux")["nvidia-driver"] == ()
    tree(tmp_path, {"usr/lib/x86_64-linux-gnu/libcuda.so.1": ""})
    assert Facts(root=tmp_path, platform="linux")["nvidia-driver"] is None
    assert Facts(root=tmp_path, platform="linux")["cuda-driver"] is None


def test_folders_of_ld_so_conf_are_searched_includes_too(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {
            "etc/ld.so.conf": "# a comment\ninclude /etc/ld.so.conf.d/*.conf\ninclude ld.more.conf\n",
            "etc/ld.so.conf.d/a.conf": "/opt/a/lib # and a remark\n",
            "etc/ld.more.conf": "/opt/b/lib\n",
            "opt/a/lib/libone.so.1": "",
            "opt/b/lib/libtwo.so.1": "",
        },
    )
    facts = Facts(root=tmp_path, platform="linux")
    assert facts.system_library("libone.so.1") == tmp_path / "opt/a/lib/libone.so.1"
    assert facts.system_library("libtwo.so.1") == tmp_path / "opt/b/lib/libtwo.so.1"
    assert facts.system_library("libthree.so.1") is None


def test_an_include_that_goes_round_ends(tmp_path: Path) -> None:
    tree(tmp_path, {"etc/ld.so.conf": "include /etc/ld.so.conf\n/opt/lib\n"})
    assert Facts(root=tmp_path, platform="linux").system_library("libx.so") is None


def test_devices_are_told_by_vendor_and_class(tmp_path: Path) -> None:
    devices = {
        **pci(1, "0x8086", "0x030000", "0x46a6"),
        **pci(2, "0x8086", "0x120000", "0x7d1d"),
        **pci(3, "0x1002", "0x038000", "0x744c"),
        **pci(4, "0x8086", "0x020000"),
    }
    facts = Facts(root=tree(tmp_path, devices), platform="linux")
    assert facts["intel-gpu"] == ("0x8086:0x46a6",)
    assert facts["intel-npu"] == ("0x8086:0x7d1d",)
    assert facts["amd-gpu"] == ("0x1002:0x744c",)
    assert facts["nvidia-gpu"] == ()


@pytest.mark.parametrize(
    ("vendor", "device", "found"),
    [
        ("GenuineIntel", "0x1002", ("GenuineIntel",)),
        ("AuthenticAMD", "0x1002", ()),
        ("AuthenticAMD", "0x8086", ("0x8086:0x1234",)),
    ],
)
def test_a_cpu_or_gpu_of_intel_is_an_intel_device(
    tmp_path: Path, vendor: str, device: str, found: tuple[str, ...]
) -> None:
    tree(tmp_path, {"proc/cpuinfo": f"vendor_id : {vendor}\n", **pci(1, device, "0x030000")})
    assert Facts(root=tmp_path, platform="linux")["intel-device"] == found


def test_where_no_bus_is_shown_devices_are_not_known(tmp_path: Path) -> None:
    assert Facts(root=tmp_path, platform="linux")["intel-gpu"] is None


def test_nvidia_gpus_have_names_where_the_driver_gives_them(tmp_path: Path) -> None:
    tree(tmp_path, {"proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA L4\nIRQ: 1\n"})
    assert Facts(root=tmp_path, platform="linux")["nvidia-gpu"] == ("NVIDIA L4",)


def test_the_cpu_tells_vendor_and_features(tmp_path: Path) -> None:
    text = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu avx2 avx512f\n\nprocessor\t: 1\nvendor_id\t: X\n"
    facts = Facts(root=tree(tmp_path, {"proc/cpuinfo": text}), platform="linux")
    assert facts["cpu-vendor"] == ("GenuineIntel",)
    assert facts["cpu-feature"] == ("fpu", "avx2", "avx512f")


def test_arm_cpus_have_features_and_no_vendor(tmp_path: Path) -> None:
    text = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n"
    facts = Facts(root=tree(tmp_path, {"proc/cpuinfo": text}), platform="linux")
    assert facts["cpu-vendor"] is None
    assert facts["cpu-feature"] == ("fp", "asimd")


def test_rocm_and_vulkan(tmp_path: Path) -> None:
    assert Facts(root=tmp_path, platform="linux")["rocm"] == ()
    assert Facts(root=tmp_path, platform="linux")["vulkan"] == ()
    tree(tmp_path, {"opt/rocm/.info/version": "7.0.2-56\n", "usr/lib64/libvulkan.so.1": ""})
    assert Facts(root=tmp_path, platform="linux")["rocm"] == ("7.0.2",)
    assert Facts(root=tmp_path, platform="linux")["vulkan"] == ("libvulkan.so.1",)


def test_a_mac_has_no_nvidia_driver_and_no_windows(tmp_path: Path) -> None:
    facts = Facts(root=tmp_path, platform="darwin")
    assert [facts[name] for name in ("nvidia-driver", "cuda-driver", "windows-build", "directx", "amd-gpu")] == [()] * 5


def test_a_library_of_a_wheel_comes_before_the_systems(tmp_path: Path) -> None:
    files = ("site/nvidia/cu13/lib/libcudart.so.13", "usr/lib64/libcudart.so.13", "usr/lib64/libb.so")
    tree(tmp_path, dict.fromkeys(files, ""))
    facts = Facts(root=tmp_path, platform="linux", prefixes=[tmp_path / "empty", tmp_path / "site"])
    entry = {"library": "libcudart.so.13", "path": "nvidia/cu13/lib/libcudart.so.13"}
    assert facts.find(entry) == tmp_path / "site/nvidia/cu13/lib/libcudart.so.13"
    assert facts.find({"library": "libb.so", "path": "x/libb.so"}) == tmp_path / "usr/lib64/libb.so"
    assert facts.find({"library": "libc.so.99"}) is None


@pytest.mark.parametrize(
    ("platform", "library", "place"),
    [("linux", "libcudart.so.13", "lib"), ("win32", "cudart64_13.dll", "Library/bin")],
)
def test_a_library_of_the_conda_environment_comes_after_pips_and_before_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, library: str, place: str
) -> None:
    tree(tmp_path, {f"conda/{place}/{library}": "", f"usr/lib64/{library}": ""})
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "conda"))
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    entry = {"library": library, "from": "pip", "path": f"nvidia/cu13/{library}"}
    facts = Facts(root=tmp_path, platform=platform, prefixes=[tmp_path / "site"])
    assert facts.find(entry) != tmp_path / "conda" / place / library  # a folder with such a file is no environment
    tree(tmp_path, {"conda/conda-meta/history": ""})
    assert facts.find(entry) == tmp_path / "conda" / place / library
    tree(tmp_path, {f"site/nvidia/cu13/{library}": ""})
    assert facts.find(entry) == tmp_path / "site/nvidia/cu13" / library


def test_library_path_variables_count_for_a_driver_and_for_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, {"planted/libcudart.so.13": "", "planted/libcuda.so.580.65.06": ""})
    (tmp_path / "planted/libcuda.so.1").symlink_to("libcuda.so.580.65.06")
    monkeypatch.chdir(tmp_path / "planted")
    monkeypatch.setenv("LD_LIBRARY_PATH", ":.")
    assert Facts(root=tmp_path / "root", platform="linux")["nvidia-driver"] == ()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "planted"))
    facts = Facts(root=tmp_path / "root", platform="linux")
    assert facts.find({"library": "libcudart.so.13"}) is None
    assert facts["nvidia-driver"] == ("580.65.06",)
    assert facts["nvidia-gpu"] is None
    assert facts.find({"library": "libcuda.so.1", "from": "driver"}) == tmp_path / "planted/libcuda.so.1"


def test_an_unknown_fact_is_not_known() -> None:
    assert these_facts()["telepathy"] is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/maps")
def test_every_probe_runs_on_this_machine_and_loads_nothing() -> None:
    from pathlib import Path

    def mapped() -> set[str]:
        lines = Path("/proc/self/maps").read_text().splitlines()
        return {words[5] for line in lines if len(words := line.split()) > 5}

    before = mapped()
    facts = these_facts()
    for name in KNOWN:
        value = facts[name]
        assert value is None or all(isinstance(item, str) and item for item in value)
    assert mapped() == before


# As Windows writes them: the most exact name first
RTX = PciDevice(
    hardware_ids=(
        r"PCI\VEN_10DE&DEV_2684&SUBSYS_16F110DE&REV_A1",
        r"PCI\VEN_10DE&DEV_2684&SUBSYS_16F110DE",
        r"PCI\VEN_10DE&DEV_2684&CC_030000",
        r"PCI\VEN_10DE&DEV_2684&CC_0300",
    ),
    driver_version="32.0.15.8088",
)
SOUND = PciDevice(hardware_ids=(r"PCI\VEN_10DE&DEV_22BA&CC_040300",), driver_version="1.4.2.6")
NPU = PciDevice(hardware_ids=(r"PCI\VEN_8086&DEV_7D1D&CC_1200",), driver_version="32.0.100.3104")
ARC = PciDevice(hardware_ids=(r"pci\ven_8086&dev_7d55&cc_030000",), driver_version="32.0.101.6078")
RADEON = PciDevice(hardware_ids=(r"PCI\VEN_1002&DEV_744C&CC_0300",))
SHARE = PciDevice(hardware_ids=(r"PCI\VEN_1414&DEV_008E",), class_guid="{4d36e968-e325-11ce-bfc1-08002be10318}")
UNTOLD = PciDevice(hardware_ids=("", "PCI", r"PCI\VEN_&DEV_12345", "\\"))


def windows(*devices: PciDevice) -> Facts:
    return Facts(platform="win32", registry=lambda: devices)


def test_windows_devices_are_told_by_vendor_and_class() -> None:
    facts = windows(SOUND, UNTOLD, RTX, NPU, ARC, RADEON)
    assert facts["nvidia-gpu"] == ("0x10de:0x2684",)
    assert facts["amd-gpu"] == ("0x1002:0x744c",)
    assert facts["intel-gpu"] == ("0x8086:0x7d55",)
    assert facts["intel-npu"] == ("0x8086:0x7d1d",)


def test_windows_without_a_device_has_none_unless_a_virtual_machine_hides_it() -> None:
    assert windows(SOUND, UNTOLD)["nvidia-gpu"] == ()
    assert windows(SOUND, SHARE)["nvidia-gpu"] is None
    assert windows(RTX, SHARE)["nvidia-gpu"] == ("0x10de:0x2684",)
    assert windows(SHARE)["intel-npu"] == ()


@pytest.mark.parametrize(
    ("version", "driver", "cuda"),
    [
        ("32.0.15.8088", ("580.88",), ("13.0",)),
        ("31.0.15.5161", ("551.61",), ("12.4",)),
        ("27.21.14.5671", ("456.71",), ("11.1",)),
        ("", None, None),
        ("32.0.15", None, None),
        ("a.b.c.d", None, None),
    ],
)
def test_windows_tells_nvidias_driver_by_its_last_five_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, driver: Fact, cuda: Fact
) -> None:
    monkeypatch.setenv("SYSTEMROOT", str(tree(tmp_path, {"System32/nvcuda.dll": ""})))
    facts = windows(SOUND, PciDevice(hardware_ids=RTX.hardware_ids, driver_version=version))
    assert facts["nvidia-driver"] == driver
    assert facts["cuda-driver"] == cuda


def test_windows_without_nvidias_library_has_no_driver_whatever_the_registry_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    assert windows(RTX)["nvidia-driver"] == ()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has a registry")
def test_where_there_is_no_registry_nothing_is_known() -> None:
    with pytest.raises(OSError, match="no registry"):
        pci_devices()
    assert Facts(platform="win32")["nvidia-gpu"] is None
