"""Turns the nodes of models into the operators, with opsets and types, that a runtime needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from ortpack_build.base.data_file import Model, read, shipped_folder
from ortpack_build.ops.opset import Operator, OpSet, Types

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, kw_only=True)
class Value:
    """An input or output of a node: its element type, None where that is not known."""

    type: str | None


@dataclass(frozen=True, kw_only=True)
class Use:
    """A node of a model, as far as kernels are concerned.

    Attributes:
        opset: of the operator's last change that counts for the model; the model's own where that is not known.
        node: the node's name, for messages.
        inputs, outputs: None for an optional one that is left out.
    """

    operator: Operator
    opset: int
    node: str = ""
    inputs: tuple[Value | None, ...] = ()
    outputs: tuple[Value | None, ...] = ()


class Tracked(Model, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Operators whose kernels can be reduced by the same types."""

    domain: Annotated[str, Meta(description="Of the operators")]
    operators: Annotated[tuple[str, ...], Meta(description="Their names")]
    inputs: Annotated[tuple[int, ...], Meta(description="Indices of inputs whose types count")] = ()
    outputs: Annotated[tuple[int, ...], Meta(description="Indices of outputs whose types count")] = ()
    combined: Annotated[
        tuple[int, ...], Meta(description="Indices of inputs whose types count in combination, in this order")
    ] = ()


class TypesFile(Model, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """ops/types.toml: the inputs and outputs whose types an operator's kernels can be reduced to."""

    schema: Literal[1]
    tracked: Annotated[tuple[Tracked, ...], Meta(description="Operators whose kernels can be reduced by type")]


@cache
def _tracked() -> Mapping[Operator, Tracked]:
    entries = read(shipped_folder() / "ops" / "types.toml", TypesFile).tracked
    return {Operator(entry.domain, name): entry for entry in entries for name in entry.operators}


def opset(uses: Iterable[Use]) -> OpSet:
    """Collect the operators of nodes, with their types where types.toml tracks them and all are known."""
    by_operator: dict[Operator, list[Use]] = {}
    needs = set()
    for use in uses:
        needs.add((use.operator.domain, use.opset, use.operator.name))
        by_operator.setdefault(use.operator, []).append(use)
    tracked = _tracked()
    types = {op: _types(found, tracked[op]) for op, found in by_operator.items() if op in tracked}
    return OpSet.of(needs, types)


def _types(uses: Sequence[Use], tracked: Tracked) -> Types:
    return Types.of(
        {index: _at([use.inputs for use in uses], index) for index in tracked.inputs},
        {index: _at([use.outputs for use in uses], index) for index in tracked.outputs},
        _combinations(uses, tracked.combined) if tracked.combined else (),
    )


def _at(sides: Iterable[tuple[Value | None, ...]], index: int) -> set[str]:
    """Collect the types of an input or output by its index; empty if one of them is not known."""
    found: set[str] = set()
    for values in sides:
        value = values[index] if index < len(values) else None
        if value is None:  # older versions of some operators have fewer inputs
            continue
        if value.type is None:
            return set()
        found.add(value.type)
    return found


def _combinations(uses: Iterable[Use], indices: tuple[int, ...]) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for use in uses:
        values = [use.inputs[index] if index < len(use.inputs) else None for index in indices]
        types = tuple(value.type for value in values if value is not None and value.type is not None)
        if len(types) != len(indices):
            return set()
        found.add(types)
    return found
