"""Kits of every target that the cache has one of: nothing of ONNX Runtime is compiled here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.base.report import Reporter
from ortpack_build.catalog import host, manifests
from ortpack_build.kit import Kit
from ortpack_build.kit import settings as kit_settings
from ortpack_build.products import kit as kit_product
from support.command import run

_OWN = host.detect().target(manifests.load().targets)
pytestmark = [
    pytest.mark.kit,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not os.environ.get("ORTPACK_TEST_KITS"), reason="ORTPACK_TEST_KITS is not set"),
    pytest.mark.skipif(
        _OWN not in {tool.host for tool in kit_settings.load().tools}, reason="kits are not compiled here"
    ),
]
# Kernels of 1.21.0. MLAS has half-precision kernels for 64-bit Arm, which register 20 more.
_KERNELS = {"linux-aarch64": 1282, "musllinux-aarch64": 1282}
_OTHERS = 1262
_CACHE = Path(
    os.environ.get("ORTPACK_BUILD_CACHE") or platformdirs.user_cache_path("ortpack-build", appauthor=False)
).absolute()


@pytest.fixture(scope="module", params=kit_settings.load().targets)
def kit(request: pytest.FixtureRequest) -> Kit:
    """The kit of a target, out of the user's cache."""
    context = Context(cache=Cache(root=_CACHE), report=Reporter(), environ=dict(os.environ))
    wanted = kit_product.KitRequest(target=request.param, host=_OWN or "", flavour="ort", ort="1.21.0")
    job = kit_product.resolve(wanted, context)
    build = kit_product.kit_build(job, kit_product.toolchain(job))
    if not context.cache.path("kits", build.inputs.key).is_dir():
        pytest.skip(f"the cache has no kit for {request.param}")
    return kit_product.kit(job)


def test_the_index_is_whole(kit: Kit) -> None:
    assert len(kit.kernels) == _KERNELS.get(kit.about.target, _OTHERS)
    domains = {kernel.domain for kernel in kit.kernels} - {"com.ms.internal.nhwc"}  # of 64-bit Arm only
    assert domains == {"", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"}


def test_the_wheel_passes_verify(kit: Kit, tmp_path: Path) -> None:
    """Tag, symbol versions, imports and hardening; running it is the emulator's."""
    arguments = ["--origin", "source", "--flavour", "ort", "--ort", "1.21.0", "--target", kit.about.target]
    made = run("wheel", "cpu", *arguments, "--out", tmp_path, "--cache", _CACHE)
    assert made.returncode == 0, made.stderr
    checked = run("verify", made.stdout.strip(), "--no-run")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    command = [sys.executable, "-m", "auditwheel", "show", made.stdout.strip()]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    tag = kit_settings.load().target(kit.about.target).wheel_tag
    assert f'following platform tag: "{tag}"' in " ".join(shown.stdout.split()), shown.stdout + shown.stderr
