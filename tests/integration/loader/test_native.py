"""The native module as a file, and the header that it is compiled with."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import lief
import pytest

ARCHITECTURE = platform.machine().replace("_", "-")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ROOT = Path(__file__).parents[3]

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into an ELF file")


@pytest.fixture(scope="module")
def module() -> Path:
    spec = importlib.util.find_spec("ortpack._binding")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


@linux
def test_the_module_is_small_and_hardened(module: Path) -> None:
    assert module.name == "_binding.abi3.so"
    assert module.stat().st_size < 300_000
    binary = lief.ELF.parse(str(module))
    assert binary is not None
    assert binary.get(lief.ELF.Segment.TYPE.GNU_RELRO) is not None
    assert lief.ELF.DynamicEntry.TAG.RPATH not in [entry.tag for entry in binary.dynamic_entries]
    assert lief.ELF.DynamicEntry.TAG.RUNPATH not in [entry.tag for entry in binary.dynamic_entries]
    (flags,) = [entry for entry in binary.dynamic_entries if entry.tag == lief.ELF.DynamicEntry.TAG.FLAGS_1]
    assert isinstance(flags, lief.ELF.DynamicEntryFlags)
    assert flags.has(lief.ELF.DynamicEntryFlags.FLAG.NOW)
    assert binary.has_nx
    assert "__stack_chk_fail" in {str(symbol.name) for symbol in binary.imported_symbols}


@linux
def test_the_module_needs_and_offers_nothing_unexpected(module: Path) -> None:
    binary = lief.ELF.parse(str(module))
    assert binary is not None
    needed = {str(name).split(".so")[0] for name in binary.libraries}
    assert needed <= {
        "libstdc++",
        "libgcc_s",
        "libc",
        "libdl",
        "libm",
        "libpthread",
        "ld-linux-x86-64",
        "ld-linux-aarch64",
    }
    functions = {str(symbol.name) for symbol in binary.exported_symbols if symbol.is_function}
    assert functions == {"PyInit__binding"}
    assert "OrtGetApiBase" not in {str(symbol.name) for symbol in binary.imported_symbols}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt")
@pytest.mark.skipif(
    not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists(), reason="needs Debian's keyring"
)
def test_the_header_comes_from_debian_and_then_from_the_cache(tmp_path: Path) -> None:
    """Leaves the machine's apt as it is."""
    lists = Path("/var/lib/apt/lists")
    before = sorted((file.name, file.stat().st_mtime_ns) for file in lists.iterdir())
    pin = json.loads((ROOT / "cmake" / "ort_headers.json").read_text())
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "ORTPACK_ORT_HEADERS": ""}
    environment["TMPDIR"] = str(tmp_path / "scratch")
    (tmp_path / "scratch").mkdir()
    script = [sys.executable, str(ROOT / "cmake" / "fetch_headers.py"), f"--out={tmp_path / 'out'}", "--origin=debian"]
    for extra in ({}, {"PATH": str(tmp_path)}):  # the second time there is no apt to call
        done = subprocess.run(script, env={**environment, **extra}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        folder = Path(done.stdout.strip())
        assert folder.is_relative_to(tmp_path / "cache")
        assert hashlib.sha256((folder / pin["file"]).read_bytes()).hexdigest() == pin["sha256"]
    assert sorted((file.name, file.stat().st_mtime_ns) for file in lists.iterdir()) == before
    assert not list((tmp_path / "scratch").iterdir())
    assert not (tmp_path / "out").exists()
