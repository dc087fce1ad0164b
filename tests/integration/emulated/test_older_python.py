"""The loader of another target under an older Python than the roots have: that of an older Debian, below qemu.

What stands in for the stable ABI's newer parts knows how types of 3.10 and 3.11 are laid out, in words of 32 bits too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import msgspec
import pytest

from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.base.report import Reporter
from ortpack_build.catalog import manifests
from ortpack_build.machines import emulation
from ortpack_build.verify import run_installed
from support import binding
from support.command import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.emulate,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="roots are made with apt"),
]

_PYTHON = [
    *("libbz2-1.0", "libc6", "libexpat1", "libffi8", "libgcc-s1", "liblzma5", "libpython3.11-minimal"),
    *("libpython3.11-stdlib", "libssl3", "libuuid1", "python3.11-minimal", "zlib1g"),
]


@pytest.fixture(params=["linux-aarch64", "linux-armv7l"])
def machine(request: pytest.FixtureRequest, cache: Path, monkeypatch: pytest.MonkeyPatch) -> emulation.Machine:
    target = manifests.load().targets[request.param]
    if not any(shutil.which(f"{target.emulator}{end}") for end in ("", "-static")):
        pytest.skip("no qemu-user")
    data = emulation.load()
    line = msgspec.structs.replace(data.roots[target.name], python="usr/bin/python3.11", include=())
    older = msgspec.structs.replace(
        data,
        suite="bookworm",
        roots={target.name: line},
        groups={"python": tuple(_PYTHON), "numpy": tuple(name for name in data.groups["numpy"] if "-dev" not in name)},
    )
    monkeypatch.setattr(emulation, "load", lambda: older)
    return emulation.machine(target, Context(cache=Cache(root=cache), report=Reporter(), environ=os.environ))


def test_the_binding_is_at_home_there(
    machine: emulation.Machine, loader_command: tuple[object, ...], cache: Path, tmp_path: Path
) -> None:
    (target,) = emulation.load().roots
    made = run(*loader_command, "--target", target, "--out", tmp_path, "--cache", cache)
    assert made.returncode == 0, made.stderr
    python = run_installed.environment(tmp_path / "env", [made.stdout.splitlines()[-1]], machine)
    done = subprocess.run([*python, "-c", binding.SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "kinds": ["RuntimeLoadError", "TypeError"],
        "missing": "type object 'Library' has no attribute 'nothing'",
        "machine": {"linux-aarch64": "aarch64", "linux-armv7l": "armv7l"}[target],
        "word": {"linux-aarch64": 8, "linux-armv7l": 4}[target],
        "python": [3, 11],
    }
