"""The numbers of ORT-format models: which slot of a table holds which field.

They are those of ONNX Runtime's FlatBuffers schema, `onnxruntime/core/flatbuffers/schema/ort.fbs`, under its names, as
far as something reads them. The schema only ever grows at its ends. The binding has the same in
`src/binding/ort_schema.h`, and the loader what it needs in `ortpack/_nodes.py`; tests hold all three, and the schema of
a release's sources, against each other.
"""

from __future__ import annotations

from enum import IntEnum


class InferenceSession(IntEnum):
    ORT_VERSION = 0  # of the format
    MODEL = 1


class Model(IntEnum):
    GRAPH = 7


class Graph(IntEnum):
    NODE_ARGS = 1
    NODES = 2
    MAX_NODE_INDEX = 3
    NODE_EDGES = 4
    INPUTS = 5
    OUTPUTS = 6
    RUNTIME_OPTIMIZATIONS = 8


class ValueInfo(IntEnum):
    NAME = 0
    TYPE = 2


class TypeInfo(IntEnum):
    VALUE_TYPE = 1  # a union takes two slots: which of its tables it is, and the table
    VALUE = 2


class TypeInfoValue(IntEnum):
    """What TypeInfo.VALUE_TYPE says; no slots."""

    TENSOR_TYPE = 1
    SEQUENCE_TYPE = 2


class TensorTypeAndShape(IntEnum):
    ELEM_TYPE = 0


class SequenceType(IntEnum):
    ELEM_TYPE = 0


class Node(IntEnum):
    NAME = 0
    DOMAIN = 2
    SINCE_VERSION = 3
    INDEX = 4
    OP_TYPE = 5
    INPUTS = 8
    OUTPUTS = 9
    ATTRIBUTES = 10
    INPUT_ARG_COUNTS = 11
    IMPLICIT_INPUTS = 12


class NodeEdge(IntEnum):
    NODE_INDEX = 0
    INPUT_EDGES = 1
    OUTPUT_EDGES = 2


class Attribute(IntEnum):
    NAME = 0
    TYPE = 2
    I = 4  # noqa: E741 - the schema's name
    T = 6
    G = 7
    FLOATS = 8
    INTS = 9
    STRINGS = 10
    GRAPHS = 12


class AttributeType(IntEnum):
    """What Attribute.TYPE says; no slots."""

    TENSOR = 4
    FLOATS = 6
    INTS = 7
    STRINGS = 8


class Tensor(IntEnum):
    DIMS = 2


class RuntimeOptimizations(IntEnum):
    RECORDS = 0


class RuntimeOptimizationRecordContainerEntry(IntEnum):
    RUNTIME_OPTIMIZATION_RECORDS = 1


class RuntimeOptimizationRecord(IntEnum):
    PRODUCED_OP_IDS = 3
