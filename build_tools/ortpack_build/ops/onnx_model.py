"""Reads the nodes of ONNX models as they are written, before any optimizer. Needs the `onnx` package."""

from __future__ import annotations

import tempfile
from collections import ChainMap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ortpack_build.base import process
from ortpack_build.base.errors import ModelError, ToolError
from ortpack_build.ops.opset import ONNX, TYPE_NUMBERS, Operator
from ortpack_build.ops.usage import Use, Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WORKER = Path(__file__).with_name("_infer.py")
_UNKNOWN = Value(type=None)
_DEPTH = 64  # of graphs in graphs and functions in functions


@dataclass(frozen=True, kw_only=True)
class OnnxModel:
    """A model's opsets and nodes.

    Attributes:
        opsets: domain → version, as the model imports them.
        uses: its nodes, those of subgraphs and called functions too; without `Constant`, which needs no kernel.
    """

    ir_version: int
    opsets: Mapping[str, int]
    uses: tuple[Use, ...]


def read(path: Path, *, types: bool = True) -> OnnxModel:
    """Read a model; tensors in other files are not needed.

    Args:
        path: its file.
        types: whether to infer the types of its values, in another process.

    Raises:
        ToolError: the `onnx` package is not installed.
        ModelError: unreadable, damaged, or newer than the `onnx` package.
    """
    onnx = _onnx()
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}.") from error
    except Exception as error:  # what protobuf raises depends on its implementation
        raise ModelError(f"{path} is no ONNX model, or a damaged one: {error}.") from error
    if not model.HasField("graph") or not model.ir_version or not model.opset_import:
        raise ModelError(f"{path} is no ONNX model: it has no graph, no IR version or no opset.")
    opsets = {item.domain or ONNX: item.version for item in model.opset_import}
    _check_age(onnx, path, model.ir_version, opsets)
    inlined = (_with_types(onnx, path) if types else None) or model
    walk = _Walk(path=path, functions={_key(function): function for function in inlined.functions})
    walk.graph(inlined.graph, _opsets(inlined), ChainMap(), 0)
    return OnnxModel(ir_version=model.ir_version, opsets=opsets, uses=tuple(walk.uses))


def since(operator: Operator, opsets: Mapping[str, int]) -> int:
    """Return the opset in which an operator last changed, as far as a model with these imports is concerned.

    For an operator that onnx does not know it is the opset that the model imports for the domain, or 1, the only one
    that ONNX Runtime's own domains have.
    """
    onnx = _onnx()
    opset = opsets.get(operator.domain, 1)
    domain = "" if operator.domain == ONNX else operator.domain
    try:
        return int(onnx.defs.get_schema(operator.name, opset, domain).since_version)
    except onnx.defs.SchemaError:
        return opset


def _onnx() -> Any:
    try:
        import onnx  # noqa: PLC0415 - optional
    except ImportError as error:
        raise ToolError(
            "Reading ONNX models needs the package onnx.", hint="pip install 'ortpack-build[models]'."
        ) from error
    return onnx


def _check_age(onnx: Any, path: Path, ir_version: int, opsets: Mapping[str, int]) -> None:
    known = f"the newest that onnx {onnx.__version__} knows is"
    hint = "pip install --upgrade onnx, or save the model for an older version."
    if ir_version > onnx.IR_VERSION:
        raise ModelError(f"{path} is of IR version {ir_version}; {known} {onnx.IR_VERSION}.", hint=hint)
    newest = onnx.defs.onnx_opset_version()
    if opsets.get(ONNX, 0) > newest:
        raise ModelError(f"{path} is of opset {opsets[ONNX]}; {known} {newest}.", hint=hint)


def _with_types(onnx: Any, path: Path) -> Any:
    """Inline the functions and infer the types of values; None if onnx fails or crashes."""
    with tempfile.TemporaryDirectory(prefix="ortpack-types-") as scratch:
        out = Path(scratch) / "typed.onnx"
        try:
            reply = process.ask(str(_WORKER), request={"model": str(path.absolute()), "out": str(out)})
        except process.OverdueError:
            return None
        if reply.code != 0:
            return None
        return onnx.load_model_from_string(out.read_bytes())


def _opsets(holder: Any) -> Mapping[str, int]:
    return {item.domain or ONNX: item.version for item in holder.opset_import}


def _key(function: Any) -> tuple[str, str]:
    return function.domain or ONNX, function.name


@dataclass(kw_only=True)
class _Walk:
    path: Path
    functions: Mapping[tuple[str, str], Any]
    uses: list[Use] = field(default_factory=list)
    called: set[tuple[str, str]] = field(default_factory=set)

    def graph(self, graph: Any, opsets: Mapping[str, int], outer: ChainMap[str, Value], depth: int) -> None:
        values = outer.new_child()
        for info in (*graph.value_info, *graph.input, *graph.output):
            values[info.name] = Value(type=_type(info.type))
        for tensor in graph.initializer:
            values[tensor.name] = Value(type=TYPE_NUMBERS.get(tensor.data_type))
        for sparse in graph.sparse_initializer:
            values[sparse.values.name] = Value(type=TYPE_NUMBERS.get(sparse.values.data_type))
        self.nodes(graph.node, opsets, values, depth)

    def nodes(self, nodes: Iterable[Any], opsets: Mapping[str, int], values: ChainMap[str, Value], depth: int) -> None:
        if depth > _DEPTH:
            raise ModelError(f"{self.path} has graphs or functions in each other more than {_DEPTH} deep.")
        for node in nodes:
            if bytes in map(
                type, (node.domain, node.op_type, node.name)
            ):  # protobuf gives bytes for text that is not UTF-8
                raise ModelError(f"{self.path} is damaged: the name of a node or of its operator is not UTF-8.")
            operator = Operator(node.domain or ONNX, node.op_type)
            function = self.functions.get((operator.domain, operator.name))
            if function is not None:
                if (operator.domain, operator.name) not in self.called:
                    self.called.add((operator.domain, operator.name))
                    self.nodes(function.node, _opsets(function), ChainMap(), depth + 1)
            elif operator != (ONNX, "Constant"):
                self.uses.append(self.use(node, operator, opsets, values))
            for attribute in node.attribute:
                inner = [attribute.g] if attribute.HasField("g") else []
                for subgraph in (*inner, *attribute.graphs):
                    self.graph(subgraph, opsets, values, depth + 1)

    def use(self, node: Any, operator: Operator, opsets: Mapping[str, int], values: ChainMap[str, Value]) -> Use:
        if operator.domain not in opsets:
            raise ModelError(
                f"{self.path}: the node {node.name or '(unnamed)'} is of {operator.domain}:{operator.name}, "
                f"but the model imports no opset of {operator.domain}."
            )

        def side(names: Iterable[str]) -> tuple[Value | None, ...]:
            return tuple(values.get(name, _UNKNOWN) if name else None for name in names)

        return Use(
            operator=operator,
            opset=since(operator, opsets),
            node=node.name,
            inputs=side(node.input),
            outputs=side(node.output),
        )


def _type(info: Any) -> str | None:
    """Name the element type of a tensor, or of the tensors in a sequence or an optional."""
    kind = info.WhichOneof("value")
    if kind in {"tensor_type", "sparse_tensor_type"}:
        return TYPE_NUMBERS.get(getattr(info, kind).elem_type)
    return _type(getattr(info, kind).elem_type) if kind in {"sequence_type", "optional_type"} else None
