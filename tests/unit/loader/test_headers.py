"""cmake/fetch_headers.py: where ONNX Runtime's header comes from, without the network."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import urllib.error
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

SCRIPT = Path(__file__).parents[3] / "cmake" / "fetch_headers.py"
PIN = {
    "release": "1.0",
    "file": "header.h",
    "sha256": hashlib.sha256(b"good").hexdigest(),
    "upstream": "https://x.test",
}


@pytest.fixture(scope="module")
def headers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fetch_headers", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("below", [".", "include", "include/onnxruntime", "include/onnxruntime/core/session"])
def test_a_folder_of_the_user(headers: Any, tmp_path: Path, below: str) -> None:
    place = tmp_path / below
    place.mkdir(parents=True, exist_ok=True)
    (place / "header.h").write_bytes(b"good")
    assert headers.from_folder(PIN, tmp_path) == place


def test_a_folder_without_the_header_or_with_another(headers: Any, tmp_path: Path) -> None:
    with pytest.raises(headers.NoHeaderError, match=r"no header\.h in"):
        headers.from_folder(PIN, tmp_path)
    (tmp_path / "header.h").write_bytes(b"bad")
    with pytest.raises(headers.NoHeaderError, match=r"is not the header of ONNX Runtime 1\.0"):
        headers.from_folder(PIN, tmp_path)


def test_what_upstream_sends_is_checked(headers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reply:
        def __enter__(self) -> Reply:
            return self

        def __exit__(self, *_: object) -> None: ...

        def read(self) -> bytes:
            return b"tampered"

    monkeypatch.setattr(headers.urllib.request, "urlopen", lambda *_, **__: Reply())
    with pytest.raises(headers.NoHeaderError, match=r"is not the header"):
        headers.from_upstream(PIN, tmp_path)


def test_upstream_out_of_reach(headers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(headers.urllib.request, "urlopen", fail)
    with pytest.raises(headers.NoHeaderError, match="no route"):
        headers.from_upstream(PIN, tmp_path)


def test_keeping_leaves_whole_files_only(headers: Any, tmp_path: Path) -> None:
    assert headers.keep(PIN, b"good", tmp_path / "cache") == tmp_path / "cache"
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["header.h"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ORTPACK_ORT_HEADERS": "", **environment}
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_wish_for_a_folder_is_met_or_refused(tmp_path: Path) -> None:
    done = run("--out", str(tmp_path / "out"), ORTPACK_ORT_HEADERS=str(tmp_path))
    assert done.returncode == 1
    assert f"no onnxruntime_c_api.h in {tmp_path}" in done.stderr
    assert "ORTPACK_ORT_HEADERS" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the cache folder is named by XDG_CACHE_HOME there")
def test_every_origin_out_of_reach_says_what_to_do(tmp_path: Path) -> None:
    unreachable = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "PATH": str(tmp_path)}
    done = run("--out", str(tmp_path / "out"), XDG_CACHE_HOME=str(tmp_path / "cache"), **unreachable)
    assert done.returncode == 1
    assert "upstream: " in done.stderr
    assert "debian: there is no apt-get" in done.stderr
    assert "ORTPACK_ORT_HEADERS" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_damaged_cache_is_not_used(tmp_path: Path) -> None:
    pin = json.loads(SCRIPT.with_name("ort_headers.json").read_text())
    damaged = tmp_path / "cache" / "ortpack" / "headers" / pin["sha256"][:16]
    damaged.mkdir(parents=True)
    (damaged / pin["file"]).write_bytes(b"half a head")
    unreachable = {"https_proxy": "http://127.0.0.1:9", "PATH": str(tmp_path)}
    done = run("--out", str(tmp_path / "out"), XDG_CACHE_HOME=str(tmp_path / "cache"), **unreachable)
    assert done.returncode == 1
    assert done.stdout == ""


DEB822 = """\
# a comment
Types: deb deb-src
# URIs: http://commented.test/debian
URIs: http://one.test/debian/ https://two.test/pub/debian
Suites: bookworm
 bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://one.test/debian-security
Suites: bookworm-security
Components: main

Types: deb-src
URIs: http://sources.test/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://off.test/debian
Suites: bookworm
Components: main
Enabled: no
"""
ONE_LINE = """\
# deb http://commented.test/debian bookworm main
deb http://three.test/debian bookworm main non-free # and a remark
deb [arch=amd64 signed-by=/x.gpg] http://four.test/debian bookworm main
deb http://one.test/debian bookworm main
deb https://packages.vendor.test/apt stable main
deb http://nomain.test/debian bookworm contrib
deb-src http://five.test/debian bookworm main
nonsense
"""


def test_the_mirrors_of_this_machine(headers: Any, tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list").write_text(ONE_LINE)
    assert headers.debian_mirrors(tmp_path) == [
        "http://one.test/debian",
        "https://two.test/pub/debian",
        "http://three.test/debian",
        "http://four.test/debian",
    ]
    assert headers.debian_mirrors(tmp_path / "nothing") == []


@pytest.mark.parametrize("missing", ["tools", "keyring", "mirrors"])
def test_debian_says_what_it_lacks(headers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    which: Callable[[str], str | None] = lambda name: None if missing == "tools" else f"/usr/bin/{name}"  # noqa: E731
    monkeypatch.setattr(headers.shutil, "which", which)
    monkeypatch.setattr(headers, "KEYRING", tmp_path / "missing" if missing == "keyring" else SCRIPT)
    monkeypatch.setattr(headers, "debian_mirrors", list)
    says = {"tools": "no apt-get", "keyring": "debian-archive-keyring", "mirrors": "no Debian mirror"}[missing]
    with pytest.raises(headers.NoHeaderError, match=says):
        headers.from_debian(PIN, tmp_path)
