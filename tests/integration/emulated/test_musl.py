"""Libraries for musl, linked from kits that the cache has, and run by its own loader: from C, as there is no Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import ortpack_build
from ortpack_build import emulation, host, manifest, source
from ortpack_build.cache import Cache
from ortpack_build.kit import model as kits
from ortpack_build.report import Reporter
from support.command import run
from support.models import feeds, model

_CATALOG = manifest.load()
_OWN = host.detect().target(_CATALOG.targets)
_PROGRAM = Path(ortpack_build.__file__).parent / "verify" / "run_model.c"
pytestmark = [
    pytest.mark.emulate,
    pytest.mark.kit,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not os.environ.get("ORTPACK_TEST_KITS"), reason="ORTPACK_TEST_KITS is not set"),
    pytest.mark.skipif(_OWN != "linux-x86_64", reason="the kits are made on linux-x86_64"),
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="roots are made with apt"),
]


def _runner(target: str) -> list[str]:
    """What runs a program of another processor."""
    arch, own = _CATALOG.targets[target].arch, _CATALOG.targets["linux-x86_64"].arch
    if arch == own:
        return []
    found = shutil.which(f"qemu-{arch}") or shutil.which(f"qemu-{arch}-static")
    if found is None:
        pytest.skip("no qemu-user")
    return [found]


@pytest.mark.parametrize("target", ["musllinux-x86_64", "musllinux-aarch64"])
def test_silero_vad_gives_what_it_gives_here(target: str, cache: Path, tmp_path: Path) -> None:
    """Within 1e-4 of the official package on this machine; and an error is an exception that ORT catches."""
    runner = _runner(target)
    context = source.Context(cache=Cache(root=cache), report=Reporter(), environ=dict(os.environ))
    wanted = source.Request(target=target, host=_OWN or "", flavour="ort", ort="1.21.0")
    if not context.cache.path("kits", source.order(wanted, context).key).is_dir():
        pytest.skip(f"the cache has no kit for {target}")
    arguments = ["--name", "silero-ort", "--flavour", "ort", "--ort", "1.21.0", "--target", target, "--no-verify"]
    made = run("wheel", "minimal", *arguments, "--model", model("silero_vad"), "--out", tmp_path, "--cache", cache)
    assert made.returncode == 0, made.stderr
    converted, wheel = made.stdout.splitlines()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (library,) = (tmp_path / "site" / "ortpack_runtimes" / "silero-ort").glob("*.so*")

    work = tmp_path / "work"
    work.mkdir()
    compilers = source.toolchain(wanted, kits.load(), context).install(work, root=work, shared=cache / "toolchain")
    program = work / "run_model"
    environ = {**context.environ, **compilers.environ}
    command = [str(compilers.c), "-O1", "-fno-sanitize=all", "-dynamic", str(_PROGRAM), "-o", str(program)]
    subprocess.run(command, env=environ, check=True, capture_output=True)

    root = emulation.obtain(target, context.cache, context.report).path
    arch = _CATALOG.targets[target].arch
    loader = [*runner, str(next((root / "usr" / "lib").glob(f"ld-musl-{arch}.so.1")).resolve())]
    given = []
    for number, (name, value) in enumerate(feeds("silero_vad").items()):
        (tmp_path / f"feed{number}").write_bytes(np.ascontiguousarray(value).tobytes())
        given.append(f"{name}={'x'.join(map(str, np.shape(value)))}:{tmp_path / f'feed{number}'}")
    line = [*loader, str(program), str(library), converted, str(tmp_path)]
    done = subprocess.run([*line, *given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "version 1.21.0" in done.stdout
    session = onnxruntime.InferenceSession(model("silero_vad"), providers=["CPUExecutionProvider"])
    for number, expected in enumerate(session.run(None, feeds("silero_vad"))):
        got = np.frombuffer((tmp_path / f"{number}.bin").read_bytes(), np.float32).reshape(expected.shape)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)

    # With an input of one sample, an exception is thrown and caught below `Run`.
    refused = subprocess.run(line, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "Conv" in refused.stderr
