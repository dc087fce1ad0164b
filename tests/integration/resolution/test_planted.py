"""Files of the right names in wrong places: nothing is taken from where anyone may have put it, unless it is named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.models import model
from support.official import NEWEST
from support.plugins import install

if TYPE_CHECKING:
    from pathlib import Path

    from support.sites import Site

LIBRARIES = (
    "libonnxruntime.so",
    "libonnxruntime.so.1",
    f"libonnxruntime.so.{NEWEST}",
    "libonnxruntime_providers_shared.so",
    "libonnxruntime_providers_cuda.so",
    "libcudart.so.13",
    "libvendor.so.1",
    "libcuda.so.1",
)
PACKAGES = ("ortpack_runtimes", "ortpack_cpu", "onnxruntime", "onnxruntime_ep_evil", "nxrt_ep_cpu", "nvidia")
CODE = f"""
import ortpack
print(ortpack.explain(device="cpu").chosen.name, ortpack.explain(device="evil").chosen)
print(ortpack.InferenceSession({str(model("silero_vad"))!r}).runtime)
print(ortpack.InferenceSession({str(model("silero_vad"))!r}, device="nxrt-ep-cpu").get_providers()[0])
for device in ("cuda", "evil"):
    try:
        ortpack.InferenceSession({str(model("silero_vad"))!r}, device=device)
    except ortpack.ResolutionError as error:
        print(type(error).__name__)
"""


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder full of what would leave a trace if it were loaded, imported or believed."""
    folder = tmp_path / "planted"
    marker = tmp_path / "ran"
    folder.mkdir()
    code = f'#include <stdio.h>\n__attribute__((constructor)) void go(void) {{ fclose(fopen("{marker}", "w")); }}'
    library = tmp_path / "planted.so"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input=code.encode(), check=True)
    for package in PACKAGES:
        (folder / package).mkdir()
        leave = f"open({str(marker)!r}, 'w').close()\ndef get_library_path(): return {str(library)!r}\n"
        (folder / package / "__init__.py").write_text(leave)
    for place in (folder, folder / "nvidia" / "cu13" / "lib"):
        place.mkdir(parents=True, exist_ok=True)
        for name in LIBRARIES:
            shutil.copy(library, place / name)
    manifest = {
        "schema": 1, "name": "evil", "variant": "evil", "target": "x", "ort_version": NEWEST, "api_version": 32,
        "linkage": "shared", "library": "libonnxruntime.so", "providers": ["CPUExecutionProvider"],
        "devices": {"evil": ["CPUExecutionProvider"], "cpu": ["CPUExecutionProvider"]}, "priority": 999,
        "model_formats": ["onnx"], "reduced": False, "platform": {"os": "linux", "arch": "x86_64"}, "requires": [],
        "files": {"libonnxruntime.so": {"sha256": "", "size": library.stat().st_size}}, "provenance": {},
    }  # fmt: skip
    for name in ("evil", "cpu"):
        place = folder / "ortpack_runtimes" / name
        place.mkdir()
        shutil.copy(library, place / "libonnxruntime.so")
        (place / "runtime.json").write_text(json.dumps({**manifest, "name": name}))
    (folder / "runtime.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize("place", ["cwd", "LD_LIBRARY_PATH", "PATH", "sys.path[0]"])
def test_what_is_planted_is_neither_loaded_nor_believed(site: Site, planted: Path, tmp_path: Path, place: str) -> None:
    site.add("cpu")
    install("nxrt-ep-cpu", site.folder)
    vendor = site.folder / "vendor"
    vendor.mkdir()
    command = ["cc", "-shared", "-fPIC", "-Wl,-soname,libvendor.so.1", "-x", "c", "-", "-o"]
    subprocess.run([*command, str(vendor / "libvendor.so.1")], input=b"", check=True)
    requires = [
        {"library": "libvendor.so.1", "from": "pip", "path": "vendor/libvendor.so.1"},
        {"library": "libcudart.so.13", "from": "pip", "path": "nvidia/cu13/lib/libcudart.so.13"},
    ]
    needy = site.add("needy", priority=5, requires=requires[:1])
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    devices = {"cuda": providers[:1]}
    site.add(
        "cuda", priority=9, requires=requires, providers=providers, devices=devices
    )  # its libcudart.so.13 is nowhere but planted

    variables = {
        "LD_LIBRARY_PATH": {"LD_LIBRARY_PATH": str(planted)},
        "PATH": {"PATH": f"{planted}{os.pathsep}{os.environ['PATH']}"},
    }.get(place, {})
    script = planted / "script.py"
    script.write_text(CODE)
    arguments = [str(script)] if place == "sys.path[0]" else ["-c", CODE]
    done = site.run(*arguments, cwd=planted if place == "cwd" else tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    explained, loaded, plugin, *errors = done.stdout.splitlines()
    assert explained == "needy None"
    assert loaded == f"needy (ORT {NEWEST}) from {needy / f'libonnxruntime.so.{NEWEST}'}"
    assert plugin == "cpu_ep"
    assert errors == ["RuntimeUnusableError", "UnknownDeviceError"]
    assert not (tmp_path / "ran").exists()


def test_the_planted_library_is_what_it_seems(site: Site, planted: Path, tmp_path: Path) -> None:
    """It leaves its trace when the user names it: so the other tests can fail."""
    site.add("cpu")
    path = f"{site.folder}{os.pathsep}{planted}"  # Python imports from there, too
    assert site.code("import ortpack; print(ortpack.explain().chosen.name)", PYTHONPATH=path).stdout == "evil\n"
    done = site.code("import ortpack; ortpack.runtime()", ORTPACK_LIBRARY=str(planted / "libonnxruntime.so"))
    assert "RuntimeLoadError" in done.stderr
    assert (tmp_path / "ran").exists()
