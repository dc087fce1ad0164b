"""Reading ORT-format models, made here slot by slot (in numbers of our own: ort_schema is under test too)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortpack_build.base.errors import ModelError
from ortpack_build.ops import Operator, Types, ort_model, usage
from ortpack_build.ops.usage import Use, Value
from support.flatbuffer import Number, Table, write

FLOAT, INT64 = 1, 7


def tensor(element: int) -> Table:
    return Table({1: Number(1, "<B"), 2: Table({0: Number(element)})})


def sequence(element: int) -> Table:
    return Table({1: Number(2, "<B"), 2: Table({0: tensor(element)})})


def value(name: str, kind: Table) -> Table:
    return Table({0: name, 2: kind})


def node(op: str, since: int, inputs: list[str], outputs: list[str], domain: str = "", *graphs: Table) -> Table:
    attributes = [Table({7: graph}) for graph in graphs[:1]] + [Table({12: list(graphs[1:])})]
    slots = {0: f"{op}_1", 2: domain, 3: Number(since), 5: op, 8: inputs, 9: outputs, 10: attributes}
    return Table(slots)


def graph(nodes: list[Table], values: list[Table] | None = None, **more: Table) -> Table:
    return Table({1: values or [], 2: nodes, **({8: more["optimizations"]} if more else {})})


def model(main: Table, version: str = "6") -> bytes:
    return write(Table({0: version, 1: Table({7: main})}), identifier=b"ORTM")


def read(main: Table) -> ort_model.OrtModel:
    return ort_model.read(model(main), where="m.ort")


def test_nodes_with_types_of_values() -> None:
    found = read(
        graph(
            [
                node("Cast", 13, ["x"], ["y"]),
                node("SplitToSequence", 11, ["y", ""], ["s"]),
                node("Foo", 1, [], [], "my"),
            ],
            [value("x", tensor(FLOAT)), value("y", tensor(INT64)), value("s", sequence(INT64))],
        )
    )
    assert found.version == "6"
    assert found.uses == (
        Use(
            operator=Operator("ai.onnx", "Cast"),
            opset=13,
            node="Cast_1",
            inputs=(Value(type="float"),),
            outputs=(Value(type="int64_t"),),
        ),
        Use(
            operator=Operator("ai.onnx", "SplitToSequence"),
            opset=11,
            node="SplitToSequence_1",
            inputs=(Value(type="int64_t"), None),
            outputs=(Value(type="int64_t"),),
        ),
        Use(operator=Operator("my", "Foo"), opset=1, node="Foo_1"),
    )
    assert usage.opset(found.uses).types_of(Operator("ai.onnx", "Cast")) == Types.of({0: ["float"]}, {0: ["int64_t"]})


def test_subgraphs_see_values_around_them() -> None:
    inner = graph([node("Abs", 13, ["x"], ["z"])])
    others = [graph([node("Relu", 14, ["x"], ["z"])]), graph([node("Neg", 13, ["w"], ["z"])])]
    found = read(graph([node("If", 16, ["c"], ["y"], "", inner, *others)], [value("x", tensor(FLOAT))]))
    assert [use.operator.name for use in found.uses] == ["If", "Abs", "Relu", "Neg"]
    assert [use.inputs for use in found.uses[1:]] == [(Value(type="float"),)] * 2 + [(Value(type=None),)]


def test_saved_optimizations_may_put_in_operators_of_any_type() -> None:
    record = Table({0: "action", 3: ["com.microsoft:QLinearConv:1", ":Add:14"]})
    saved = Table({0: [Table({0: "optimizer", 1: [record]})]})
    found = read(graph([node("Relu", 14, ["x"], ["y"])], optimizations=saved))
    assert {(use.operator, use.opset) for use in found.produced} == {
        (Operator("com.microsoft", "QLinearConv"), 1),
        (Operator("ai.onnx", "Add"), 14),
    }
    typed = Use(operator=Operator("ai.onnx", "Add"), opset=14, inputs=(Value(type="float"),))
    assert not usage.opset([typed, *found.produced]).types


@pytest.mark.parametrize("version", ["3", "7", ""])
def test_another_version(version: str) -> None:
    with pytest.raises(ModelError) as error:
        ort_model.read(model(graph([]), version), where="m.ort")
    assert f"version {version or '(none)'}; known are 4, 5, 6" in str(error.value)
    assert "ortpack-build convert" in error.value.hint


def test_not_of_the_format() -> None:
    with pytest.raises(ModelError, match=r"m\.onnx is no ORT-format model"):
        ort_model.read(b"\x08\x08\x12\x00", where="m.onnx")


def test_a_model_without_a_graph() -> None:
    data = write(Table({0: "6", 1: Table({0: Number(8, "<q")})}), identifier=b"ORTM")
    with pytest.raises(ModelError, match="without a graph"):
        ort_model.read(data, where="m.ort")


@pytest.mark.parametrize("bad", [node("", 13, [], []), node("Add", 0, [], [])])
def test_a_node_without_operator_or_version(bad: Table) -> None:
    with pytest.raises(ModelError, match="without operator or version"):
        read(graph([bad]))


@pytest.mark.parametrize("text", ["Add", "a:b", "a:Add:x", "a::1", ":Add:0"])
def test_an_optimization_that_produces_no_operator(text: str) -> None:
    saved = Table({0: [Table({1: [Table({3: [text]})]})]})
    with pytest.raises(ModelError, match="that produces"):
        read(graph([], optimizations=saved))


def test_graphs_that_share_each_other_end() -> None:
    """Forty graphs, each of which holds the next one twice, would be 2^40 graphs if all were walked."""
    inner = graph([node("Add", 14, [], [])])
    for _ in range(40):
        inner = graph([node("If", 16, [], [], "", graph([]), inner, inner)])
    with pytest.raises(ModelError, match="without an end"):
        read(inner)


def test_graphs_too_deep() -> None:
    inner = graph([])
    for _ in range(100):
        inner = graph([node("If", 16, [], [], "", inner)])
    with pytest.raises(ModelError, match="without an end"):
        read(inner)


GOOD = model(
    graph(
        [node("If", 16, ["c"], ["y"], "", graph([node("Abs", 13, ["x"], ["z"])]))],
        [value("x", tensor(FLOAT)), value("s", sequence(FLOAT))],
        optimizations=Table({0: [Table({1: [Table({3: ["a:Add:1"]})]})]}),
    )
)


def attempt(data: bytes) -> None:
    """Either a model comes of it or an error that says that it is damaged."""
    try:
        ort_model.read(data, where="m.ort")
    except ModelError as error:
        assert str(error).startswith("m.ort")  # noqa: PT017 - no error is right, too


def test_every_truncation() -> None:
    for size in range(len(GOOD)):
        attempt(GOOD[:size])


@given(st.integers(0, len(GOOD) - 4), st.binary(min_size=1, max_size=4))
def test_any_damage(at: int, junk: bytes) -> None:
    attempt(GOOD[:at] + junk + GOOD[at + len(junk) :])


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    attempt(data[:4] + b"ORTM" + data[4:])
