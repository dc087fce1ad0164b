"""The examples at the end of each command's help, run by a shell as a user would; those that take long are not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ortpack_build.catalog import host, manifests
from ortpack_build.cli.main import commands

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        host.detect().target(manifests.load().targets) != "linux-x86_64", reason="the examples name its wheels"
    ),
]

ROOT = Path(__file__).parents[3]
SMALL = ROOT / "tests" / "support" / "small_models"
ORDER = ("wheel", "ops", *(name for name in commands().all if name not in ("wheel", "ops")))  # others take their files


def _folder(folder: Path) -> Path:
    """A folder with the files that examples name, and the command on its PATH."""
    for name in ("bin", "manifests", "docs", "src/ortpack", ".zfunc", ".config/fish/completions"):
        (folder / name).mkdir(parents=True)
    shutil.copy(SMALL / "network.onnx", folder / "model.onnx")
    shutil.copy(SMALL / "quantized.ort", folder / "other.ort")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copy(ROOT / "src" / "ortpack" / "_served.py", folder / "src" / "ortpack")
    command = folder / "bin" / "ortpack-build"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ortpack_build "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return folder


def test_examples(cache: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("ortpack")
    folder = _folder(tmp_path)
    environ = os.environ | {
        "HOME": str(folder),
        "ORTPACK_BUILD_CACHE": str(Path(cache).absolute()),
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
    }
    lines = [example.line for name in ORDER for example in commands().all[name].examples if not example.costly]
    for line in lines:
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
