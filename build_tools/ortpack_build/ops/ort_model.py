"""ORT-format models: their nodes, as ONNX Runtime's flatbuffers schema (ort.fbs) lays them out."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ortpack_build.base.errors import ModelError
from ortpack_build.ops import ort_schema as fbs
from ortpack_build.ops.flatbuffer import DamagedError, Table, root
from ortpack_build.ops.opset import ONNX, TYPE_NUMBERS, Operator
from ortpack_build.ops.usage import Use, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

IDENTIFIER = b"ORTM"  # bytes 4 to 8
# Version of the format → the releases that write it (onnxruntime/core/flatbuffers/ort_format_version.h). Newer releases
# read what older ones wrote, never the other way round; but only full builds read 4, which names kernels by hashes.
VERSIONS = {"4": "1.8 to 1.12", "5": "1.13 to 1.15", "6": "1.16 or newer"}
NEWEST = list(VERSIONS)[-1]
MINIMAL = tuple(VERSIONS)[1:]  # those that minimal builds read

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


def version_of(data: bytes) -> str | None:
    """The version of the format that a model states; None if it states none that is known, which `read` will say."""
    try:
        version = root(data).text(fbs.InferenceSession.ORT_VERSION) if is_ort_model(data) else ""
    except DamagedError:
        return None
    return version if version in VERSIONS else None


def read(data: bytes, *, where: str) -> OrtModel:
    """A model from its bytes; `where` names it in messages.

    Raises:
        ModelError: damaged, or of a version of the format that is not known.
    """
    if not is_ort_model(data):
        raise ModelError(f"{where} is no ORT-format model.")
    try:
        session = root(data)
        version = session.text(fbs.InferenceSession.ORT_VERSION)
        if version not in VERSIONS:
            raise ModelError(
                f"{where} is an ORT-format model of version {version or '(none)'}; known are {', '.join(VERSIONS)}.",
                hint="Make it anew from the .onnx model: ortpack-build convert.",
            )
        model = session.table(fbs.InferenceSession.MODEL)
        graph = model.table(fbs.Model.GRAPH) if model else None
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
        for info in graph.tables(fbs.Graph.NODE_ARGS):
            self.visit(depth)
            values[info.text(fbs.ValueInfo.NAME)] = Value(type=self.type(info.table(fbs.ValueInfo.TYPE), 0))
        for node in graph.tables(fbs.Graph.NODES):
            self.visit(depth)
            self.uses.append(_use(node, values))
            for attribute in node.tables(fbs.Node.ATTRIBUTES):
                self.visit(depth)
                inner = attribute.table(fbs.Attribute.G)
                for subgraph in (*([inner] if inner else []), *attribute.tables(fbs.Attribute.GRAPHS)):
                    self.graph(subgraph, values, depth + 1)
        optimizations = graph.table(fbs.Graph.RUNTIME_OPTIMIZATIONS)
        for optimizer in optimizations.tables(fbs.RuntimeOptimizations.RECORDS) if optimizations else ():
            for record in optimizer.tables(fbs.RuntimeOptimizationRecordContainerEntry.RUNTIME_OPTIMIZATION_RECORDS):
                self.visit(depth)
                produced = record.texts(fbs.RuntimeOptimizationRecord.PRODUCED_OP_IDS)
                self.produced += [_produced(text) for text in produced]

    def type(self, info: Table | None, depth: int) -> str | None:
        """The element type of a tensor, or of the tensors in a sequence."""
        self.visit(depth)
        value = info.table(fbs.TypeInfo.VALUE) if info else None
        if info is None or value is None:
            return None
        kind = info.integer(fbs.TypeInfo.VALUE_TYPE, "<B")
        if kind == fbs.TypeInfoValue.TENSOR_TYPE:
            return TYPE_NUMBERS.get(value.integer(fbs.TensorTypeAndShape.ELEM_TYPE, "<i"))
        if kind == fbs.TypeInfoValue.SEQUENCE_TYPE:
            return self.type(value.table(fbs.SequenceType.ELEM_TYPE), depth + 1)
        return None


def _use(node: Table, values: Mapping[str, Value]) -> Use:
    def side(slot: int) -> tuple[Value | None, ...]:
        return tuple(values.get(name, Value(type=None)) if name else None for name in node.texts(slot))

    operator = Operator(node.text(fbs.Node.DOMAIN) or ONNX, node.text(fbs.Node.OP_TYPE))
    opset = node.integer(fbs.Node.SINCE_VERSION, "<i")
    if not operator.name or opset < 1:
        raise DamagedError("a node without operator or version")
    return Use(
        operator=operator,
        opset=opset,
        node=node.text(fbs.Node.NAME),
        inputs=side(fbs.Node.INPUTS),
        outputs=side(fbs.Node.OUTPUTS),
    )


def _produced(text: str) -> Use:
    """An operator that is written as `domain:operator:version`."""
    domain, _, rest = text.partition(":")
    name, _, version = rest.rpartition(":")
    if not name or not version.isdecimal() or int(version) < 1:
        raise DamagedError(f"an optimization that produces {text!r}")
    return Use(operator=Operator(domain or ONNX, name), opset=int(version), inputs=_UNKNOWN, outputs=_UNKNOWN)
