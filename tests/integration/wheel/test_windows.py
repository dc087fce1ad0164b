"""Windows' libraries, really run: under wine, by the program that `verify` compiles for that."""

from __future__ import annotations

import json
import os
import re
import subprocess
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import lief
import numpy as np
import pytest

import ortpack
from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.base.errors import ToolError
from ortpack_build.base.report import Reporter
from ortpack_build.catalog import manifests
from ortpack_build.verify import run_from_c, run_under_wine
from ortpack_build.verify.run_from_c import Outcome, Tensor
from support.command import run
from support.emulators import X86_64, needs_wine
from support.models import feeds, model
from support.official import NEWEST, library
from support.tampering import cover_up, read, write

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGET = manifests.load().targets["win-amd64"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not X86_64, reason="zig is pinned for linux-x86_64 only")]


@pytest.fixture(scope="module")
def program(cache: Path) -> Path:
    context = Context(cache=Cache(root=cache), report=Reporter(), environ=os.environ)
    return run_from_c.compiled(TARGET, "linux-x86_64", context)


@pytest.fixture(scope="module")
def dll(wheels: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("windows")
    with zipfile.ZipFile(wheels["win-amd64"]) as archive:
        archive.extractall(folder)
    return folder / "ortpack_runtimes" / "cpu" / "onnxruntime.dll"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One wine for the module: its C: drive is 0.7 GB and takes seconds to make."""
    return tmp_path_factory.mktemp("wine")


def under_wine(dll: Path, name: str, program: Path, place: Path) -> Outcome:
    given = {key: Tensor(shape=value.shape, data=value.tobytes()) for key, value in feeds(name).items()}
    return run_under_wine.under_wine(program, TARGET, place, os.environ).run(dll, model(name), [given], scratch=place)


@needs_wine
@pytest.mark.parametrize("name", ["silero_vad", "magika"])
def test_models_give_the_same_as_on_linux(dll: Path, program: Path, place: Path, name: str) -> None:
    outcome = under_wine(dll, name, program, place)
    assert outcome.version == NEWEST
    session = ortpack.InferenceSession(str(model(name)), runtime=str(library(NEWEST)))
    expected = session.run(None, feeds(name))
    (outputs,) = outcome.runs
    assert list(outputs) == [output.name for output in session.get_outputs()]
    for found, wanted in zip(outputs.values(), expected, strict=True):
        assert found.shape == wanted.shape
        np.testing.assert_allclose(np.frombuffer(found.data, wanted.dtype).reshape(wanted.shape), wanted, atol=1e-6)


@needs_wine
def test_what_the_library_refuses_is_said(dll: Path, program: Path, place: Path, tmp_path: Path) -> None:
    started, bad = run_under_wine.under_wine(program, TARGET, place, os.environ), tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    with pytest.raises(ToolError, match=r"CreateSession: .*Protobuf"):
        started.run(dll, bad, [{}], scratch=place)
    text = tmp_path / "onnxruntime.dll"
    text.write_bytes(b"no library")
    with pytest.raises(ToolError, match=r"onnxruntime\.dll: error 193"):  # ERROR_BAD_EXE_FORMAT
        started.run(text, bad, [{}], scratch=place)
    short = {"input": Tensor(shape=(1, 576), data=b"1234")}
    with pytest.raises(ToolError, match="has not as many bytes as the input"):
        started.run(dll, model("silero_vad"), [short], scratch=place)


@needs_wine
def test_verify_runs_a_windows_wheel(wheels: Mapping[str, Path], cache: Path, program: Path) -> None:
    done = run("verify", "--json", wheels["win-amd64"], "--cache", cache)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = (row for row in json.loads(done.stdout)["checks"] if row["check"] == "run")
    assert row["verdict"] == "pass"
    assert row["detail"] == f"below wine, ORT {NEWEST}: tiny.onnx gave sum [3]"


@needs_wine
def test_a_library_that_cannot_run_fails_verify(
    wheels: Mapping[str, Path], cache: Path, program: Path, tmp_path: Path
) -> None:
    """Every byte is as the wheel promises, but its code is not: only running it tells."""
    files = read(wheels["win-amd64"])
    name = "ortpack_runtimes/cpu/onnxruntime.dll"
    binary = lief.PE.parse(list(files[name]))
    assert isinstance(binary, lief.PE.Binary)
    text = binary.get_section(".text")
    assert text is not None
    start, size = text.pointerto_raw_data, text.sizeof_raw_data
    files[name] = files[name][:start] + b"\xcc" * size + files[name][start + size :]
    broken = tmp_path / wheels["win-amd64"].name
    cover_up(files)
    write(broken, files)
    done = run("verify", "--json", broken, "--cache", cache)
    assert done.returncode == 1
    failed = [row["check"] for row in json.loads(done.stdout)["checks"] if row["verdict"] == "fail"]
    assert failed == ["run"]


def test_where_there_is_no_wine_verify_says_so(wheels: Mapping[str, Path], cache: Path, tmp_path: Path) -> None:
    done = run("verify", "--json", wheels["win-amd64"], "--cache", cache, PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    (row,) = (row for row in json.loads(done.stdout)["checks"] if row["check"] == "run")
    assert (row["verdict"], row["detail"]) == ("skip", "this machine is linux-x86_64; wine is not installed")


def test_the_same_program_runs_models_here(tmp_path: Path) -> None:
    """Compiled for this machine: so it is the C API that it speaks, and not something that wine lets pass."""
    program = tmp_path / "run_model"
    warnings = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", "-O1", *warnings, "-o", program, run_from_c.SOURCE, "-ldl"], check=True)
    given = feeds("silero_vad")
    arguments: list[str | Path] = []
    for name, value in given.items():
        (tmp_path / name).write_bytes(value.tobytes())
        arguments += [name, "x".join(map(str, value.shape)) or "-", tmp_path / name]
    command: list[str | Path] = [program, library(NEWEST), model("silero_vad"), tmp_path, "99", "3", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"version {NEWEST}", "run", "0 1 1x1 output", "1 1 2x1x128 stateN"]
    session = ortpack.InferenceSession(str(model("silero_vad")), runtime=str(library(NEWEST)))
    for number, wanted in enumerate(session.run(None, given)):
        assert (tmp_path / f"{number}.bin").read_bytes() == wanted.tobytes()


def test_every_function_has_the_number_that_the_header_gives_it() -> None:
    """`run_model.c` names the functions of OrtApi by their places in that table."""
    header = sorted(Path("~/.cache/ortpack/headers").expanduser().glob("*/onnxruntime_c_api.h"))
    if not header:
        pytest.skip("the loader was not built on this machine")
    table = header[0].read_text().split("\nstruct OrtApi {")[1].split("\n};")[0]
    table = re.sub(r"/\*.*?\*/|//[^\n]*", "", table, flags=re.DOTALL)
    form = re.compile(r"ORT_API2_STATUS\(\s*(\w+)|ORT_CLASS_RELEASE\(\s*(\w+)\s*\)|\(ORT_API_CALL\s*\*\s*(\w+)\)")
    order = [status or function or f"Release{released}" for status, released, function in form.findall(table)]
    assert order[0] == "CreateStatus"
    named = re.findall(r"^    (\w+) = (\d+),$", run_from_c.SOURCE.read_text(), flags=re.MULTILINE)
    assert len(named) > 15
    assert {name: int(number) for name, number in named} == {name: order.index(name) for name, _ in named}
