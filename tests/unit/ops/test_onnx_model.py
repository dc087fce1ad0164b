"""Reading ONNX models: subgraphs, functions, domains, types; and what is no model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ortpack_build.base import process
from ortpack_build.base.errors import ModelError, ToolError
from ortpack_build.ops import Need, Operator, Types, models, onnx_model

onnx = pytest.importorskip("onnx")
helper, FLOAT, INT64, BOOL = onnx.helper, 1, 7, 9

if TYPE_CHECKING:
    from pathlib import Path


def info(name: str, kind: int = FLOAT, shape: list[Any] | None = None) -> Any:
    return helper.make_tensor_value_info(name, kind, shape if shape is not None else [2])


def save(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], **more: Any) -> Path:
    graph = helper.make_graph(nodes, "g", inputs, outputs, more.pop("initializer", []))
    imports = [helper.make_opsetid(*item) for item in more.pop("imports", [("", 17)])]
    path.write_bytes(helper.make_model(graph, opset_imports=imports, ir_version=8, **more).SerializeToString())
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "m.onnx"


def test_operators_since_their_last_change_with_types(file: Path) -> None:
    nodes = [
        helper.make_node("Constant", [], ["c"], value_float=1.0),
        helper.make_node("Add", ["x", "c"], ["s"]),
        helper.make_node("Cast", ["s"], ["y"], to=INT64),
    ]
    ops = models.read(save(file, nodes, [info("x")], [info("y", INT64)])).ops
    assert ops.needs == {Need("ai.onnx", 14, "Add"), Need("ai.onnx", 13, "Cast")}
    assert ops.types_of(Operator("ai.onnx", "Add")) == Types.of({0: ["float"]})
    assert ops.types_of(Operator("ai.onnx", "Cast")) == Types.of({0: ["float"]}, {0: ["int64_t"]})


def test_optional_inputs_and_combinations(file: Path) -> None:
    nodes = [
        helper.make_node("Clip", ["x", "", "m"], ["y"]),
        helper.make_node("OneHot", ["i", "d", "v"], ["h"]),
    ]
    inputs = [info("x"), info("m", shape=[]), info("i", INT64), info("d", INT64, []), info("v")]
    ops = models.read(save(file, nodes, inputs, [info("y"), info("h", shape=[2, None])])).ops
    assert ops.types_of(Operator("ai.onnx", "OneHot")) == Types.of(custom=[("int64_t", "float", "int64_t")])


def test_an_unknown_type_leaves_the_operator_open(file: Path) -> None:
    """Nothing can be inferred behind an operator that nobody knows."""
    nodes = [helper.make_node("Foo", ["x"], ["f"], domain="my"), helper.make_node("Relu", ["f"], ["y"])]
    ops = models.read(save(file, nodes, [info("x")], [info("y")], imports=[("", 17), ("my", 3)])).ops
    assert ops.needs == {Need("my", 3, "Foo"), Need("ai.onnx", 14, "Relu")}
    assert not ops.types


def branch(op: str, name: str) -> Any:
    return helper.make_graph([helper.make_node(op, ["x"], [name])], name, [], [info(name)])


def test_if_loop_and_scan(file: Path) -> None:
    body = helper.make_graph(
        [helper.make_node("Exp", ["v"], ["w"]), helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [info("n", INT64, []), info("go", BOOL, []), info("v")],
        [info("on", BOOL, []), info("w")],
    )
    scanned = helper.make_graph([helper.make_node("Sin", ["e"], ["f"])], "scanned", [info("e", shape=[])], [info("f")])
    inner = helper.make_graph(
        [helper.make_node("If", ["b"], ["z"], then_branch=branch("Abs", "p"), else_branch=branch("Neg", "q"))],
        "inner",
        [],
        [info("z")],
    )
    nodes = [
        helper.make_node("If", ["b"], ["y"], then_branch=inner, else_branch=branch("Relu", "r")),
        helper.make_node("Loop", ["k", "b", "x"], ["l"], body=body),
        helper.make_node("Scan", ["x"], ["s"], body=scanned, num_scan_inputs=1),
    ]
    inputs = [info("x"), info("b", BOOL, []), info("k", INT64, [])]
    ops = models.read(save(file, nodes, inputs, [info("y"), info("l"), info("s")])).ops
    names = {"If", "Loop", "Scan", "Abs", "Neg", "Relu", "Exp", "Identity", "Sin"}
    assert {need.name for need in ops.needs} == names
    for name in ("Abs", "Neg", "Relu", "Exp", "Sin"):  # types of values from outside, and of the graphs' own inputs
        assert ops.types_of(Operator("ai.onnx", name)) == Types.of({0: ["float"]}), name


def function(name: str, nodes: list[Any], imports: list[tuple[str, int]]) -> Any:
    return helper.make_function("fun", name, ["a"], ["b"], nodes, [helper.make_opsetid(*item) for item in imports])


def test_functions_are_what_they_call(file: Path) -> None:
    inner = function("Inner", [helper.make_node("Exp", ["a"], ["b"])], [("", 17)])
    outer = function("Outer", [helper.make_node("Inner", ["a"], ["b"], domain="fun")], [("", 17), ("fun", 1)])
    nodes = [helper.make_node("Outer", ["x"], ["y"], domain="fun")]
    more = {"imports": [("", 17), ("fun", 1)], "functions": [inner, outer]}
    ops = models.read(save(file, nodes, [info("x")], [info("y")], **more)).ops
    assert ops.needs == {Need("ai.onnx", 13, "Exp")}
    assert ops.types_of(Operator("ai.onnx", "Exp")) == Types.of({0: ["float"]})


def test_a_function_with_an_opset_of_its_own(file: Path) -> None:
    old = function("Old", [helper.make_node("Relu", ["a"], ["b"])], [("", 9)])
    nodes = [helper.make_node("Old", ["x"], ["y"], domain="fun")]
    more = {"imports": [("", 17), ("fun", 1)], "functions": [old]}
    ops = models.read(save(file, nodes, [info("x")], [info("y")], **more)).ops
    assert {need.name for need in ops.needs} == {"Relu"}
    assert ops.opsets_of(Operator("ai.onnx", "Relu")) <= {6, 14}


def test_functions_that_call_each_other_end(file: Path) -> None:
    nodes = [helper.make_node("B", ["a"], ["b"], domain="fun")]
    a = function("A", nodes, [("fun", 1)])
    b = function("B", [helper.make_node("A", ["a"], ["b"], domain="fun")], [("fun", 1)])
    more = {"imports": [("", 17), ("fun", 1)], "functions": [a, b]}
    start = [helper.make_node("A", ["x"], ["y"], domain="fun")]
    assert not models.read(save(file, start, [info("x")], [info("y")], **more)).ops


def test_every_domain(file: Path) -> None:
    nodes = [
        helper.make_node("Scaler", ["x"], ["s"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0]),
        helper.make_node("Gelu", ["s"], ["y"], domain="com.microsoft"),
    ]
    imports = [("", 17), ("ai.onnx.ml", 3), ("com.microsoft", 1)]
    ops = models.read(save(file, nodes, [info("x")], [info("y")], imports=imports)).ops
    assert ops.needs == {Need("ai.onnx.ml", 1, "Scaler"), Need("com.microsoft", 1, "Gelu")}


def test_tensors_in_other_files_are_not_needed(file: Path) -> None:
    weight = helper.make_tensor("w", FLOAT, [2], [1.0, 2.0])
    del weight.float_data[:]
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="gone.bin")
    save(file, [helper.make_node("Mul", ["w", "x"], ["y"])], [info("x")], [info("y")], initializer=[weight])
    assert models.read(file).ops.types_of(Operator("ai.onnx", "Mul")) == Types.of({0: ["float"]})


def relu(path: Path, **more: Any) -> Path:
    return save(path, [helper.make_node("Relu", ["x"], ["y"])], [info("x")], [info("y")], **more)


def test_a_newer_ir_or_opset(file: Path) -> None:
    model = onnx.load(relu(file))
    model.ir_version = 99
    file.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"is of IR version 99; the newest that onnx .* knows is \d+") as error:
        models.read(file)
    assert "upgrade onnx" in error.value.hint
    with pytest.raises(ModelError, match=r"is of opset 99; the newest"):
        models.read(relu(file, imports=[("", 99)]))


def test_an_operator_of_a_domain_that_is_not_imported(file: Path) -> None:
    nodes = [helper.make_node("Foo", ["x"], ["y"], name="f", domain="my")]
    with pytest.raises(ModelError, match="the node f is of my:Foo, but the model imports no opset of my"):
        models.read(save(file, nodes, [info("x")], [info("y")]))


def test_files_that_are_no_model(file: Path, tmp_path: Path) -> None:
    for path, problem in ((tmp_path, "can't be read"), (tmp_path / "gone.onnx", "can't be read: No such file")):
        with pytest.raises(ModelError, match=problem):
            models.read(path)
    file.write_bytes(b"")
    with pytest.raises(ModelError, match="is empty"):
        models.read(file)
    file.write_bytes(onnx.ModelProto(ir_version=8, producer_name="nobody").SerializeToString())
    with pytest.raises(ModelError, match="no graph, no IR version or no opset"):
        models.read(file)
    file.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelError, match="is no ONNX model"):
        models.read(file)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_damage(file: Path, data: st.DataObject) -> None:
    good = relu(file).read_bytes()
    at = data.draw(st.integers(0, len(good)))
    bad = good[:at] + data.draw(st.binary(max_size=3)) + good[at + data.draw(st.integers(0, 9)) :]
    file.write_bytes(bad)
    try:
        models.read(file)
    except ModelError as error:
        assert str(file) in str(error)  # noqa: PT017 - no error is right, too


def test_a_name_that_is_not_utf_8(file: Path) -> None:
    file.write_bytes(relu(file).read_bytes().replace(b"Relu", b"R\x80lu"))
    with pytest.raises(ModelError, match="not UTF-8"):
        models.read(file)


def test_without_the_onnx_package(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relu(file)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ToolError) as error:
        models.read(file)
    assert "ortpack-build[models]" in error.value.hint


def test_a_model_that_brings_down_the_inference_of_types_is_read_without_them(file: Path) -> None:
    node = helper.make_node(
        "LabelEncoder", ["nobody"], ["y"], domain="ai.onnx.ml", keys_strings=["a"], values_int64s=[1]
    )
    save(file, [node], [info("x")], [info("y", INT64)], imports=[("", 17), ("ai.onnx.ml", 3)])  # onnx 1.23.2 crashes
    assert models.read(file).ops.needs == {Need("ai.onnx.ml", 2, "LabelEncoder")}


def test_inference_that_dies_or_hangs_leaves_types_open(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(file, [helper.make_node("Exp", ["x"], ["e"]), helper.make_node("Neg", ["e"], ["y"])], [info("x")], [info("y")])
    neg = Operator("ai.onnx", "Neg")
    assert models.read(file).ops.types_of(neg) == Types.of({0: ["float"]})
    assert models.read(file, types=False).ops.types_of(neg) == Types.of()
    dying = tmp_path / "dying.py"
    monkeypatch.setattr(onnx_model, "_WORKER", dying)
    monkeypatch.setattr(process, "WORKER_TIMEOUT", 1)
    for code in ("import os; os.abort()", "import time; time.sleep(60)", "raise SystemExit(1)"):
        dying.write_text(code)
        ops = models.read(file).ops
        assert {need.name for need in ops.needs} == {"Exp", "Neg"}
        assert ops.types_of(neg) == Types.of()
