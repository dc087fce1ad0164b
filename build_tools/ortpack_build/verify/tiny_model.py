"""The smallest ONNX model worth running, as bytes: `sum = a + b`, two vectors of three floats."""

from __future__ import annotations

A = (1.0, 2.0, 3.0)
B = (10.0, 20.0, 30.0)
SUM = (11.0, 22.0, 33.0)

_FLOAT = 1


def tiny_model() -> bytes:
    """A ModelProto: IR version 8, opset 13, one Add node."""
    node = _text(1, "a") + _text(1, "b") + _text(2, "sum") + _text(4, "Add")
    graph = _bytes(1, node) + _text(2, "add") + b"".join(_bytes(11, _vector(name)) for name in "ab")
    return _number(1, 8) + _bytes(7, graph + _bytes(12, _vector("sum"))) + _bytes(8, _text(1, "") + _number(2, 13))


def _vector(name: str) -> bytes:
    """A ValueInfoProto of three floats."""
    shape = _bytes(1, _number(1, len(A)))
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, _FLOAT) + _bytes(2, shape)))


# Protobuf's wire format: a key (field number and kind), then a varint or a length and bytes.


def _varint(value: int) -> bytes:
    low = value & 0x7F
    return bytes([low]) if value < 0x80 else bytes([low | 0x80]) + _varint(value >> 7)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())
