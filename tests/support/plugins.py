"""Plugin execution providers as their vendors publish them, pinned, installed into a test's site."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs

_PINNED = {
    "nxrt-ep-cpu": ("0.1.0.dev6", "d1949881dd73bd01c7fce931474ff80d7b26b68b2430b1246da25e6ec1883d38"),
    "onnxruntime-ep-openvino": ("1.8.1", "3832643158c8c187fcab6db661cde2a8c06a2b3559d95d0f2411ac0e51c5e924"),
    "onnxruntime-ep-webgpu": ("0.4.0", "5d8c961eda91a88961cad1fb7621f389f006b18497d6ea9ecf96f729f066cbfb"),
}


def _installed(distribution: str) -> Path:
    """A folder with what pip installs of `distribution`, kept in the user's cache."""
    version, sha256 = _PINNED[distribution]
    folder = platformdirs.user_cache_path("ortpack") / "tests" / f"plugin-{sha256[:16]}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            requirements = Path(scratch) / "requirements.txt"
            requirements.write_text(f"{distribution}=={version} --hash=sha256:{sha256}\n")
            target = Path(scratch) / "target"
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
            command += ["--only-binary=:all:", "--python-version=3.12", "--platform=manylinux_2_28_x86_64"]
            subprocess.run([*command, f"--target={target}", f"--requirement={requirements}"], check=True)
            target.rename(folder)
    return folder


def install(distribution: str, site: Path) -> Path:
    """Install a plugin package into `site`; returns the package's folder there."""
    source = _installed(distribution)
    for entry in source.iterdir():
        if entry.is_dir():
            shutil.copytree(entry, site / entry.name, dirs_exist_ok=True, copy_function=_link)
    return site / distribution.replace("-", "_")


def _link(source: str, target: str) -> str:
    """Big libraries are linked, not copied."""
    if Path(source).suffix == ".py":
        return str(shutil.copy2(source, target))
    Path(target).hardlink_to(source)
    return target
