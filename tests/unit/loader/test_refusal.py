"""What a reduced runtime's error says, from runtime.json and the model alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ortpack import errors
from ortpack._refusal import explained
from support import graphs
from support.flatbuffer import Number, Table, write
from support.graphs import node, tensor

if TYPE_CHECKING:
    from pathlib import Path

_SAID: dict[str, Any] = {
    "name": "mylib-ort",
    "target": "linux-aarch64",
    "ort_version": "1.21.0",
    "linkage": "shared",
    "model_formats": ["ort"],
    "provenance": {"kit": {"flavour": "ort"}},
    "minimal": {
        "distribution": "mylib_ort",
        "kernels": ["ai.onnx;7-12;Cos", "ai.onnx;13;Abs<float>", "com.microsoft;1;Gelu"],
        "models": [{"name": "a b.onnx"}],
    },
}
_THEIRS = "Could not find an implementation for Cos(13) node with name 'n'"


@dataclass
class _Runtime:
    path: Path


def _explain(error: errors.OrtError, folder: Path, model: str | bytes, **changes: object) -> errors.OrtError:
    (folder / "runtime.json").write_text(json.dumps(_SAID | changes), encoding="utf-8")
    return explained(error, _Runtime(folder), model)  # type: ignore[arg-type]


def _ort(*used: tuple[str, int, str]) -> bytes:
    nodes = [Table({2: domain, 3: Number(since), 5: name}) for name, since, domain in used]
    return write(Table({0: "6", 1: Table({7: Table({2: nodes})})}), identifier=b"ORTM")


def _onnx(*names: str) -> bytes:
    nodes = [node(name, ["x"], [f"y{index}"]) for index, name in enumerate(names)]
    return graphs.model(nodes, [tensor("x")], [tensor("y0")])


def test_missing_operators_are_all_named_with_the_command(tmp_path: Path) -> None:
    file = tmp_path / "new model.ort"
    file.write_bytes(_ort(("Cos", 13, ""), ("Abs", 13, ""), ("Gelu", 1, "com.microsoft"), ("Elu", 6, "")))
    refused = errors.NotImplemented(f"could not load the model ('x.ort'): {_THEIRS}")
    found = _explain(refused, tmp_path, str(file))
    assert type(found) is errors.MissingOperator
    assert isinstance(found, errors.NotImplemented)
    assert found.operators == (("", "Cos", 13), ("", "Elu", 6))
    assert f"could not load the model ({str(file)!r})" in str(found)
    assert "'mylib-ort' was built without ai.onnx:Cos of opset 13, ai.onnx:Elu of opset 6. " in str(found)
    command = (
        "ortpack-build minimal --name mylib_ort --ort 1.21.0 --target linux-aarch64 --flavour ort "
        f"--model '{file}' --model 'a b.onnx'"
    )
    assert command in str(found)
    assert f"(ONNX Runtime: {_THEIRS})" in str(found)


def test_onnx_models_too(tmp_path: Path) -> None:
    found = _explain(errors.NotImplemented(_THEIRS), tmp_path, _onnx("Abs", "Sin"), model_formats=["onnx", "ort"])
    assert isinstance(found, errors.MissingOperator)
    assert found.operators == (("", "Sin", 20),)
    assert "--model MODEL " in str(found)


def test_a_missing_type(tmp_path: Path) -> None:
    found = _explain(errors.NotImplemented(_THEIRS), tmp_path, _ort(("Abs", 13, "")))
    assert isinstance(found, errors.MissingOperator)
    assert found.operators == ()
    assert "was built without Cos for the types that the model uses" in str(found)


def test_an_operator_of_the_users_own_needs_its_library(tmp_path: Path) -> None:
    found = _explain(errors.NotImplemented(_THEIRS), tmp_path, _ort(("Mine", 1, "my.domain"), ("Cos", 13, "")))
    assert "Operators of my.domain are not ONNX Runtime's own" in str(found)
    assert "register_custom_ops_library" in str(found)


def test_an_embedded_runtime_names_its_package(tmp_path: Path) -> None:
    found = _explain(
        errors.NotImplemented(_THEIRS), tmp_path, _ort(("Cos", 13, "")), name="mylib._ort", linkage="static"
    )
    assert "--linkage static --embed mylib._ort" in str(found)


def test_an_onnx_model_for_a_runtime_of_the_other_format(tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(_onnx("Abs"))
    refused = errors.InvalidArgument("ONNX format model is not supported in this build.")
    found = _explain(refused, tmp_path, str(file))
    assert isinstance(found, errors.ModelFormatError)
    assert f"ortpack-build convert {file} --ort 1.21.0 --target linux-aarch64 --out DIR" in str(found)
    found = _explain(refused, tmp_path, b"no model", minimal=None)
    assert "it is neither an ORT-format nor an ONNX model" in str(found)
    assert "convert" not in str(found)


@pytest.mark.parametrize("version", ["3", "9"])
def test_an_ort_format_model_of_another_version(tmp_path: Path, version: str) -> None:
    refused = errors.Fail(f"x.cc:1 The ORT format model version [{version}] is not supported in this build 1.21.0.")
    found = _explain(refused, tmp_path, _ort(("Abs", 13, "")))
    assert isinstance(found, errors.ModelFormatError)
    assert f"an ORT-format model of version {version}, which" in str(found)
    assert "anew: ortpack-build convert MODEL.onnx --ort 1.21.0" in str(found)


@pytest.mark.parametrize("text", ["no kernel of that kind", "protobuf parsing failed"])
def test_other_errors_stay(tmp_path: Path, text: str) -> None:
    refused = errors.NotImplemented(text)
    assert _explain(refused, tmp_path, _ort(("Cos", 13, ""))) is refused
    assert _explain(errors.NotImplemented(_THEIRS), tmp_path, _ort(("Cos", 13, "")), minimal=None).args == (_THEIRS,)


@pytest.mark.parametrize("damage", ["no file", "{", "\xff"])
def test_without_a_runtime_json_nothing_is_said(tmp_path: Path, damage: str) -> None:
    if damage != "no file":
        (tmp_path / "runtime.json").write_bytes(damage.encode("latin-1"))
    refused = errors.NotImplemented(_THEIRS)
    assert explained(refused, _Runtime(tmp_path), _ort(("Cos", 13, ""))) is refused  # type: ignore[arg-type]


def test_a_damaged_model_is_no_second_error(tmp_path: Path) -> None:
    data = _ort(("Cos", 13, ""))
    found = _explain(errors.NotImplemented(_THEIRS), tmp_path, data[:20])
    assert isinstance(found, errors.MissingOperator)
