"""What a session on a runtime that was made for another model says: needs a kit, see the marker `kit`."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from support import graphs, models, official
from support.command import run

from .test_minimal import _CACHE, FLAVOUR, WHEEL, minimal, ortpack, pytestmark, tiny

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["pytestmark"]
errors = ortpack.errors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runtime's folder, unpacked; it has what silero-vad needs."""
    out = tmp_path_factory.mktemp("refused")
    done = minimal(out, "--model", models.model("silero_vad"), "--no-verify")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(out / WHEEL) as archive:
        archive.extractall(out)
    return out / "ortpack_runtimes" / "mylib-ort"


@pytest.fixture(scope="module")
def runtime(folder: Path) -> ortpack.LoadedRuntime:
    return ortpack.load_runtime(folder)


def _in_its_format(path: Path) -> Path:
    if FLAVOUR == "onnx":
        return path
    done = run("convert", path, "--out", path.parent, "--ort", "1.21.0", "--cache", _CACHE)
    assert done.returncode == 0, done.stderr
    return path.with_suffix(".ort")


def test_the_operator_and_the_command_that_adds_it(runtime: ortpack.LoadedRuntime, tmp_path: Path) -> None:
    """And the command, run as it stands, makes a runtime that takes the model."""
    file = _in_its_format(tiny(tmp_path / "cos.onnx", "Cos"))
    opset = 7 if FLAVOUR == "ort" else 17
    for model in (file, file.read_bytes()):
        with pytest.raises(errors.MissingOperator, match=f"built without ai.onnx:Cos of opset {opset}") as caught:
            ortpack.InferenceSession(model, runtime=runtime)
        assert caught.value.operators == (("", "Cos", opset),)
        assert "ortpack-build minimal --name mylib-ort" in str(caught.value)
        assert f"--flavour {FLAVOUR}" in str(caught.value)
        assert "--model silero_vad.onnx" in str(caught.value)
    done = minimal(tmp_path / "more", "--model", file, "--model", models.model("silero_vad"), "--no-verify")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "more" / WHEEL) as archive:
        archive.extractall(tmp_path / "more")
    ortpack.InferenceSession(file, runtime=tmp_path / "more" / "ortpack_runtimes" / "mylib-ort")


def test_the_library_alone_is_known_by_the_file_beside_it(folder: Path, tmp_path: Path) -> None:
    library = next(folder.glob("libonnxruntime*"))
    with pytest.raises(errors.MissingOperator, match="Cos"):
        ortpack.InferenceSession(_in_its_format(tiny(tmp_path / "cos.onnx", "Cos")), runtime=library)


def test_a_missing_type(runtime: ortpack.LoadedRuntime, tmp_path: Path) -> None:
    """The kernel of this operator that the runtime has is for float."""
    path = tmp_path / "double.onnx"
    values = graphs.tensor("x", 11, (2,)), graphs.tensor("y", 11, (2,))
    path.write_bytes(graphs.model([graphs.node("Sqrt", ["x"], ["y"])], values[:1], values[1:], opset=17, ir_version=8))
    with pytest.raises(errors.MissingOperator, match="without Sqrt for the types that the model uses"):
        ortpack.InferenceSession(_in_its_format(path), runtime=runtime)


@pytest.mark.skipif(FLAVOUR != "ort", reason="the other flavour loads .onnx files")
def test_an_onnx_model_says_how_to_convert_it(runtime: ortpack.LoadedRuntime, tmp_path: Path) -> None:
    path = models.model("silero_vad")
    with pytest.raises(errors.ModelFormatError, match="loads the ORT format only") as caught:
        ortpack.InferenceSession(path, runtime=runtime)
    assert f"ortpack-build convert {path} --ort 1.21.0" in str(caught.value)
    ortpack.InferenceSession(_in_its_format_of(path, tmp_path), runtime=runtime)


def _in_its_format_of(path: Path, folder: Path) -> Path:
    copy = folder / path.name
    copy.write_bytes(path.read_bytes())
    return _in_its_format(copy)


@pytest.mark.parametrize("version", ["3", "9"])
def test_an_ort_format_model_of_another_version(runtime: ortpack.LoadedRuntime, tmp_path: Path, version: str) -> None:
    options = ortpack.SessionOptions()
    options.optimized_model_filepath = tmp_path / "m.ort"
    options.graph_optimization_level = ortpack.GraphOptimizationLevel.ORT_DISABLE_ALL
    ortpack.InferenceSession(graphs.identity(), options, runtime=official.library("1.21.0"))
    data = bytearray((tmp_path / "m.ort").read_bytes())
    place = data.rindex(b"\x01\0\0\x006\0")  # the text "6"
    data[place + 4] = ord(version)
    with pytest.raises(errors.ModelFormatError, match=f"of version {version}, which the runtime 'mylib-ort'"):
        ortpack.InferenceSession(bytes(data), runtime=runtime)
