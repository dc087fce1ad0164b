"""Damaged models: none ends the process or keeps it for ever. ORTPACK_TEST_MUTANTS says how many (200).

A mutant that kills is left in the test's folder, and its number is in the message.
"""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import pytest

from support import mutants, official
from support.command import run

pytest.importorskip("ortpack")

pytestmark = [
    pytest.mark.timeout(3600),
    pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is Linux's"),
]

_SEED = 7
_COUNT = int(os.environ.get("ORTPACK_TEST_MUTANTS", "200"))
_FILE = os.environ.get("ORTPACK_TEST_KIT", "")
_FLAVOUR = "onnx" if "onnx" in Path(_FILE).name else "ort"
_MODELS = Path(mutants.__file__).with_name("small_models")

# What the official library 1.21.0 dies of, by original: its kernels trust what no check before them has seen. See
# docs/robustness.md. Nothing is to be added without having been looked into.
_KNOWN = {
    "network.onnx": {"signal 8"},  # TopK divides by the number of rows, of which there may be none
    "trees.onnx": {"signal 11"},  # Einsum takes any character of an equation for a letter
}


def _files(format_: str) -> list[Path]:
    files = sorted(_MODELS.glob(f"*.{format_}"))
    assert len(files) == 5
    return files


def _check(outcome: mutants.Outcome, files: list[Path], accepted: dict[str, set[str]]) -> None:
    """No death but those that are known; and the mutants got far enough for that to say something."""
    print(outcome)
    unexpected = {
        f"{number} of {files[number % len(files)].name}": how
        for number, how in outcome.deaths.items()
        if how not in accepted.get(files[number % len(files)].name, set())
    }
    assert not unexpected, unexpected
    assert sum(outcome.counts.values()) + len(outcome.deaths) == _COUNT
    assert outcome.counts["ran"] >= _COUNT / 20
    assert len(outcome.counts) >= 4


@pytest.mark.parametrize("format_", ["onnx", "ort"])
def test_the_official_library(format_: str, tmp_path: Path) -> None:
    files = _files(format_)
    library = official.library(official.OLDER)
    outcome = mutants.judge(library, files, seed=_SEED, numbers=range(_COUNT), folder=tmp_path)
    _check(outcome, files, _KNOWN)


@pytest.fixture(scope="module")
def minimal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runtime for the originals."""
    out = tmp_path_factory.mktemp("mutants")
    arguments: list[object] = ["--name", "mylib-ort", "--flavour", _FLAVOUR, "--ort", "1.21.0", "--no-verify"]
    arguments += ["--from", _FILE] if _FILE else []
    arguments += [part for file in _files(_FLAVOUR) for part in ("--model", file)]
    done = run("minimal", *arguments, "--out", out)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(done.stdout.splitlines()[-1]) as archive:
        archive.extractall(out)
    return out / "ortpack_runtimes" / "mylib-ort"


@pytest.mark.kit
@pytest.mark.skipif(not os.environ.get("ORTPACK_TEST_KITS"), reason="ORTPACK_TEST_KITS is not set")
@pytest.mark.parametrize("format_", ["onnx", "ort"])
def test_a_minimal_runtime(minimal: Path, format_: str, tmp_path: Path) -> None:
    files = _files(format_)
    if format_ != _FLAVOUR and _FLAVOUR == "ort":
        pytest.skip("the runtime refuses the format")
    outcome = mutants.judge(minimal, files, seed=_SEED, numbers=range(_COUNT), folder=tmp_path)
    _check(outcome, files, _KNOWN)


# --- the judge itself --------------------------------------------------------------------------------------------


def test_the_originals_run() -> None:
    import ortpack

    runtime = ortpack.load_runtime(official.library(official.OLDER))
    for file in (*_files("onnx"), *_files("ort")):
        assert mutants.attempt(file.read_bytes(), runtime) == "ran", file


def test_a_seed_gives_the_same_mutants() -> None:
    data = (_MODELS / "network.ort").read_bytes()
    found = [mutants.mutant(data, 1, number) for number in range(50)]
    assert found == [mutants.mutant(data, 1, number) for number in range(50)]
    assert len({*found, data}) > 45
    assert found != [mutants.mutant(data, 2, number) for number in range(50)]


@pytest.mark.parametrize(("what", "says"), [("os.kill(os.getpid(), 11)", "signal 11"), ("os._exit(3)", "exit code 3")])
def test_a_death_is_pinned_to_its_mutant(what: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = _with_worker(f"if number == 5: {what}", tmp_path, monkeypatch)
    assert {number: how.partition(":")[0] for number, how in outcome.deaths.items()} == {5: says}
    assert outcome.counts == {"ran": 9}
    assert [file.name for file in tmp_path.glob("*.ort")] == ["5.ort"]


def test_a_hang_is_pinned_to_its_mutant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "HANG", 2.0)
    outcome = _with_worker("if number == 5: time.sleep(600)", tmp_path, monkeypatch)
    assert (outcome.deaths, outcome.counts) == ({5: "hang"}, {"ran": 9})


def _with_worker(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> mutants.Outcome:
    """Ten mutants of a model by a worker that does `line` in place of loading them."""
    worker = folder / "worker.py"
    worker.write_text(
        "import json, os, sys, time\n"
        "request = json.loads(sys.argv[1])\n"
        "for number in range(request['begin'], request['end']):\n"
        "    print('try', number, flush=True)\n"
        f"    {line}\n"
        "    print('end ran', flush=True)\n"
    )
    monkeypatch.setattr(mutants, "__file__", str(worker))
    return mutants.judge(folder, [_MODELS / "network.ort"], seed=1, numbers=range(10), folder=folder)
