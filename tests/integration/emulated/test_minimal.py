"""Minimal runtimes of other targets, linked from kits that the cache has, and run there: below qemu."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from ortpack_build import emulation, host, manifest, source, trial
from ortpack_build.cache import Cache
from ortpack_build.report import Reporter
from support.command import run
from support.models import feeds, model

if TYPE_CHECKING:
    from pathlib import Path

_CATALOG = manifest.load()
_OWN = host.detect().target(_CATALOG.targets)
pytestmark = [
    pytest.mark.emulate,
    pytest.mark.kit,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not os.environ.get("ORTPACK_TEST_KITS"), reason="ORTPACK_TEST_KITS is not set"),
    pytest.mark.skipif(_OWN != "linux-x86_64", reason="the kits are made on linux-x86_64"),
]

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


@pytest.mark.parametrize("target", ["linux-aarch64", "linux-armv7l"])
def test_silero_vad_gives_what_it_gives_here(
    target: str, cache: Path, loader_command: tuple[object, ...], tmp_path: Path
) -> None:
    """Within 1e-4 of the official package on this machine; and an error is an exception."""
    emulator = _CATALOG.targets[target].emulator
    if emulator is None or not (shutil.which(emulator) or shutil.which(f"{emulator}-static")):
        pytest.skip("no qemu-user")
    context = source.Context(cache=Cache(root=cache), report=Reporter(), environ=dict(os.environ))
    wanted = source.Request(target=target, host=_OWN or "", flavour="ort", ort="1.21.0")
    if not context.cache.path("kits", source.order(wanted, context).key).is_dir():
        pytest.skip(f"the cache has no kit for {target}")
    arguments = ["--name", "silero-ort", "--flavour", "ort", "--ort", "1.21.0", "--target", target, "--no-verify"]
    made = run("wheel", "minimal", *arguments, "--model", model("silero_vad"), "--out", tmp_path, "--cache", cache)
    assert made.returncode == 0, made.stderr
    converted, wheel = made.stdout.splitlines()
    loader = run(*loader_command, "--target", target, "--out", tmp_path, "--cache", cache)
    assert loader.returncode == 0, loader.stderr
    machine = emulation.machine(_CATALOG.targets[target], context.cache, context.report, environ=os.environ)
    python = trial.environment(tmp_path / "env", [loader.stdout.splitlines()[-1], wheel], machine)
    np.savez(tmp_path / "in.npz", **feeds("silero_vad"))
    job = json.dumps([converted, str(tmp_path / "in.npz"), str(tmp_path / "out.npz")])
    done = subprocess.run([*python, "-c", _RUN, job], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kind, arch = done.stdout.split()
    assert kind in {"InvalidArgument", "Fail", "RuntimeException"}
    assert arch == {"linux-aarch64": "aarch64", "linux-armv7l": "armv7l"}[target]
    session = onnxruntime.InferenceSession(model("silero_vad"), providers=["CPUExecutionProvider"])
    expected = dict(zip((o.name for o in session.get_outputs()), session.run(None, feeds("silero_vad")), strict=True))
    got = dict(np.load(tmp_path / "out.npz"))
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=0, atol=1e-4, err_msg=name)
