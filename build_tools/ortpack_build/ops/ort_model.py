"""ORT-format models: their nodes, as ONNX Runtime's flatbuffers schema (ort.fbs) lays them out."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ortpack_build.base.errors import ModelError
from ortpack_build.ops.flatbuffer import DamagedError, Table, root
from ortpack_build.ops.opset import ONNX, TYPE_NUMBERS, Operator
from ortpack_build.ops.usage import Use, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

IDENTIFIER = b"ORTM"  # bytes 4 to 8
VERSIONS = ("4", "5", "6")  # of the format, that ONNX Runtime since 1.11 reads; minimal builds read 5 and later

# Slots, by table.
_SESSION_VERSION, _SESSION_MODEL = 0, 1
_MODEL_GRAPH = 7
_GRAPH_VALUES, _GRAPH_NODES, _GRAPH_OPTIMIZATIONS = 1, 2, 8
_VALUE_NAME, _VALUE_TYPE = 0, 2
_TYPE_KIND, _TYPE_VALUE = 1, 2
_TENSOR_ELEMENT = _SEQUENCE_ELEMENT = 0
_NODE_NAME, _NODE_DOMAIN, _NODE_SINCE, _NODE_OPERATOR = 0, 2, 3, 5
_NODE_INPUTS, _NODE_OUTPUTS, _NODE_ATTRIBUTES = 8, 9, 10
_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 7, 12
_OPTIMIZATIONS_RECORDS, _OPTIMIZER_RECORDS, _RECORD_PRODUCED = 0, 1, 3

_TENSOR, _SEQUENCE = 1, 2  # kinds of types
_UNKNOWN = (Value(type=None),) * 8  # more than there are indices whose types count
_DEPTH = 64  # of graphs in graphs, and of sequences in sequences


@dataclass(frozen=True, kw_only=True)
class OrtModel:
    """What is read of a model.

    Attributes:
        version: of the format.
        uses: its nodes, those of subgraphs too.
        produced: operators that optimizations, which it carries for the runtime to apply, may put in.
    """

    version: str
    uses: tuple[Use, ...]
    produced: tuple[Use, ...]


def is_ort_model(head: bytes) -> bool:
    """Whether a file that starts with these bytes (eight or more) is of this format."""
    return head[4:8] == IDENTIFIER


def read(data: bytes, *, where: str) -> OrtModel:
    """A model from its bytes; `where` names it in messages.

    Raises:
        ModelError: damaged, or of a version of the format that is not known.
    """
    if not is_ort_model(data):
        raise ModelError(f"{where} is no ORT-format model.")
    try:
        session = root(data)
        version = session.text(_SESSION_VERSION)
        if version not in VERSIONS:
            raise ModelError(
                f"{where} is an ORT-format model of version {version or '(none)'}; known are {', '.join(VERSIONS)}.",
                hint="Make it anew from the .onnx model: ortpack-build convert.",
            )
        model = session.table(_SESSION_MODEL)
        graph = model.table(_MODEL_GRAPH) if model else None
        if graph is None:
            raise ModelError(f"{where} is an ORT-format model without a graph.")
        walk = _Walk(budget=len(data))
        walk.graph(graph, ChainMap(), 0)
    except DamagedError as error:
        raise ModelError(f"{where} is a damaged ORT-format model: it has {error}.") from error
    return OrtModel(version=version, uses=tuple(walk.uses), produced=tuple(walk.produced))


@dataclass(kw_only=True)
class _Walk:
    budget: int  # tables that may be visited; a damaged file can point to one of them from many places
    uses: list[Use] = field(default_factory=list)
    produced: list[Use] = field(default_factory=list)

    def visit(self, depth: int) -> None:
        self.budget -= 1
        if self.budget < 0 or depth > _DEPTH:
            raise DamagedError("graphs without an end")

    def graph(self, graph: Table, outer: ChainMap[str, Value], depth: int) -> None:
        self.visit(depth)
        values = outer.new_child()
        for info in graph.tables(_GRAPH_VALUES):
            self.visit(depth)
            values[info.text(_VALUE_NAME)] = Value(type=self.type(info.table(_VALUE_TYPE), 0))
        for node in graph.tables(_GRAPH_NODES):
            self.visit(depth)
            self.uses.append(_use(node, values))
            for attribute in node.tables(_NODE_ATTRIBUTES):
                self.visit(depth)
                inner = attribute.table(_ATTRIBUTE_GRAPH)
                for subgraph in (*([inner] if inner else []), *attribute.tables(_ATTRIBUTE_GRAPHS)):
                    self.graph(subgraph, values, depth + 1)
        optimizations = graph.table(_GRAPH_OPTIMIZATIONS)
        for optimizer in optimizations.tables(_OPTIMIZATIONS_RECORDS) if optimizations else ():
            for record in optimizer.tables(_OPTIMIZER_RECORDS):
                self.visit(depth)
                self.produced += [_produced(text) for text in record.texts(_RECORD_PRODUCED)]

    def type(self, info: Table | None, depth: int) -> str | None:
        """The element type of a tensor, or of the tensors in a sequence."""
        self.visit(depth)
        value = info.table(_TYPE_VALUE) if info else None
        if info is None or value is None:
            return None
        kind = info.integer(_TYPE_KIND, "<B")
        if kind == _TENSOR:
            return TYPE_NUMBERS.get(value.integer(_TENSOR_ELEMENT, "<i"))
        return self.type(value.table(_SEQUENCE_ELEMENT), depth + 1) if kind == _SEQUENCE else None


def _use(node: Table, values: Mapping[str, Value]) -> Use:
    def side(slot: int) -> tuple[Value | None, ...]:
        return tuple(values.get(name, Value(type=None)) if name else None for name in node.texts(slot))

    operator = Operator(node.text(_NODE_DOMAIN) or ONNX, node.text(_NODE_OPERATOR))
    opset = node.integer(_NODE_SINCE, "<i")
    if not operator.name or opset < 1:
        raise DamagedError("a node without operator or version")
    return Use(
        operator=operator,
        opset=opset,
        node=node.text(_NODE_NAME),
        inputs=side(_NODE_INPUTS),
        outputs=side(_NODE_OUTPUTS),
    )


def _produced(text: str) -> Use:
    """An operator that is written as `domain:operator:version`."""
    domain, _, rest = text.partition(":")
    name, _, version = rest.rpartition(":")
    if not name or not version.isdecimal() or int(version) < 1:
        raise DamagedError(f"an optimization that produces {text!r}")
    return Use(operator=Operator(domain or ONNX, name), opset=int(version), inputs=_UNKNOWN, outputs=_UNKNOWN)
