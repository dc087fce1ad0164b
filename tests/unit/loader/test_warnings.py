"""What doctor warns about, over described machines and folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ortpack import _warnings
from ortpack._machine import Machine
from support.described import LINUX, cpu, cuda, plugin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ortpack._facts import Fact


class Described(dict[str, "Fact"]):
    def __missing__(self, name: str) -> Fact:
        return None

    def find(self, requirement: Mapping[str, object]) -> Path | None:
        raise AssertionError(f"no warning needs {requirement}")


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (
            {"nvidia-gpu": ("NVIDIA L4",), "cuda-driver": ("13.0",)},
            "has an NVIDIA GPU (NVIDIA L4) and no runtime",
        ),
        ({"nvidia-gpu": ("NVIDIA L4",), "cuda-driver": ("13.0",)}, "pip install ortpack[cuda]"),
        ({"nvidia-gpu": ("NVIDIA L4",), "cuda-driver": ("12.4",)}, "pip install ortpack[cuda12]"),
        ({"intel-npu": ("0x8086:0x7d1d",)}, "pip install ortpack[openvino]"),
        ({"amd-gpu": ("0x1002:0x744c",)}, "pip install ortpack[migraphx]"),
    ],
)
def test_a_device_without_a_runtime_is_named_with_what_to_install(facts: dict[str, Fact], says: str) -> None:
    (warning,) = _warnings.unused_devices([cpu()], LINUX, Described(facts))
    assert says in warning


def test_a_device_that_is_used_or_not_there_or_not_known_is_no_warning() -> None:
    facts = Described({"nvidia-gpu": ("NVIDIA L4",), "intel-gpu": ("x",), "amd-gpu": ()})
    assert _warnings.unused_devices([cpu(), cuda(), plugin()], LINUX, facts) == []
    assert _warnings.unused_devices([cpu()], LINUX, Described()) == []


def test_macs_and_windows_have_their_own_runtimes() -> None:
    (warning,) = _warnings.unused_devices([cpu()], Machine(os="macos", arch="arm64"), Described())
    assert "ortpack[coreml]" in warning
    (warning,) = _warnings.unused_devices([cpu()], Machine(os="windows", arch="amd64"), Described(directx=("12",)))
    assert "ortpack[directml]" in warning


WINDOWS = Machine(os="windows", arch="amd64")


@pytest.mark.parametrize(
    ("machine", "facts", "says"),
    [
        (WINDOWS, {"amd-gpu": ("0x1002:0x744c",)}, "[directml]"),  # MIGraphX is for Linux
        (WINDOWS, {"intel-gpu": ("0x8086:0x7d55",)}, "[openvino]"),
        (WINDOWS, {"nvidia-gpu": ("0x10de:0x2684",), "cuda-driver": ("12.4",)}, "[cuda12]"),
        (LINUX, {"amd-gpu": ("0x1002:0x744c",)}, "[migraphx]"),
    ],
)
def test_what_is_advised_is_made_for_the_system_and_advised_once(
    machine: Machine, facts: dict[str, Fact], says: str
) -> None:
    (warning,) = _warnings.unused_devices([cpu()], machine, Described(facts, directx=("12",)))
    assert says in warning


def test_directx_without_any_gpu_is_no_warning() -> None:
    none: dict[str, Fact] = {"nvidia-gpu": (), "amd-gpu": (), "intel-gpu": ()}
    assert _warnings.unused_devices([cpu()], WINDOWS, Described(none, directx=("12",))) == []


@pytest.mark.parametrize("device", ["tensorrt-rtx", "tensorrt-rtx-cuda12", "webgpu", "directml"])
def test_every_runtime_that_uses_a_gpu_counts(device: str) -> None:
    uses = cpu(devices={device: ("SomeExecutionProvider",)})
    assert _warnings.unused_devices([uses], LINUX, Described({"nvidia-gpu": ("NVIDIA L4",)})) == []


def test_nothing_is_advised_that_is_not_made_for_the_machine() -> None:
    facts = Described({"nvidia-gpu": ("NVIDIA L4",)})
    for machine in (Machine(os="linux", arch="x86_64", libc="musl"), Machine(os="linux", arch="riscv64", libc="glibc")):
        assert _warnings.unused_devices([cpu()], machine, facts) == []


def test_a_driver_that_is_too_old_for_all_gets_what_needs_none() -> None:
    facts = Described({"nvidia-gpu": ("NVIDIA L4",), "cuda-driver": ("11.4",)})
    (warning,) = _warnings.unused_devices([cpu()], LINUX, facts)
    assert "pip install ortpack[webgpu]" in warning


def distribution(folder: Path, name: str, version: str, file: str = "onnxruntime/__init__.py") -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{file},,\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
    (folder / file).parent.mkdir(exist_ok=True)  # newer Pythons leave out of a record what is not there
    (folder / file).touch()


def test_official_packages_that_overwrite_each_other_are_named(tmp_path: Path) -> None:
    distribution(tmp_path, "onnxruntime", "1.32.0")
    assert _warnings.clobbered([tmp_path]) == []
    distribution(tmp_path, "onnxruntime-gpu", "1.31.1")
    (warning,) = _warnings.clobbered([tmp_path])
    assert "onnxruntime and onnxruntime-gpu overwrite each other's files" in warning
    assert "pip uninstall onnxruntime onnxruntime-gpu" in warning


@pytest.mark.parametrize(
    "other", ["onnxruntime-migraphx", "onnxruntime-directml", "ort-nightly", "onnxruntime-a_new.One"]
)
def test_whatever_writes_into_the_folder_of_the_official_package_is_named(tmp_path: Path, other: str) -> None:
    distribution(tmp_path, "onnxruntime", "1.32.0")
    distribution(tmp_path, other, "1.31.1")
    (warning,) = _warnings.clobbered([tmp_path])
    assert other.replace("_", "-").lower() in warning


def test_plugins_with_a_folder_of_their_own_overwrite_nothing(tmp_path: Path) -> None:
    distribution(tmp_path, "onnxruntime", "1.32.0")
    distribution(tmp_path, "onnxruntime-qnn", "2.7.0", "onnxruntime_qnn/__init__.py")
    distribution(tmp_path, "onnxruntime-ep-webgpu", "0.4.0", "onnxruntime_ep_webgpu/__init__.py")
    assert _warnings.clobbered([tmp_path]) == []


def test_two_versions_of_one_runtime_are_named(tmp_path: Path) -> None:
    distribution(tmp_path, "ortpack-cpu", "1.31.0")
    distribution(tmp_path, "ortpack-cpu", "1.32.0")
    (warning,) = _warnings.clobbered([tmp_path])
    assert "ortpack-cpu is installed in 2 versions (1.31.0, 1.32.0)" in warning


def test_a_runtime_in_two_folders_is_named_with_the_one_that_is_taken(tmp_path: Path) -> None:
    for place in ("first", "second"):
        folder = tmp_path / place / "ortpack_runtimes" / "cpu"
        folder.mkdir(parents=True)
        (folder / "runtime.json").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "first")
    assert _warnings.shadowed([tmp_path / "first", tmp_path / "link"]) == []
    (warning,) = _warnings.shadowed([tmp_path / "first", tmp_path / "second"])
    assert f"{tmp_path / 'first'} is taken, and not {tmp_path / 'second'}" in warning


def test_a_runtime_that_everyone_can_write_is_named(tmp_path: Path) -> None:
    library = tmp_path / "libonnxruntime.so"
    library.touch(mode=0o644)
    tmp_path.chmod(0o755)
    described = cpu(folder=str(tmp_path), file=str(library))
    assert _warnings.writable([described]) == []
    tmp_path.chmod(0o777)
    (warning,) = _warnings.writable([described])
    assert f"chmod o-w {tmp_path}" in warning


def test_two_variables_that_contradict_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORTPACK_LIBRARY", "/x")
    monkeypatch.delenv("ORTPACK_RUNTIME", raising=False)
    assert _warnings.ignored_variables() == []
    monkeypatch.setenv("ORTPACK_RUNTIME", "cpu")
    assert "the first one counts" in _warnings.ignored_variables()[0]
