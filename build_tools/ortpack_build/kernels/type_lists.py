"""Writes the lists of types that kernels are compiled for, where types are reduced.

Some of ONNX Runtime's sources ask `op_kernel_type_control.h` which types an input or output of an operator may have; a
file of overrides answers, in the words that upstream's own tools write into it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ortpack_build.base.errors import SourceError
from ortpack_build.kernels.index import DOMAINS
from ortpack_build.ops.opset import ONNX, Operator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ortpack_build.ops.opset import OpSet

OVERRIDES = "onnxruntime/core/providers/op_kernel_type_control_overrides.inc"
_BEGIN, _END = "@@insertion_point_begin(allowed_types)@@", "@@insertion_point_end(allowed_types)@@"
_ASKS = re.compile(
    r"ORT_OP_KERNEL_ARG_ENABLED_TYPE_LIST(?:_ALL_OPSETS)?\(\s*\w+,\s*(?P<domain>k\w+),\s*(?P<op>\w+),"
    r"(?:\s*\w+,)?\s*(?P<side>Input|Output),\s*(?P<index>\d+)\s*\)"
)
_CONSTANTS = {domain or ONNX: constant for constant, domain in DOMAINS.items()}


class Argument(NamedTuple):
    """An input or output of an operator, whatever its version."""

    operator: Operator
    side: str  # "Input" or "Output"
    number: int

    def __str__(self) -> str:
        """Write it for readers: `ai.onnx;Cast;output 0`."""
        return f"{self.operator.domain};{self.operator.name};{self.side.lower()} {self.number}"


def asked(source: str) -> frozenset[Argument]:
    """Find the arguments whose types a C++ source file asks for."""
    return frozenset(
        Argument(Operator(DOMAINS[found["domain"]] or ONNX, found["op"]), found["side"], int(found["index"]))
        for found in _ASKS.finditer(source)
        if found["domain"] in DOMAINS
    )


def allowed(ops: OpSet, arguments: Iterable[Argument]) -> dict[Argument, tuple[str, ...]]:
    """Return the types that `ops` leaves these arguments, sorted; arguments that may have any type are left out."""
    known = _by_argument(ops)
    found = {argument: known.get(argument, ops.allowed) for argument in sorted(arguments)}
    return {argument: tuple(sorted(types)) for argument, types in found.items() if types is not None}


def overrides(ops: OpSet) -> tuple[str, ...]:
    """Write the lines of C++ that upstream's tools write for an operator config that says the same."""
    if ops.allowed is not None:
        return (f"ORT_SPECIFY_OP_KERNEL_GLOBAL_ALLOWED_TYPES({', '.join(sorted(ops.allowed))});",)
    return tuple(
        f"ORT_SPECIFY_OP_KERNEL_ARG_ALLOWED_TYPES({_CONSTANTS[argument.operator.domain]}, {argument.operator.name}, "
        f"{argument.side}, {argument.number}, {', '.join(sorted(types))});"
        for argument, types in _by_argument(ops).items()
        # No source file asks for others; and names of operators of the user's need not be C++.
        if argument.operator.domain in _CONSTANTS and argument.operator.name.isidentifier()
    )


def _by_argument(ops: OpSet) -> Mapping[Argument, frozenset[str]]:
    return {
        Argument(operator, side, index): names
        for operator, types in ops.types
        for side, values in (("Input", types.inputs), ("Output", types.outputs))
        for index, names in values
    }


def inserted(text: str, lines: Iterable[str]) -> str:
    """Return the text of the file of overrides with these lines, in place of any that it has.

    Raises:
        SourceError: it has no place for them.
    """
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        raise SourceError(f"{OVERRIDES} is not as expected: it has no place for the types that are allowed.")
    return "\n".join([before + begin, *lines, f"// {end}{after}"])
