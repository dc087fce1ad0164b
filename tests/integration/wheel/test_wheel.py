"""Wheels made from the official binaries, looked at by the tools that registries and installers go by."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from cyclonedx.model.bom import Bom
from packaging.metadata import Metadata

from ortpack_build.base.data_file import shipped_folder
from support.command import run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


pytestmark = pytest.mark.slow

NAMES = {
    "linux-x86_64": "ortpack_cpu-1.32.0-py3-none-manylinux_2_28_x86_64.whl",
    "linux-aarch64": "ortpack_cpu-1.32.0-py3-none-manylinux_2_28_aarch64.whl",
    "macos-arm64": "ortpack_cpu-1.32.0-py3-none-macosx_14_0_arm64.whl",
    "win-amd64": "ortpack_cpu-1.32.0-py3-none-win_amd64.whl",
    "win-arm64": "ortpack_cpu-1.32.0-py3-none-win_arm64.whl",
}
INFO = "ortpack_cpu-1.32.0.dist-info"


def tool(name: str, *arguments: object) -> str:
    """What a checking tool says; it has to exit with 0."""
    done = subprocess.run(
        [sys.executable, "-m", name, *map(str, arguments)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("target", NAMES)
def test_the_checkers_are_content(wheels: Mapping[str, Path], target: str) -> None:
    wheel = wheels[target]
    assert wheel.name == NAMES[target]
    assert tool("check_wheel_contents", wheel).strip().endswith(": OK")
    assert "PASSED" in tool("twine", "check", "--strict", wheel)


@pytest.mark.skipif(sys.platform != "linux", reason="auditwheel is for Linux")
@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
@pytest.mark.parametrize(("ort", "policy"), [("1.32.0", "manylinux_2_28"), ("1.21.0", "manylinux_2_27")])
def test_auditwheel_grants_the_tag(cache: Path, tmp_path: Path, arch: str, ort: str, policy: str) -> None:
    target = f"linux-{arch}"
    done = run("wheel", "cpu", "--target", target, "--ort", ort, "--out", tmp_path, "--cache", cache)
    (wheel,) = tmp_path.iterdir()
    assert done.stdout == f"{wheel}\n"
    tag = f"{policy}_{arch}"
    assert wheel.name == f"ortpack_cpu-{ort}-py3-none-{tag}.whl"
    said = " ".join(tool("auditwheel", "show", wheel).split())
    assert f'is consistent with the following platform tag: "{tag}"' in said


@pytest.mark.parametrize("target", NAMES)
def test_only_library_and_licences_are_in_it(wheels: Mapping[str, Path], target: str) -> None:
    libraries = {
        "linux": ["libonnxruntime.so.1.32.0", "libonnxruntime_providers_shared.so"],
        "macos": ["libonnxruntime.1.32.0.dylib"],
        "win": ["onnxruntime.dll", "onnxruntime_providers_shared.dll"],
    }[target.partition("-")[0]]
    with zipfile.ZipFile(wheels[target]) as archive:
        names = archive.namelist()
    assert names == [
        *(f"ortpack_runtimes/cpu/{name}" for name in sorted(["__init__.py", *libraries, "runtime.json"])),
        f"{INFO}/METADATA",
        f"{INFO}/WHEEL",
        f"{INFO}/licenses/LICENSE",
        f"{INFO}/licenses/Privacy.md",
        f"{INFO}/licenses/ThirdPartyNotices.txt",
        f"{INFO}/sboms/ortpack-cpu.cdx.json",
        f"{INFO}/RECORD",
    ]


def test_runtime_json_is_what_the_loader_expects(wheels: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(wheels["linux-x86_64"]) as archive:
        data = json.loads(archive.read("ortpack_runtimes/cpu/runtime.json"))
    spec = data["provenance"].pop("spec")
    assert re.fullmatch("[0-9a-f]{64}", spec)
    files = data.pop("files")
    assert files["libonnxruntime.so.1.32.0"]["size"] == 34824680
    assert {line["from"] for line in data.pop("requires")} == {"system"}
    assert data == {
        "schema": 1,
        "name": "cpu",
        "variant": "cpu",
        "target": "linux-x86_64",
        "ort_version": "1.32.0",
        "api_version": 32,
        "linkage": "shared",
        "library": "libonnxruntime.so.1.32.0",
        "providers": ["CPUExecutionProvider"],
        "devices": {"cpu": ["CPUExecutionProvider"]},
        "priority": 0,
        "model_formats": ["onnx", "ort"],
        "reduced": False,
        "platform": {"os": "linux", "arch": "x86_64", "libc": "glibc", "libc_version": "2.28"},
        "provenance": {
            "origin": "prebuilt",
            "artifact": {
                "distribution": "onnxruntime",
                "version": "1.32.0",
                "file": "onnxruntime-1.32.0-cp312-cp312-manylinux_2_28_x86_64.whl",
                "sha256": "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
            },
        },
    }


def test_metadata_and_bill_of_materials(wheels: Mapping[str, Path]) -> None:
    with zipfile.ZipFile(wheels["win-amd64"]) as archive:
        metadata = Metadata.from_email(archive.read(f"{INFO}/METADATA"), validate=True)
        wheel = archive.read(f"{INFO}/WHEEL").decode()
        bom = Bom.from_json(json.loads(archive.read(f"{INFO}/sboms/ortpack-cpu.cdx.json")))  # type: ignore[attr-defined]
    assert metadata.metadata_version == "2.4"
    assert metadata.license_expression == "MIT"
    assert metadata.license_files == ["LICENSE", "Privacy.md", "ThirdPartyNotices.txt"]
    assert not metadata.requires_dist
    assert "Root-Is-Purelib: false\nTag: py3-none-win_amd64\n" in wheel
    assert {component.name for component in bom.components} >= {"onnxruntime", "onnxruntime.dll"}


def test_the_linux_wheel_is_small(wheels: Mapping[str, Path]) -> None:
    assert wheels["linux-x86_64"].stat().st_size < 14_500_000


def test_the_bytes_do_not_depend_on_where_when_or_how(cache: Path, wheels: Mapping[str, Path], tmp_path: Path) -> None:
    fresh = tmp_path / "fresh cache"
    shutil.copytree(cache / "artifacts", fresh / "artifacts")  # but nothing that was packed before
    before = os.umask(0o077)
    try:
        done = run(
            "wheel", "cpu", "--target", "all", "--out", tmp_path / "elsewhere", "--cache", fresh,
            TZ="Pacific/Auckland", PYTHONHASHSEED="7", TMPDIR=str(tmp_path), LC_ALL="C",
        )  # fmt: skip
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    for wheel in wheels.values():
        again = tmp_path / "elsewhere" / wheel.name
        assert again.read_bytes() == wheel.read_bytes()
        assert again.stat().st_mode & 0o777 == 0o644
    assert not list((fresh / "tmp").iterdir())
    assert not list(tmp_path.glob("ortpack-build-*"))


def test_source_date_epoch_is_honoured(cache: Path, wheels: Mapping[str, Path], tmp_path: Path) -> None:
    options = ("wheel", "cpu", "--target", "win-arm64", "--cache", cache, "--out", tmp_path)
    assert run(*options, SOURCE_DATE_EPOCH="1700000000").returncode == 0
    (wheel,) = tmp_path.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        assert {info.date_time for info in archive.infolist()} == {(2023, 11, 14, 22, 13, 20)}
    assert run(*options, SOURCE_DATE_EPOCH="").returncode == 0
    assert wheel.read_bytes() == wheels["win-arm64"].read_bytes()  # and the older wheel was replaced


def test_a_build_number(cache: Path, tmp_path: Path) -> None:
    options = ("--target", "win-arm64", "--cache", cache, "--out", tmp_path)
    done = run("wheel", "cpu", *options, "--build-number", "2")
    wheel = tmp_path / "ortpack_cpu-1.32.0-2-py3-none-win_arm64.whl"
    assert done.stdout == f"{wheel}\n"
    assert tool("check_wheel_contents", wheel).strip().endswith(": OK")
    assert run("verify", "--no-run", wheel).returncode == 0


def test_results_go_to_standard_output_and_the_rest_to_standard_error(cache: Path, tmp_path: Path) -> None:
    targets = ("--target", "win-arm64", "--target", "win-amd64")
    done = run("wheel", "cpu", *targets, "--out", tmp_path, "--cache", cache)
    assert done.stdout.splitlines() == [str(tmp_path / NAMES[name]) for name in ("win-arm64", "win-amd64")]
    assert "Packing" in done.stderr


def test_pip_installs_it_beside_others(wheels: Mapping[str, Path], tmp_path: Path) -> None:
    command = ["install", "--no-index", "--no-deps", "--quiet", "--platform=manylinux_2_28_x86_64"]
    command += ["--only-binary=:all:", "--target", str(tmp_path), str(wheels["linux-x86_64"])]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True)
    assert (tmp_path / "ortpack_runtimes" / "cpu" / "runtime.json").is_file()
    assert not (tmp_path / "ortpack_runtimes" / "__init__.py").exists()
    assert (tmp_path / INFO / "sboms" / "ortpack-cpu.cdx.json").is_file()


def test_a_variant_of_ones_own_is_a_manifest(cache: Path, tmp_path: Path) -> None:
    """Other name, other members of the same official wheel, other priority: no line of code."""
    text = (shipped_folder() / "cpu.toml").read_text(encoding="utf-8")
    head, _, wheels = text.partition("[[prebuilt.files]]")
    head = head.replace('name = "cpu"', 'name = "lean-cpu"').replace("priority = 0", "priority = -5")
    head = re.sub(r"(?ms)^\[source.*?(?=^\[prebuilt\])", "", head)
    library = "[[prebuilt.files]]" + wheels.split("[[prebuilt.files]]")[0]
    pins = "".join("[[prebuilt.wheels]]" + part for part in wheels.split("[[prebuilt.wheels]]")[1:] if "linux" in part)
    (tmp_path / "lean-cpu.toml").write_text(f"{head}{library}{pins}", encoding="utf-8")
    own = ("--variants", tmp_path)
    done = run("wheel", "lean-cpu", *own, "--target", "linux-aarch64", "--cache", cache, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    wheel = tmp_path / "out" / "ortpack_lean_cpu-1.32.0-py3-none-manylinux_2_28_aarch64.whl"
    assert done.stdout == f"{wheel}\n"
    assert run("verify", *own, "--no-run", wheel).returncode == 0
    assert run("verify", "--no-run", wheel).returncode == 1  # the shipped manifests don't know it
    with zipfile.ZipFile(wheel) as archive:
        data = json.loads(archive.read("ortpack_runtimes/lean-cpu/runtime.json"))
    assert (data["name"], data["priority"], sorted(data["files"])) == (
        "lean-cpu",
        -5,
        ["__init__.py", "libonnxruntime.so.1.32.0"],
    )
