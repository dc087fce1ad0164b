"""`ortpack-build minimal` as a user runs it: needs a kit, see the marker `kit` in pyproject.toml.

ORTPACK_TEST_KIT names a packed kit to use, of either flavour, in place of the one in the user's cache.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs
import pytest

from ortpack_build.base.errors import UsageError
from support.command import run
from support.models import feeds, model

if TYPE_CHECKING:
    from pathlib import Path

onnx = pytest.importorskip("onnx")
ortpack = pytest.importorskip("ortpack")

pytestmark = [
    pytest.mark.kit,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(not os.environ.get("ORTPACK_TEST_KITS"), reason="ORTPACK_TEST_KITS is not set"),
]

_FILE = os.environ.get("ORTPACK_TEST_KIT", "")
FLAVOUR = "onnx" if "-onnx-" in _FILE else "ort"
_CACHE = os.environ.get("ORTPACK_BUILD_CACHE") or platformdirs.user_cache_path("ortpack-build", appauthor=False)
_COMMON = ["--flavour", FLAVOUR, "--ort", "1.21.0", "--cache", _CACHE, *(["--from", _FILE] if _FILE else [])]
NAMES = ("silero_vad", "magika", "ppocr_det")
WHEEL = "mylib_ort-1.21.0-py3-none-manylinux_2_17_x86_64.whl"


def minimal(out: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return run("minimal", "--name", "mylib-ort", "--out", out, *arguments, *_COMMON)


def embedded(out: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return run("minimal", "--embed", "mylib._ort", "--out", out, *arguments, *_COMMON)


def manifest(wheel: Path) -> Any:
    with zipfile.ZipFile(wheel) as archive:
        return json.loads(archive.read("ortpack_runtimes/mylib-ort/runtime.json"))


def tiny(path: Path, op: str, opset: int = 17) -> Path:
    values = [onnx.helper.make_tensor_value_info(name, 1, [2]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node(op, ["x"], ["y"], name="n1")], "g", values[:1], values[1:])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8), path)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of one command for three real models."""
    out = tmp_path_factory.mktemp("made")
    done = minimal(out, *(part for name in NAMES for part in ("--model", model(name))))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(out / WHEEL)
    converted = [f"{model(name).stem}.ort" for name in NAMES] if FLAVOUR == "ort" else []
    assert sorted(path.name for path in out.iterdir()) == sorted([WHEEL, *converted])
    assert done.stdout.splitlines()[:-1] == [str(out / name) for name in converted]
    return out


def test_the_wheel_passes_verify(made: Path) -> None:
    done = run("verify", made / WHEEL, "--no-run")
    assert done.returncode == 0, done.stdout + done.stderr


def test_runtime_json_says_what_it_is(made: Path) -> None:
    said = manifest(made / WHEEL)
    assert (said["name"], said["reduced"], said["minimal"]["distribution"]) == ("mylib-ort", True, "mylib-ort")
    assert [line["name"] for line in said["minimal"]["models"]] == [model(name).name for name in NAMES]
    assert "ai.onnx;14-21;LSTM" in said["minimal"]["kernels"]
    assert said["verification"]["verified"] is True
    assert [line["runs"] for line in said["verification"]["models"]] == [5, 5, 5]


def test_the_wheel_runs_its_models_beside_the_loader(made: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(made / WHEEL) as archive:
        archive.extractall(tmp_path)
    runtime = ortpack.load_runtime(tmp_path / "ortpack_runtimes" / "mylib-ort")
    for name in NAMES:
        path = made / f"{model(name).stem}.ort" if FLAVOUR == "ort" else model(name)
        session = ortpack.InferenceSession(path, runtime=runtime)
        assert all(np.isfinite(value).all() for value in session.run(None, feeds(name)))


@pytest.mark.skipif(FLAVOUR != "ort", reason="only the ORT format has weights that can be used in place")
def test_weights_outlive_the_bytes_that_they_came_from(made: Path, tmp_path: Path) -> None:
    """Whether they are copied or stay where they are, for a file and for bytes that nobody else holds."""
    with zipfile.ZipFile(made / WHEEL) as archive:
        archive.extractall(tmp_path)
    runtime = ortpack.load_runtime(tmp_path / "ortpack_runtimes" / "mylib-ort")
    path, feed = made / "silero_vad.ort", feeds("silero_vad")
    expected = ortpack.InferenceSession(path, runtime=runtime).run(None, feed)
    for directly, in_place in itertools.product("01", "01"):
        options = ortpack.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.use_ort_model_bytes_directly", directly)
        options.add_session_config_entry("session.use_ort_model_bytes_for_initializers", in_place)
        for read in (False, True):
            session = ortpack.InferenceSession(path.read_bytes() if read else path, options, runtime=runtime)
            taken = [bytearray(b"\xff" * path.stat().st_size) for _ in range(4)]  # memory that was let go of
            for value, right in zip(session.run(None, feed), expected, strict=True):
                np.testing.assert_array_equal(value, right, err_msg=f"{directly=} {in_place=} {read=}")
            del taken


def test_another_model_is_refused(made: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(made / WHEEL) as archive:
        archive.extractall(tmp_path)
    runtime = ortpack.load_runtime(tmp_path / "ortpack_runtimes" / "mylib-ort")
    path = tiny(tmp_path / "cos.onnx", "Cos")
    if FLAVOUR == "ort":
        assert run("convert", path, "--out", tmp_path, "--ort", "1.21.0", "--cache", _CACHE).returncode == 0
        path = tmp_path / "cos.ort"
    with pytest.raises(ortpack.errors.OrtError, match="Cos"):
        ortpack.InferenceSession(path, runtime=runtime)


def test_without_proof_the_runtime_says_so(tmp_path: Path) -> None:
    done = minimal(tmp_path, "--model", tiny(tmp_path / "m.onnx", "Abs"), "--no-verify")
    assert done.returncode == 0, done.stderr
    assert "Proving" not in done.stderr
    assert manifest(tmp_path / WHEEL)["verification"]["verified"] is False


def test_a_failed_proof_leaves_nothing(tmp_path: Path) -> None:
    path, out = tiny(tmp_path / "m.onnx", "Abs"), tmp_path / "out"
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 3), np.float32))
    done = minimal(out, "--model", path, "--inputs", tmp_path / "x.npz")
    assert (done.returncode, done.stdout) == (12, ""), done.stderr
    assert not out.exists() or not list(out.iterdir())


def test_an_operator_without_kernel_is_named(tmp_path: Path) -> None:
    config = tmp_path / "my.config"
    config.write_text("ai.onnx;13;Abs\nai.onnx;1;ImageDecoder\n")
    done = minimal(tmp_path / "out", "--ops", config)
    assert (done.returncode, done.stdout) == (11, ""), done.stderr
    assert f"{config} needs ai.onnx:ImageDecoder of opset 1, for which the {FLAVOUR} kit" in done.stderr


def test_a_config_alone_makes_a_runtime_that_nobody_proved(tmp_path: Path) -> None:
    config = tmp_path / "my.config"
    config.write_text("ai.onnx;13;Abs\n")
    done = minimal(tmp_path, "--ops", config)
    assert done.returncode == 0, done.stderr
    said = manifest(tmp_path / WHEEL)
    assert said["verification"]["verified"] is False
    assert {line.split(";")[2].partition("<")[0] for line in said["minimal"]["kernels"]} == {"Abs"}


def test_files_for_a_package_that_depends_on_the_loader(tmp_path: Path) -> None:
    out, path = tmp_path / "src", tiny(tmp_path / "m.onnx", "Abs")
    assert minimal(out, "--model", path, "--embed", "mylib._ort").returncode == UsageError.exit_code
    for _ in range(2):  # the second time it takes the first one's place
        done = embedded(out, "--model", path)
        assert done.returncode == 0, done.stderr
        home = out / "mylib" / "_ort"
        assert done.stdout.splitlines()[-1] == str(home)
        assert [entry.name for entry in home.parent.iterdir()] == ["_ort"]
    model_ = home / "m.ort" if FLAVOUR == "ort" else path
    session = ortpack.InferenceSession(model_, runtime=home)
    assert session.run(None, {"x": np.array([-1, 2], np.float32)})[0].tolist() == [1, 2]
    assert (home / "licenses" / "onnxruntime-LICENSE").is_file()


def test_files_of_somebody_else_stay(tmp_path: Path) -> None:
    other = tmp_path / "mylib" / "_ort" / "mine.py"
    other.parent.mkdir(parents=True)
    other.write_text("precious = True\n")
    done = embedded(tmp_path, "--model", tiny(tmp_path / "m.onnx", "Abs"))
    assert done.returncode == UsageError.exit_code
    assert f"{other.parent} is there already" in done.stderr
    assert [entry.name for entry in other.parent.iterdir()] == ["mine.py"]


def test_the_same_command_twice_at_once(tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["minimal", "--name", "mylib-ort", "--out", out, "--model", tiny(tmp_path / "m.onnx", "Abs")]
    command = [sys.executable, "-m", "ortpack_build", *map(str, [*arguments, *_COMMON])]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ends = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    expected = {WHEEL, "m.ort"} if FLAVOUR == "ort" else {WHEEL}
    assert {path.name for path in out.iterdir()} == expected
    done = run("verify", out / WHEEL, "--no-run")
    assert done.returncode == 0, done.stdout
