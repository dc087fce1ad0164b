"""ORT-format models that ONNX Runtime would not survive are refused before it sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ortpack
from ortpack import errors
from support.flatbuffer import Number, Table, write

if TYPE_CHECKING:
    from pathlib import Path

_VALUES = [Table({0: "x"}), Table({0: "y"})]


def _node(index: int, name: str = "Abs", **slots: object) -> Table:
    return Table(
        {2: slots.get("domain", ""), 4: Number(index), 5: name, 8: ["x"], 9: ["y"], 10: slots.get("attributes", [])}
    )


def _nested(depth: int) -> Table:
    graph = Table()
    for _ in range(depth):
        graph = Table({2: [_node(0, attributes=[Table({7: graph})])]})
    return graph


def _attribute(name: str, kind: int, slot: int, value: object) -> Table:
    return Table({0: name, 2: Number(kind), slot: value})


_TREES = [_attribute("nodes_modes", 8, 10, ["LEAF"]), _attribute("nodes_treeids", 7, 9, [])]
_GRAPHS = {
    "a value has no name": Table({1: [Table()]}),
    "an input or output of a graph is not among its values": Table({1: _VALUES, 5: ["z"]}),
    "a graph has room for 4294967295 nodes": Table({3: Number(-1)}),
    "two nodes have one number": Table({2: [_node(3), _node(3)]}),
    "graphs without an end": _nested(100),
    "an edge leads to a node that is not there": Table({2: [_node(3)], 4: [Table({0: Number(2)})]}),
    "a Scan has another number of inputs": Table(
        {2: [_node(0, "Scan", attributes=[_attribute("num_scan_inputs", 2, 4, Number(2, "<q"))])]}
    ),
    "lists of a tree ensemble differ in length": Table(
        {2: [_node(0, "TreeEnsembleRegressor", domain="ai.onnx.ml", attributes=_TREES)]}
    ),
}


@pytest.mark.parametrize("says", _GRAPHS)
def test_what_is_refused(newest: ortpack.LoadedRuntime, tmp_path: Path, says: str) -> None:
    """As bytes and as a file, whose name the message has."""
    data = write(Table({0: "6", 1: Table({7: _GRAPHS[says]})}), identifier=b"ORTM")
    with pytest.raises(errors.InvalidGraph, match=f"{len(data)} bytes.*{says}"):
        ortpack.InferenceSession(data, runtime=newest)
    file = tmp_path / "model.ort"
    file.write_bytes(data)
    with pytest.raises(errors.InvalidGraph, match=f"model.ort.*{says}"):
        ortpack.InferenceSession(file, runtime=newest)


@pytest.mark.parametrize("size", [8, 9, 16])
def test_what_is_cut_off(newest: ortpack.LoadedRuntime, size: int) -> None:
    data = write(Table({0: "6", 1: Table({7: Table({1: _VALUES})})}), identifier=b"ORTM")[:size]
    with pytest.raises(errors.OrtError):
        ortpack.InferenceSession(data, runtime=newest)
