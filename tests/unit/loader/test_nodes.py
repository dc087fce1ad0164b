"""The operators of a model file, read without a package: right of good files, and a ValueError of any other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import FunctionProto, TensorProto, helper, load_from_string

from ortpack._nodes import Operator, is_ort_format, operators
from support import graphs
from support.flatbuffer import Number, Table, write
from support.graphs import node, tensor


def _ort(nodes: list[Table]) -> bytes:
    """An ORT-format model with these nodes."""
    model = Table({7: Table({2: nodes})})
    return write(Table({0: "6", 1: model}), identifier=b"ORTM")


def _node(name: str, since: int, domain: str = "", *subgraphs: Table) -> Table:
    attributes = [Table({7: subgraph}) for subgraph in subgraphs[:1]]
    if subgraphs[1:]:
        attributes.append(Table({12: list(subgraphs[1:])}))
    return Table({2: domain, 3: Number(since), 5: name, 10: attributes})


ORT = _ort(
    [
        _node("Cos", 7),
        _node("If", 16, "", Table({2: [_node("FusedConv", 1, "com.microsoft")]}), Table({2: [_node("Sin", 7)]})),
        _node("Cos", 7, "ai.onnx"),
    ]
)


def _onnx() -> bytes:
    inner = helper.make_graph([node("Sin", ["x"], ["z"])], "g", [], [tensor("z")])
    return graphs.model(
        [
            node("If", ["c"], ["a"], then_branch=inner, else_branch=inner),
            node("Gelu", ["a"], ["b"], domain="com.microsoft"),
            node("Mine", ["b"], ["y"], domain="local"),
        ],
        [tensor("c", TensorProto.BOOL, ()), tensor("x")],
        [tensor("y")],
        opset=19,
        domains={"com.microsoft": 1, "local": 1},
        functions=[_function()],
    )


def _function() -> FunctionProto:
    return helper.make_function(
        "local", "Mine", ["x"], ["y"], [node("Abs", ["x"], ["y"])], [helper.make_opsetid("", 18)]
    )


ONNX = _onnx()


def test_an_ort_format_model() -> None:
    assert is_ort_format(ORT)
    assert set(operators(ORT)) == {
        Operator("", "Cos", 7),
        Operator("", "If", 16),
        Operator("com.microsoft", "FusedConv", 1),
        Operator("", "Sin", 7),
    }


def test_an_onnx_model() -> None:
    """A model's own functions are no operators, what they are made of is."""
    load_from_string(ONNX)
    assert not is_ort_format(ONNX)
    assert set(operators(ONNX)) == {
        Operator("", "If", 19),
        Operator("", "Sin", 19),
        Operator("com.microsoft", "Gelu", 1),
        Operator("", "Abs", 18),
    }


def test_how_an_operator_is_named() -> None:
    assert str(Operator("", "Cos", 7)) == "ai.onnx:Cos of opset 7"
    assert str(Operator("x.y", "Cos", 7)) == "x.y:Cos of opset 7"


@pytest.mark.parametrize("data", [b"", b"x", b"\x01" * 100, b"    ORTM", b"\0" * 64, b"<html></html>"])
def test_what_is_no_model(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any
        operators(data)


def test_graphs_without_an_end() -> None:
    graph = Table()
    for _ in range(100):
        graph = Table({2: [_node("If", 16, "", graph)]})
    with pytest.raises(ValueError, match="without an end"):
        operators(write(Table({0: "6", 1: Table({7: graph})}), identifier=b"ORTM"))


@given(
    original=st.sampled_from([ORT, ONNX]),
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=8),
    end=st.integers(0, 1 << 16),
)
def test_damage_is_an_error_of_ours_or_unseen(original: bytes, changes: list[tuple[int, int]], end: int) -> None:
    data = bytearray(original)
    for place, value in changes:
        data[place % len(data)] = value
    try:
        found = operators(bytes(data[: end % (2 * len(data)) + 1]))
    except ValueError:
        return
    assert all(isinstance(operator, Operator) for operator in found)
