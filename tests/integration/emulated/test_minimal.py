"""Minimal runtimes of other targets, linked from kits that the cache has: proven there, and run beside the loader."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from ortpack_build.verify import run_installed
from support.command import run
from support.models import feeds, model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Minimal

pytestmark = [pytest.mark.emulate, pytest.mark.kit, pytest.mark.timeout(1800)]

# Runs in the root: a good run, then one with an input of a wrong size, whose error is an exception in ONNX Runtime.
_RUN = """
import json, sys
import numpy, ortpack
model, feeds, outputs = json.loads(sys.argv[1])
session = ortpack.InferenceSession(model, runtime="silero-ort")
names = [item.name for item in session.get_outputs()]
given = dict(numpy.load(feeds))
numpy.savez(outputs, **dict(zip(names, session.run(None, given))))
try:
    session.run(None, {**given, "input": given["input"][:, :1]})
except ortpack.errors.OrtError as error:
    print(type(error).__name__)
print(__import__("platform").machine())
"""


@pytest.mark.parametrize(
    ("target", "below"),
    [
        ("linux-aarch64", "qemu-aarch64"),
        ("linux-armv7l", "qemu-arm"),
        ("musllinux-x86_64", "ld-musl-x86_64.so.1"),
        ("musllinux-aarch64", "qemu-aarch64"),
    ],
)
def test_runtime_json_says_below_what_it_was_proven(target: str, below: str, minimal: Callable[[str], Minimal]) -> None:
    said = minimal(target).runtime["verification"]
    assert said["verified"] is True
    assert said["below"].removesuffix("-static") == below
    assert said["against"] == "libonnxruntime.so.1.21.0, the official library"
    names = ["silero_vad", "network", "quantized", "subgraphs", "texts", "trees"]
    assert [line["name"] for line in said["models"]] == [f"{name}.onnx" for name in names]
    assert all(line["runs"] == 5 and line["largest_difference"] <= 1e-4 for line in said["models"])


@pytest.mark.parametrize(("target", "processor"), [("linux-aarch64", "aarch64"), ("linux-armv7l", "armv7l")])
def test_silero_vad_gives_what_it_gives_here(
    target: str,
    processor: str,
    minimal: Callable[[str], Minimal],
    cache: Path,
    loader_command: tuple[object, ...],
    tmp_path: Path,
) -> None:
    """Within 1e-4 of the official package on this machine; and an error is an exception."""
    made = minimal(target)
    loader = run(*loader_command, "--target", target, "--out", tmp_path, "--cache", cache)
    assert loader.returncode == 0, loader.stderr
    python = run_installed.environment(
        tmp_path / "env", [loader.stdout.splitlines()[-1], str(made.wheel)], made.machine
    )
    np.savez(tmp_path / "in.npz", **feeds("silero_vad"))
    job = json.dumps([str(made.model("silero_vad")), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")])
    done = subprocess.run([*python, "-c", _RUN, job], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kind, arch = done.stdout.split()
    assert kind in {"InvalidArgument", "Fail", "RuntimeException"}
    assert arch == processor
    session = onnxruntime.InferenceSession(model("silero_vad"), providers=["CPUExecutionProvider"])
    expected = dict(zip((o.name for o in session.get_outputs()), session.run(None, feeds("silero_vad")), strict=True))
    got = dict(np.load(tmp_path / "out.npz"))
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("target", "below"), [("linux-aarch64", "qemu-aarch64"), ("linux-armv7l", "qemu-arm")])
def test_a_package_is_proven_by_the_python_of_its_root(
    target: str, below: str, kit: Callable[[str], list[object]], tmp_path: Path
) -> None:
    """Whatever Python runs this: headers of a 64-bit one do not serve 32-bit Arm."""
    arguments = ["--embed", "mylib._ort", "--linkage", "static", "--model", model("silero_vad"), "--out", tmp_path]
    done = run("minimal", *kit(target), *arguments)
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "mylib" / "_ort" / "runtime.json").read_text())
    assert said["verification"]["below"].removesuffix("-static") == below
    python = said["provenance"]["binding"]["python"]
    debians = target == "linux-armv7l" or sys.version_info < (3, 12)
    assert re.fullmatch(r"3\.13\S* of Debian trixie, arm\w+", python) if debians else python.startswith("3.")
    (line,) = said["verification"]["models"]
    assert line["runs"] == 5
    assert line["largest_difference"] <= 1e-4


def test_what_cannot_be_proven_is_said_at_once(kit: Callable[[str], list[object]], tmp_path: Path) -> None:
    static = ["--embed", "mylib._ort", "--linkage", "static", "--model", model("silero_vad")]
    done = run("minimal", *kit("musllinux-x86_64"), *static, "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "can't be run on musllinux-x86_64: The root of this target has no Python. Say --no-verify" in done.stderr
    assert not (tmp_path / "out").exists()
