"""Wheels of another target, installed and run by its own Python: below qemu, in a root of Debian's packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.base.report import Reporter
from ortpack_build.catalog import manifests
from ortpack_build.machines import emulation
from ortpack_build.verify import run_installed
from support.command import run
from support.models import feeds, model

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGET = "linux-aarch64"

pytestmark = [
    pytest.mark.emulate,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="roots are made with apt"),
    pytest.mark.skipif(
        not any(shutil.which(name) for name in ("qemu-aarch64", "qemu-aarch64-static")), reason="no qemu-user"
    ),
]

# Runs in the root: the feeds of each model as .npz, and its outputs back.
_RUN = """
import json, sys
import numpy, ortpack
for model, feeds, outputs in json.loads(sys.argv[1]):
    session = ortpack.InferenceSession(model)
    names = [item.name for item in session.get_outputs()]
    numpy.savez(outputs, **dict(zip(names, session.run(None, dict(numpy.load(feeds))))))
print(json.dumps({"machine": __import__("platform").machine(), "runtime": ortpack.runtime().info.target}))
"""


@pytest.fixture(scope="module")
def made(
    cache: Path, loader_command: tuple[object, ...], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    """The wheels of the loader and of ortpack-cpu for the target."""
    out = tmp_path_factory.mktemp("wheels")
    paths = {}
    for name, command in (("loader", loader_command), ("cpu", ("wheel", "arm64"))):
        done = run(*command, "--target", TARGET, "--out", out, "--cache", cache)
        assert done.returncode == 0, done.stderr
        paths[name] = Path(done.stdout.splitlines()[-1])
    return paths


@pytest.fixture(scope="module")
def machine(cache: Path) -> emulation.Machine:
    return emulation.machine(
        manifests.load().targets[TARGET], Context(cache=Cache(root=cache), report=Reporter(), environ=os.environ)
    )


def test_real_models_give_what_they_give_here(
    made: Mapping[str, Path], machine: emulation.Machine, tmp_path: Path
) -> None:
    """Within 1e-4 of the official package on this machine."""
    python = run_installed.environment(tmp_path / "env", [str(made["loader"]), str(made["cpu"])], machine)
    jobs = []
    for name in ("silero_vad", "magika"):
        np.savez(tmp_path / f"{name}.in.npz", **feeds(name))
        jobs.append([str(model(name)), str(tmp_path / f"{name}.in.npz"), str(tmp_path / f"{name}.out.npz")])
    done = subprocess.run([*python, "-c", _RUN, json.dumps(jobs)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"machine": "aarch64", "runtime": TARGET}
    for name in ("silero_vad", "magika"):
        session = onnxruntime.InferenceSession(model(name), providers=["CPUExecutionProvider"])
        wanted = dict(zip((item.name for item in session.get_outputs()), session.run(None, feeds(name)), strict=True))
        got = dict(np.load(tmp_path / f"{name}.out.npz"))
        assert got.keys() == wanted.keys()
        for output, value in wanted.items():
            np.testing.assert_allclose(got[output], value, rtol=0, atol=1e-4, err_msg=f"{name}: {output}")


def test_verify_installs_and_runs_it_there(made: Mapping[str, Path], cache: Path) -> None:
    done = run("verify", "--json", "--emulate", made["cpu"], "--loader", made["loader"], "--cache", cache)
    rows = {line["check"]: line for line in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0, done.stdout
    assert rows["install"]["detail"].startswith("with the loader, in a new environment, below qemu-aarch64")
    assert rows["run"] == {
        "check": "run",
        "verdict": "pass",
        "detail": "runtime cpu, ORT 1.32.0, CPUExecutionProvider: tiny.onnx gave sum [3]",
    }


def test_a_loader_of_another_target_is_not_installed(
    made: Mapping[str, Path], machine: emulation.Machine, tmp_path: Path
) -> None:
    other = tmp_path / made["loader"].name.replace("aarch64", "x86_64")
    shutil.copy(made["loader"], other)
    with pytest.raises(run_installed.InstallError, match="is not a supported wheel on this platform"):
        run_installed.environment(tmp_path / "env", [str(other)], machine)


def test_a_missing_emulator_is_said_before_anything_is_run(made: Mapping[str, Path], tmp_path: Path) -> None:
    done = run("verify", "--emulate", made["cpu"], "--loader", made["loader"], "--cache", tmp_path, PATH=str(tmp_path))
    assert done.returncode == 8
    assert "is not on this machine. Install it: apt-get install qemu-user" in " ".join(done.stderr.split())
    assert not list(tmp_path.iterdir())
