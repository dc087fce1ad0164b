"""Index gone, wrong bytes, full disks, killed builds: a clear error, nothing half-written, and the next run works."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ortpack_build.base.data_file import shipped_folder
from ortpack_build.base.hashing import sha256_of
from ortpack_build.catalog import manifests
from support.command import run
from support.index import serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="signals, mounts and limits of POSIX")]

TARGET = "win-arm64"  # the smallest
_ORIGIN = manifests.load().variants["cpu"].prebuilt
assert _ORIGIN is not None
PIN = next(wheel for wheel in _ORIGIN.wheels if (wheel.ort, wheel.target) == ("1.32.0", TARGET))
OFFLINE = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple/", "PIP_EXTRA_INDEX_URL": "", "PIP_RETRIES": "1"}


@pytest.fixture
def official(wheels: Mapping[str, Path], cache: Path) -> Path:
    """The official wheel, as the cache has it after `wheels`."""
    assert wheels
    return cache / "artifacts" / PIN.sha256 / PIN.file


def command(cache: Path, out: Path, *more: str) -> tuple[object, ...]:
    return ("wheel", "cpu", "--target", TARGET, "--cache", cache, "--out", out, *more)


def files(folder: Path) -> list[str]:
    """All files below, but locks, which are empty and stay."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.suffix != ".lock")


def assert_clear(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert last.startswith("ortpack-build: ")
    for word in words:
        assert word in last


def test_pip_fetches_from_the_index_that_the_user_configured(official: Path, tmp_path: Path) -> None:
    with serve("onnxruntime", PIN.file, official.read_bytes()) as index:
        done = run(*command(tmp_path / "cache", tmp_path / "out"), **OFFLINE | {"PIP_INDEX_URL": index})
    assert done.returncode == 0, done.stderr
    assert f"artifacts/{PIN.sha256}/{PIN.file}" in files(tmp_path / "cache")


def test_a_cold_cache_is_filled_by_the_machines_own_pip(wheels: Mapping[str, Path], tmp_path: Path) -> None:
    done = run(*command(tmp_path / "cache", tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == wheels[TARGET].read_bytes()
    assert sha256_of(tmp_path / "cache" / "artifacts" / PIN.sha256 / PIN.file) == PIN.sha256


def test_unreachable_index(wheels: Mapping[str, Path], tmp_path: Path) -> None:
    cache, out = tmp_path / "cache", tmp_path / "out"
    assert_clear(run(*command(cache, out), **OFFLINE), 4, "can't reach the package index", "pip config list")
    assert files(tmp_path) == []
    done = run(*command(cache, out))
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == wheels[TARGET].read_bytes()


def test_pip_that_says_no_more_than_that_it_finds_nothing(tmp_path: Path) -> None:
    done = run(*command(tmp_path / "cache", tmp_path / "out"), **OFFLINE | {"PIP_RETRIES": "0"})
    assert_clear(done, 4, "Either the index can't be reached")


def test_a_warm_cache_needs_no_index(cache: Path, wheels: Mapping[str, Path], tmp_path: Path) -> None:
    done = run(*command(cache, tmp_path), **OFFLINE)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / wheels[TARGET].name).read_bytes() == wheels[TARGET].read_bytes()


def test_an_index_without_the_file(tmp_path: Path) -> None:
    with serve("onnxruntime", "onnxruntime-1.0.0-cp312-cp312-win_arm64.whl", b"") as index:
        done = run(*command(tmp_path / "cache", tmp_path / "out"), **OFFLINE | {"PIP_INDEX_URL": index})
    assert_clear(done, 4, "could not be fetched", "does not seem to have this file")


@pytest.mark.parametrize("damage", ["other bytes", "truncated"])
def test_an_index_with_other_bytes(official: Path, tmp_path: Path, damage: str) -> None:
    data = official.read_bytes()
    wrong = data[:-1] + b"x" if damage == "other bytes" else data[: len(data) // 2]
    with serve("onnxruntime", PIN.file, wrong) as index:
        done = run(*command(tmp_path / "cache", tmp_path / "out"), **OFFLINE | {"PIP_INDEX_URL": index})
    assert_clear(done, 4, PIN.sha256, "pins")
    assert files(tmp_path) == []


def test_a_pin_that_the_index_does_not_have(tmp_path: Path) -> None:
    variants = tmp_path / "variants"
    variants.mkdir()
    text = (shipped_folder() / "cpu.toml").read_text(encoding="utf-8")
    (variants / "cpu.toml").write_text(text.replace(PIN.sha256, "0" * 64), encoding="utf-8")
    done = run(*command(tmp_path / "cache", tmp_path / "out"), "--variants", variants)
    assert_clear(done, 4, PIN.sha256, "0" * 64)
    assert files(tmp_path / "cache") == []


def test_a_damaged_cache_is_noticed_and_mended(cache: Path, official: Path, tmp_path: Path) -> None:
    own = tmp_path / "cache"
    damaged = own / "artifacts" / PIN.sha256 / PIN.file
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(official.read_bytes()[:-1])
    with serve("onnxruntime", PIN.file, official.read_bytes()) as index:
        done = run(*command(own, tmp_path / "out"), **OFFLINE | {"PIP_INDEX_URL": index})
    assert done.returncode == 0, done.stderr
    assert "damaged; it is fetched anew" in done.stderr
    assert sha256_of(damaged) == PIN.sha256


def test_a_download_that_is_killed_leaves_nothing_and_the_next_run_recovers(
    official: Path, wheels: Mapping[str, Path], tmp_path: Path
) -> None:
    halfway = threading.Event()
    cache, out = tmp_path / "cache", tmp_path / "out"
    arguments = [sys.executable, "-m", "ortpack_build", *map(str, command(cache, out))]
    with serve("onnxruntime", PIN.file, official.read_bytes(), stall=halfway) as index:
        environ = os.environ | OFFLINE | {"PIP_INDEX_URL": index}
        with subprocess.Popen(
            arguments, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        ) as process:
            assert halfway.wait(60)
            os.kill(process.pid, signal.SIGKILL)  # this process alone: its pip lives on
            assert process.wait() == -signal.SIGKILL
            assert not (cache / "artifacts").exists()
            with serve("onnxruntime", PIN.file, official.read_bytes()) as sound:
                done = run(*command(cache, out), **OFFLINE | {"PIP_INDEX_URL": sound})
            os.killpg(process.pid, signal.SIGKILL)  # the pip that was left
    assert done.returncode == 0, done.stderr
    assert (out / wheels[TARGET].name).read_bytes() == wheels[TARGET].read_bytes()
    assert list((cache / "tmp").iterdir()) == []


def test_two_builds_at_once_fetch_once(official: Path, wheels: Mapping[str, Path], tmp_path: Path) -> None:
    log: list[str] = []
    with serve("onnxruntime", PIN.file, official.read_bytes(), log=log) as index:
        environ = os.environ | OFFLINE | {"PIP_INDEX_URL": index}
        outs = [tmp_path / "one", tmp_path / "two"]
        builds = [
            subprocess.Popen(
                [sys.executable, "-m", "ortpack_build", *map(str, command(tmp_path / "cache", out))],
                env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for out in outs
        ]  # fmt: skip
        errors = [build.communicate(timeout=120)[1] for build in builds]
    assert [build.returncode for build in builds] == [0, 0], errors
    assert log.count(f"/files/{PIN.file}") == 1
    for out in outs:
        assert (out / wheels[TARGET].name).read_bytes() == wheels[TARGET].read_bytes()


def test_ctrl_c_is_a_sentence(official: Path, tmp_path: Path) -> None:
    halfway = threading.Event()
    # Below a shell's `&` the signal is ignored, and so it would be by a Python that is started there.
    heard = "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program = [sys.executable, "-c", heard + "runpy.run_module('ortpack_build', run_name='__main__', alter_sys=True)"]
    arguments = [*program, *map(str, command(tmp_path / "cache", tmp_path / "out"))]
    with serve("onnxruntime", PIN.file, official.read_bytes(), stall=halfway) as index:
        environ = os.environ | OFFLINE | {"PIP_INDEX_URL": index}
        with subprocess.Popen(
            arguments,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                assert halfway.wait(60)
                os.killpg(process.pid, signal.SIGINT)
                _, errors = process.communicate(timeout=30)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].startswith("ortpack-build: Interrupted.")
    assert files(tmp_path) == []


def test_a_cache_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_clear(run(*command(tmp_path / "file" / "cache", tmp_path / "out")), 5, "can't be written", "--cache")


def test_an_output_folder_that_is_a_file(cache: Path, wheels: Mapping[str, Path], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    assert_clear(run(*command(cache, tmp_path / "out")), 5, "can't be written", "--out")
    assert (tmp_path / "out").read_text() == "mine"


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"no mounting here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_read_only_cache(wheels: Mapping[str, Path], tmp_path: Path) -> None:
    """One that has what is needed serves it; one that hasn't is a clear error."""
    own = tmp_path / "cache"
    with mounted(own, "size=200m"):
        subprocess.run(["mount", "-o", "remount,ro", str(own)], check=True)
        assert_clear(run(*command(own, tmp_path / "out")), 5, "Read-only file system", "--cache")
        subprocess.run(["mount", "-o", "remount,rw", str(own)], check=True)
        assert run(*command(own, tmp_path / "first")).returncode == 0
        subprocess.run(["mount", "-o", "remount,ro", str(own)], check=True)
        done = run(*command(own, tmp_path / "out"))
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / wheels[TARGET].name).read_bytes() == wheels[TARGET].read_bytes()


def test_a_full_disk(wheels: Mapping[str, Path], cache: Path, tmp_path: Path) -> None:
    own, out = tmp_path / "cache", tmp_path / "out"
    with mounted(own, "size=4m"):
        assert_clear(run(*command(own, out)), 5, "disk is full")
        assert files(own) == []
        subprocess.run(["mount", "-o", "remount,size=200m", str(own)], check=True)
        assert run(*command(own, out)).returncode == 0
    with mounted(tmp_path / "small", "size=4m"):
        assert_clear(run(*command(cache, tmp_path / "small")), 5, "disk is full")
        assert files(tmp_path / "small") == []


def test_a_limit_on_file_sizes(wheels: Mapping[str, Path], tmp_path: Path) -> None:
    """Works where nothing can be mounted."""
    done = subprocess.run(
        [sys.executable, "-m", "ortpack_build", *map(str, command(tmp_path / "cache", tmp_path / "out"))],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
    )
    assert_clear(done, 5, "disk is full")
    assert files(tmp_path) == []


def test_no_pip(tmp_path: Path) -> None:
    """As in an environment made by uv: this package and what it needs, but no pip."""
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    target = Path(subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip())
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith("pip"):
            (target / entry.name).symlink_to(entry)
    done = subprocess.run(
        [python, "-m", "ortpack_build", *map(str, command(tmp_path / "cache", tmp_path / "out"))],
        check=False,
        capture_output=True,
        text=True,
    )
    assert_clear(done, 4, "pip is not installed", "ensurepip")
