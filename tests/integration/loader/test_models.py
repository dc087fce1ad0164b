"""Models that can't be loaded, and what a session says of one that can."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

import ortpack
from ortpack import errors
from support import graphs, models
from support.graphs import f32
from support.official import NEWEST

if TYPE_CHECKING:
    from collections.abc import Callable

    Opener = Callable[..., ortpack.InferenceSession]

GOOD = graphs.identity()


def _bad(name: str, folder: Path) -> Path:
    file = folder / f"{name}.onnx"
    if name == "directory":
        file.mkdir()
    elif name != "missing":
        data = {
            "empty": b"",
            "random": np.random.default_rng(0).bytes(4096),
            "truncated": GOOD[: len(GOOD) // 2],
            "future_opset": graphs.identity(opset=999),
            "future_ir": graphs.model(
                [graphs.node("Identity", ["x"], ["y"])], [graphs.tensor("x")], [graphs.tensor("y")], ir_version=999
            ),
            "unknown_op": graphs.model([graphs.node("Nope", ["x"], ["y"])], [graphs.tensor("x")], [graphs.tensor("y")]),
            "no_kernel": graphs.model(
                [graphs.node("Det", ["x"], ["y"])],
                [graphs.tensor("x", TensorProto.DOUBLE, (2, 2))],
                [graphs.tensor("y", TensorProto.DOUBLE, ())],
            ),
            "text": b"<!doctype html><html><body>404: Not Found</body></html>",
        }[name]
        file.write_bytes(data)
    return file


@pytest.mark.skipif(onnxruntime.__version__ != NEWEST, reason="compares with the official package of that release")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing", "there is no model at"),
        ("directory", "is a directory, not a model"),
        ("empty", "graph"),
        ("random", "could not load"),
        ("text", "could not load"),
        ("truncated", "could not load"),
        ("future_opset", "999"),
        ("future_ir", "999"),
        ("unknown_op", "Nope"),
        ("no_kernel", "Det"),
    ],
)
def test_models_that_can_not_be_loaded(newest: ortpack.LoadedRuntime, tmp_path: Path, name: str, says: str) -> None:
    """The class has the name that the official package of the same release raises."""
    file = _bad(name, tmp_path)
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    expected = getattr(errors, type(theirs.value).__name__)
    with pytest.raises(expected, match=says) as caught:
        ortpack.InferenceSession(file, runtime=newest)
    assert str(file) in str(caught.value)
    if name not in ("missing", "directory"):
        with pytest.raises(expected, match=f"{file.stat().st_size} bytes"):
            ortpack.InferenceSession(file.read_bytes(), runtime=newest)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("missing", errors.NoSuchFile),
        ("directory", errors.InvalidProtobuf),
        ("empty", errors.Fail),
        ("random", errors.InvalidProtobuf),
        ("truncated", errors.InvalidProtobuf),
        ("future_opset", errors.Fail),
        ("no_kernel", errors.NotImplemented),
    ],
)
def test_the_same_in_an_older_release(older: ortpack.LoadedRuntime, tmp_path: Path, name: str, kind: Any) -> None:
    file = _bad(name, tmp_path)
    with pytest.raises(kind) as caught:
        ortpack.InferenceSession(file, runtime=older)
    assert str(file) in str(caught.value)


def test_missing_files_are_also_file_not_found(session: Opener) -> None:
    with pytest.raises(FileNotFoundError):
        session("nowhere.onnx")


@pytest.mark.parametrize("path", ["a\0b.onnx", "x" * 5000], ids=["nul", "long"])
def test_paths_that_are_none(session: Opener, path: str) -> None:
    with pytest.raises(errors.NoSuchFile):
        session(path)


@pytest.mark.parametrize("model", [1, None, ["x"], 2.5], ids=str)
def test_models_of_another_kind(session: Opener, model: Any) -> None:
    with pytest.raises(TypeError, match="as a path or as bytes"):
        session(model)


@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview])
def test_bytes_of_every_kind(session: Opener, convert: Any) -> None:
    (result,) = session(convert(GOOD)).run(None, {"x": f32(1)})
    assert result == 1


@pytest.mark.parametrize("name", ["model.onnx", "größer 日本.onnx", "with space.onnx"])
def test_paths_of_every_kind(session: Opener, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(GOOD)
    for path in (file, str(file), os.path.relpath(file)):
        assert session(path).run(None, {"x": f32(1)})[0] == 1


@pytest.mark.skipif(os.name == "nt", reason="names of files are Unicode there")
def test_a_path_that_is_no_unicode(session: Opener, tmp_path: Path) -> None:
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.onnx"))
    file.write_bytes(GOOD)
    assert session(file).run(None, {"x": f32(1)})[0] == 1


@pytest.mark.skipif(os.name == "nt", reason="names of files are Unicode there")
def test_a_library_at_a_path_that_is_no_unicode(newest: ortpack.LoadedRuntime, tmp_path: Path) -> None:
    link = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.so"))
    link.symlink_to(newest.info.library)
    assert ortpack._binding.Library(str(link)) is newest.library  # the same file is the same library
    with pytest.raises(errors.RuntimeLoadError, match="cannot open"):
        ortpack._binding.Library(str(link.with_name("\udcff")))


def test_external_data_beside_the_model(session: Opener, tmp_path: Path) -> None:
    import onnx

    data = graphs.model(
        [graphs.node("Add", ["x", "w"], ["y"])],
        [graphs.tensor("x", shape=(4,))],
        [graphs.tensor("y", shape=(4,))],
        initializers=[numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")],
    )
    file = tmp_path / "model.onnx"
    onnx.save(onnx.load_from_string(data), file, save_as_external_data=True, location="weights.bin", size_threshold=0)
    np.testing.assert_array_equal(session(file).run(None, {"x": np.ones(4, np.float32)})[0], [1, 2, 3, 4])


def test_ort_format(session: Opener, tmp_path: Path) -> None:
    options = ortpack.SessionOptions()
    options.optimized_model_filepath = tmp_path / "model.ort"
    session(GOOD, options)
    data = (tmp_path / "model.ort").read_bytes()
    assert session(tmp_path / "model.ort").run(None, {"x": f32(2)})[0] == 2
    in_place = ortpack.SessionOptions()
    in_place.add_session_config_entry("session.use_ort_model_bytes_directly", "1")
    in_place.add_session_config_entry("session.use_ort_model_bytes_for_initializers", "1")
    opened = session(bytes(bytearray(data)), in_place)  # nobody but the session holds these bytes
    assert opened.run(None, {"x": f32(2)})[0] == 2
    # A file's bytes are let go of: weights are copied, whatever the options say.
    weights = tmp_path / "weights.ort"
    options.optimized_model_filepath = weights
    size = 1 << 18
    large = graphs.model(
        [graphs.node("Add", ["x", "w"], ["y"])],
        [graphs.tensor("x", TensorProto.FLOAT, (size,))],
        [graphs.tensor("y", TensorProto.FLOAT, (size,))],
        initializers=[numpy_helper.from_array(np.arange(size, dtype=np.float32), "w")],
    )
    session(large, options)
    opened = session(weights, in_place)
    weights.unlink()
    np.testing.assert_array_equal(opened.run(None, {"x": np.ones(size, np.float32)})[0], np.arange(1, size + 1))


# --- what a session says -----------------------------------------------------------------------------------------


def test_shapes_and_names(session: Opener) -> None:
    data = graphs.model(
        [graphs.node("Identity", ["größe/0"], ["y"])],
        [graphs.tensor("größe/0", TensorProto.INT64, ("batch", 3, None, "x + 1"))],
        [graphs.tensor("y", TensorProto.INT64, ("batch", 3, None, "x + 1"))],
    )
    (ours,) = session(data).get_inputs()
    (theirs,) = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).get_inputs()
    assert (ours.name, ours.type, ours.shape) == (theirs.name, theirs.type, theirs.shape)
    assert repr(ours) == "NodeArg(name='größe/0', type='tensor(int64)', shape=['batch', 3, None, 'x + 1'])"
    (result,) = session(data).run(None, {"größe/0": np.ones((2, 3, 1, 5), np.int64)})
    assert result.shape == (2, 3, 1, 5)


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_real_models(session: Opener, name: str) -> None:
    file = models.model(name)
    ours = session(file)
    theirs = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for method in ("get_inputs", "get_outputs", "get_overridable_initializers"):
        mine = [(arg.name, arg.type, arg.shape) for arg in getattr(ours, method)()]
        assert mine == [(arg.name, arg.type, arg.shape) for arg in getattr(theirs, method)()]
    feeds = models.feeds(name)
    for mine, their in zip(ours.run(None, feeds), theirs.run(None, feeds), strict=True):
        np.testing.assert_allclose(mine, their, rtol=1e-3, atol=1e-4)


def test_metadata(session: Opener) -> None:
    data = graphs.model(
        [graphs.node("Identity", ["x"], ["y"])],
        [graphs.tensor("x")],
        [graphs.tensor("y")],
        metadata={"key": "value", "größe": "5 €", "empty": ""},
        producer_name="ortpack's tests",
        domain="example",
        doc_string="what it does",
        model_version=7,
    )
    ours = session(data).get_modelmeta()
    theirs = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).get_modelmeta()
    for field in ("producer_name", "graph_name", "domain", "description", "graph_description", "version"):
        assert getattr(ours, field) == getattr(theirs, field), field
    assert ours.custom_metadata_map == theirs.custom_metadata_map == {"key": "value", "größe": "5 €", "empty": ""}


def test_bare_metadata(session: Opener) -> None:
    ours = session(GOOD).get_modelmeta()
    theirs = onnxruntime.InferenceSession(GOOD, providers=["CPUExecutionProvider"]).get_modelmeta()
    assert (ours.version, ours.domain, ours.custom_metadata_map) == (theirs.version, theirs.domain, {})
