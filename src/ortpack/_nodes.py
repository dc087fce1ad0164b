"""The operators of a model file, ONNX or ORT format, are read here, for messages about models that were refused.

No package is needed. Nothing in the file is trusted: an offset that leads nowhere or a graph without an end is a
ValueError.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ORT_IDENTIFIER = b"ORTM"  # bytes 4 to 8 of an ORT-format model
_DEPTH = 64  # how deep graphs may lie in nodes of graphs

# Slots of ort.fbs
_SESSION_MODEL, _MODEL_GRAPH, _GRAPH_NODES = 1, 7, 2
_NODE_DOMAIN, _NODE_SINCE, _NODE_OPERATOR, _NODE_ATTRIBUTES = 2, 3, 5, 10
_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 7, 12

# Fields of onnx.proto
_IR_VERSION, _GRAPH, _OPSETS, _FUNCTIONS = 1, 7, 8, 25
_GRAPH_NODE, _NODE_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN_FIELD = 1, 4, 5, 7
_ATTRIBUTE_G, _ATTRIBUTE_GS = 6, 11
_FUNCTION_NAME, _FUNCTION_NODE, _FUNCTION_OPSETS, _FUNCTION_DOMAIN = 1, 7, 9, 10


class Operator(NamedTuple):
    """An operator as a model uses it."""

    domain: str  # empty: ONNX's own
    name: str
    opset: int  # ONNX: the opset that the model imports; ORT format: the opset that defined the operator

    def __str__(self) -> str:
        return f"{self.domain or 'ai.onnx'}:{self.name} of opset {self.opset}"


def is_ort_format(data: bytes) -> bool:
    """Whether ONNX Runtime takes the bytes for an ORT-format model."""
    return data[4:8] == ORT_IDENTIFIER


def operators(data: bytes) -> tuple[Operator, ...]:
    """List the operators of a model's nodes, those of its subgraphs and functions included; each once.

    Raises:
        ValueError: the bytes are no model, or a damaged one.
    """
    try:
        if is_ort_format(data):
            return tuple(dict.fromkeys(_ort_format(_Buffer(data))))
        return tuple(dict.fromkeys(_onnx(memoryview(data))))
    except (struct.error, IndexError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"damaged: {error}") from error


# --- ORT format --------------------------------------------------------------------------------------------------


class _Buffer:
    """A FlatBuffer. A table is the position where it starts; 0 stands for a field that is left out."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.budget = 4 * len(data)  # reads that are left: a damaged file may lead to one table again and again

    def _read(self, form: str, at: int) -> int:
        self.budget -= 1
        if at < 0 or self.budget < 0:
            raise ValueError("a graph without an end")
        return int(struct.unpack_from(form, self.data, at)[0])

    def root(self) -> int:
        return self._read("<I", 0)

    def field(self, table: int, slot: int) -> int:
        vtable = table - self._read("<i", table)
        entry = 4 + 2 * slot
        offset = self._read("<H", vtable + entry) if entry + 2 <= self._read("<H", vtable) else 0
        return table + offset if offset else 0

    def table(self, table: int, slot: int) -> int:
        at = self.field(table, slot)
        return at + self._read("<I", at) if at else 0

    def tables(self, table: int, slot: int) -> Iterator[int]:
        if vector := self.table(table, slot):
            for index in range(self._read("<I", vector)):
                at = vector + 4 + 4 * index
                yield at + self._read("<I", at)

    def text(self, table: int, slot: int) -> str:
        at = self.table(table, slot)
        return self.data[at + 4 : at + 4 + self._read("<I", at)].decode() if at else ""

    def number(self, table: int, slot: int) -> int:
        at = self.field(table, slot)
        return self._read("<i", at) if at else 0


def _ort_format(buffer: _Buffer) -> Iterator[Operator]:
    model = buffer.table(buffer.root(), _SESSION_MODEL)
    graph = buffer.table(model, _MODEL_GRAPH) if model else 0
    if not graph:
        raise ValueError("a model without a graph")
    pending = [(graph, 0)]
    while pending:
        graph, depth = pending.pop()
        if depth > _DEPTH:
            raise ValueError("a graph without an end")
        for node in buffer.tables(graph, _GRAPH_NODES):
            name, since = buffer.text(node, _NODE_OPERATOR), buffer.number(node, _NODE_SINCE)
            yield Operator(_domain(buffer.text(node, _NODE_DOMAIN)), name, since)
            for attribute in buffer.tables(node, _NODE_ATTRIBUTES):
                one = buffer.table(attribute, _ATTRIBUTE_GRAPH)
                inner = [*([one] if one else []), *buffer.tables(attribute, _ATTRIBUTE_GRAPHS)]
                pending += [(found, depth + 1) for found in inner]


def _domain(text: str) -> str:
    return "" if text == "ai.onnx" else text


# --- ONNX --------------------------------------------------------------------------------------------------------


def _onnx(data: memoryview) -> Iterator[Operator]:
    fields = _fields(data)
    if _GRAPH not in fields:
        raise ValueError("a model without a graph")
    functions = [_fields(_bytes(function)) for function in fields.get(_FUNCTIONS, ())]
    own = {(_text(function, _FUNCTION_DOMAIN), _text(function, _FUNCTION_NAME)) for function in functions}
    opsets = _opsets(fields, _OPSETS)
    pending = [(node, opsets, 0) for graph in fields[_GRAPH] for node in _fields(_bytes(graph)).get(_GRAPH_NODE, ())]
    for function in functions:
        inner = opsets | _opsets(function, _FUNCTION_OPSETS)
        pending += [(node, inner, 0) for node in function.get(_FUNCTION_NODE, ())]
    while pending:
        data_, opsets, depth = pending.pop()
        if depth > _DEPTH:
            raise ValueError("a graph without an end")
        node = _fields(_bytes(data_))
        domain, name = _text(node, _NODE_DOMAIN_FIELD), _text(node, _NODE_TYPE)
        if (domain, name) not in own:
            yield Operator(_domain(domain), name, opsets.get(_domain(domain), 1))
        for attribute in node.get(_NODE_ATTRIBUTE, ()):
            parts = _fields(_bytes(attribute))
            for graph in (*parts.get(_ATTRIBUTE_G, ()), *parts.get(_ATTRIBUTE_GS, ())):
                pending += [(inner, opsets, depth + 1) for inner in _fields(_bytes(graph)).get(_GRAPH_NODE, ())]


def _opsets(fields: dict[int, list[int | memoryview]], field: int) -> dict[str, int]:
    found = {}
    for entry in fields.get(field, ()):
        parts = _fields(_bytes(entry))
        version = parts.get(2, [0])[-1]
        found[_domain(_text(parts, 1))] = version if isinstance(version, int) else 0
    return found


def _text(fields: dict[int, list[int | memoryview]], field: int) -> str:
    return bytes(_bytes(fields[field][-1])).decode() if field in fields else ""


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message is expected")
    return value


def _fields(data: memoryview) -> dict[int, list[int | memoryview]]:
    """Read a protobuf message: field number → values, in order: numbers, or the bytes of texts and messages."""
    found: dict[int, list[int | memoryview]] = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        value: int | memoryview
        if kind == 0:
            value, at = _varint(data, at)
        elif kind == 2:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
            value, at = data[at : at + length], at + length
        else:
            raise ValueError("no protocol buffer")
        if at > len(data):
            raise ValueError("cut off")
        found.setdefault(key >> 3, []).append(value)
    return found


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("no protocol buffer")
