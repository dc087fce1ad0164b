"""Three programs read ORT-format models; their numbers agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ortpack_build.ops import ort_schema
from support.ort_schema import TABLES, slots

_SOURCES = Path(__file__).parents[3] / "src"


def test_the_binding_has_the_same_numbers() -> None:
    text = (_SOURCES / "binding" / "ort_schema.h").read_text()
    tables = re.findall(r"struct (\w+) \{\s*enum : \w+ \{([^}]*)\};", text)
    assert len(tables) == text.count("struct ")
    for table, fields in tables:
        for name, number in re.findall(r"k(\w+) = (\d+)", fields):
            known = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
            assert TABLES[table][known] == int(number), f"{table}::k{name}"


def test_the_loader_has_the_same_numbers() -> None:
    nodes = pytest.importorskip("ortpack._nodes")
    fbs = ort_schema
    assert fbs.InferenceSession.MODEL == nodes._SESSION_MODEL
    assert fbs.Model.GRAPH == nodes._MODEL_GRAPH
    assert fbs.Graph.NODES == nodes._GRAPH_NODES
    assert fbs.Node.DOMAIN == nodes._NODE_DOMAIN
    assert fbs.Node.SINCE_VERSION == nodes._NODE_SINCE
    assert fbs.Node.OP_TYPE == nodes._NODE_OPERATOR
    assert fbs.Node.ATTRIBUTES == nodes._NODE_ATTRIBUTES
    assert fbs.Attribute.G == nodes._ATTRIBUTE_GRAPH
    assert fbs.Attribute.GRAPHS == nodes._ATTRIBUTE_GRAPHS


def test_a_schema_is_read_with_unions_in_two_slots() -> None:
    text = """
    enum E : int8 { A = 0, B = 1, }  // a comment
    union U { one:T, two:S, }
    table T { first:string; kind:U; last:[int32] (deprecated); }
    """
    assert slots(text) == {
        "E": {"A": 0, "B": 1},
        "U": {"ONE": 1, "TWO": 2},
        "T": {"FIRST": 0, "KIND_TYPE": 1, "KIND": 2, "LAST": 3},
    }
