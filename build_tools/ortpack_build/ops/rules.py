"""Applies the rules of `variants/ops/closure.toml`: which operators optimizers may insert on a target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, field

from ortpack_build.base.data_file import Model, Release, read, shipped_folder
from ortpack_build.base.tags import version_key
from ortpack_build.ops.opset import Need, Operator, OpSet, Types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ANY_OPERATOR = "*"


class _Entry(Model, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that holds for some families of CPUs."""

    families: Annotated[tuple[str, ...], Meta(description="Families of CPUs where it holds; none: all")] = ()


class Rule(_Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one of `when` is needed, if one of `beside` (`with`) is too or there is none, so is all of `add`."""

    when: Annotated[tuple[str, ...], Meta(description="Operators, `domain:name`; * is any")]
    add: Annotated[
        tuple[str, ...], Meta(description="Operators, `domain:version:name`; the version * is that of the model")
    ]
    beside: Annotated[
        tuple[str, ...], Meta(description="Operators of which one must be there, too; none: no other")
    ] = field(default=(), name="with")
    type: Annotated[str | None, Meta(description="Only for models with values of this type")] = None


class Absent(_Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A domain that the target's optimizers don't use."""

    domain: Annotated[str, Meta(description="Of operators")]
    before: Annotated[Release | None, Meta(description="Releases of ONNX Runtime older than this; none: all")] = None


class Beside(_Entry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is used with `type` may be used with `also`."""

    type: Annotated[str, Meta(description="A type of a value")]
    also: Annotated[str, Meta(description="The type that it may become")]
    given: Annotated[str | None, Meta(description="Only for models with values of this type")] = None


class ClosureFile(Model, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """ops/closure.toml: what ONNX Runtime's optimizers can put into a model on a target."""

    schema: Literal[1]
    families: Annotated[
        dict[str, tuple[str, ...]], Meta(description="Family of CPUs → architectures, as targets name them")
    ]
    level1: Annotated[tuple[str, ...], Meta(description="Optimizers of level 1 but ConstantFolding")]
    rules: Annotated[tuple[Rule, ...], Meta(description="What optimizers may add")] = ()
    absent: Annotated[tuple[Absent, ...], Meta(description="Domains that a target's optimizers don't use")] = ()
    beside: Annotated[tuple[Beside, ...], Meta(description="Types that may become others")] = ()


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
    absent = {entry.domain for entry in data.absent if _absent(entry, situation, families)}
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


def _absent(entry: Absent, situation: Situation, families: set[str]) -> bool:
    return _for(entry, families) and (entry.before is None or version_key(situation.ort) < version_key(entry.before))


def _for(entry: _Entry, families: set[str]) -> bool:
    return not entry.families or not families.isdisjoint(entry.families)


def _applies(rule: Rule, needs: Iterable[Need]) -> bool:
    names = {f"{need.domain}:{need.name}" for need in needs}
    one = not names.isdisjoint(rule.when) or (bool(names) and _ANY_OPERATOR in rule.when)
    return one and (not rule.beside or not names.isdisjoint(rule.beside))


def _added(rule: Rule, situation: Situation) -> Iterable[Need]:
    for text in rule.add:
        domain, version, name = text.split(":")
        operator = Operator(domain, name)
        yield Need(domain, situation.since(operator) if version == "*" else int(version), name)


def _widened(types: Types, entries: Iterable[Beside], situation: Situation, families: set[str]) -> Types:
    for entry in entries:
        if _for(entry, families) and (entry.given is None or entry.given in situation.types):
            types = _also(types, entry.type, entry.also)
    return types


def _also(types: Types, one: str, other: str) -> Types:
    def side(values: Iterable[tuple[int, frozenset[str]]]) -> dict[int, frozenset[str]]:
        return {index: names | {other} if one in names else names for index, names in values}

    swapped = {tuple(other if name == one else name for name in names) for names in types.custom}
    return Types.of(side(types.inputs), side(types.outputs), types.custom | swapped)
