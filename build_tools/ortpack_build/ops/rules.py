"""Applies the rules of `variants/ops/closure.toml`: which operators optimizers may insert on a target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from msgspec import field

from ortpack_build.base.data_file import Model, Release, read, shipped_folder
from ortpack_build.base.tags import version_key
from ortpack_build.ops.opset import Need, Operator, OpSet, Types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ANY_OPERATOR = "*"


class _Line(Model, frozen=True, kw_only=True, forbid_unknown_fields=True):
    families: tuple[str, ...] = ()  # of CPUs; none: all


class Rule(_Line, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one of `when` is needed, if one of `beside` (`with`) is too or there is none, so is all of `add`."""

    when: tuple[str, ...]
    add: tuple[str, ...]
    beside: tuple[str, ...] = field(default=(), name="with")
    type: str | None = None  # only for models with values of this type


class Absent(_Line, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A domain that the target's optimizers don't use."""

    domain: str
    before: Release | None = None  # of ONNX Runtime


class Beside(_Line, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is used with `type` may be used with `also`."""

    type: str
    also: str
    given: str | None = None  # only for models with values of this type


class ClosureFile(Model, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """ops/closure.toml"""

    schema: Literal[1]
    families: dict[str, tuple[str, ...]]  # family → architectures, as targets name them
    level1: tuple[str, ...]  # the names of that level's optimizers, without ConstantFolding
    rules: tuple[Rule, ...] = ()
    absent: tuple[Absent, ...] = ()
    beside: tuple[Beside, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What the rules look at: where a model will run, and which types it has.

    Attributes:
        arch: of the target.
        ort: release.
        types: of all values of the model.
        since: the version of an operator that counts for the model's opset.
    """

    arch: str
    ort: str
    types: frozenset[str]
    since: Callable[[Operator], int]


@cache
def shipped() -> ClosureFile:
    """Read the shipped rules, once."""
    return read(shipped_folder() / "ops" / "closure.toml", ClosureFile)


def close(ops: OpSet, situation: Situation, data: ClosureFile) -> OpSet:
    """Add what the rules add, until nothing new follows, and drop domains that the target's optimizers don't use."""
    needs = set(ops.needs)
    families = {family for family, arches in data.families.items() if situation.arch in arches}
    rules = [rule for rule in data.rules if _holds(rule, situation, families)]
    added: set[Need] = set()
    while more := {need for rule in rules if _applies(rule, needs) for need in _added(rule, situation)} - added:
        added |= more
        needs |= more
    absent = {line.domain for line in data.absent if _absent(line, situation, families)}
    needs = {need for need in needs if need.domain not in absent}
    free = {need.operator for need in added}  # of any type: the rules do not say which
    operators = {need.operator for need in needs}
    types = {
        operator: _widened(found, data.beside, situation, families)
        for operator, found in ops.types
        if operator in operators and operator not in free
    }
    return OpSet.of(needs, types)


def _holds(rule: Rule, situation: Situation, families: set[str]) -> bool:
    return _for(rule, families) and (rule.type is None or rule.type in situation.types)


def _absent(line: Absent, situation: Situation, families: set[str]) -> bool:
    return _for(line, families) and (line.before is None or version_key(situation.ort) < version_key(line.before))


def _for(line: _Line, families: set[str]) -> bool:
    return not line.families or not families.isdisjoint(line.families)


def _applies(rule: Rule, needs: Iterable[Need]) -> bool:
    names = {f"{need.domain}:{need.name}" for need in needs}
    one = not names.isdisjoint(rule.when) or (bool(names) and _ANY_OPERATOR in rule.when)
    return one and (not rule.beside or not names.isdisjoint(rule.beside))


def _added(rule: Rule, situation: Situation) -> Iterable[Need]:
    for text in rule.add:
        domain, version, name = text.split(":")
        operator = Operator(domain, name)
        yield Need(domain, situation.since(operator) if version == "*" else int(version), name)


def _widened(types: Types, lines: Iterable[Beside], situation: Situation, families: set[str]) -> Types:
    for line in lines:
        if _for(line, families) and (line.given is None or line.given in situation.types):
            types = _also(types, line.type, line.also)
    return types


def _also(types: Types, one: str, other: str) -> Types:
    def side(values: Iterable[tuple[int, frozenset[str]]]) -> dict[int, frozenset[str]]:
        return {index: names | {other} if one in names else names for index, names in values}

    swapped = {tuple(other if name == one else name for name in names) for names in types.custom}
    return Types.of(side(types.inputs), side(types.outputs), types.custom | swapped)
