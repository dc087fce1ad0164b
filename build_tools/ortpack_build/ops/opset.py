"""`OpSet`: the operators that a runtime needs, with their opsets and the types that each is used with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ONNX = "ai.onnx"  # the name that configs have for ONNX's own domain, which models leave empty

# Element types of tensors by their names in C++, which are those of configs, in the order of ONNX's numbering (from 1).
TYPE_NUMBERS: Mapping[int, str] = {
    1: "float",
    2: "uint8_t",
    3: "int8_t",
    4: "uint16_t",
    5: "int16_t",
    6: "int32_t",
    7: "int64_t",
    8: "std::string",
    9: "bool",
    10: "MLFloat16",
    11: "double",
    12: "uint32_t",
    13: "uint64_t",
    16: "BFloat16",
    17: "Float8E4M3FN",
    18: "Float8E4M3FNUZ",
    19: "Float8E5M2",
    20: "Float8E5M2FNUZ",
    21: "UInt4x2",
    22: "Int4x2",
}
TYPES = tuple(TYPE_NUMBERS.values())


class Operator(NamedTuple):
    """An operator, whatever its version."""

    domain: str
    name: str


class Need(NamedTuple):
    """An operator as of an opset: that of the model, or any since the operator's last change."""

    domain: str
    opset: int
    name: str

    @property
    def operator(self) -> Operator:
        return Operator(self.domain, self.name)


_K = TypeVar("_K")


@dataclass(frozen=True, kw_only=True)
class Types:
    """The types that one operator is used with; an input or output that is not named here may have any.

    Attributes:
        inputs, outputs: (index, types), by index. No types are empty.
        custom: combinations of types, for operators whose kernels are registered by combination; empty: any.
    """

    inputs: tuple[tuple[int, frozenset[str]], ...] = ()
    outputs: tuple[tuple[int, frozenset[str]], ...] = ()
    custom: frozenset[tuple[str, ...]] = frozenset()

    @classmethod
    def of(
        cls,
        inputs: Mapping[int, Iterable[str]] | None = None,
        outputs: Mapping[int, Iterable[str]] | None = None,
        custom: Iterable[Iterable[str]] = (),
    ) -> Types:
        """In its one normal form: an index without types says nothing, and is left out."""
        return cls(
            inputs=_sorted(inputs or {}),
            outputs=_sorted(outputs or {}),
            custom=frozenset(tuple(types) for types in custom),
        )

    def __bool__(self) -> bool:
        """Whether it restricts anything."""
        return bool(self.inputs or self.outputs or self.custom)

    def __or__(self, other: Types) -> Types:
        """What serves both: an index that either leaves open is open."""
        return Types(
            inputs=_either(self.inputs, other.inputs),
            outputs=_either(self.outputs, other.outputs),
            custom=self.custom | other.custom if self.custom and other.custom else frozenset(),
        )


ANY = Types()


def _sorted(types: Mapping[int, Iterable[str]]) -> tuple[tuple[int, frozenset[str]], ...]:
    return tuple(sorted(((index, frozenset(names)) for index, names in types.items() if names), key=lambda i: i[0]))


def _either(
    left: tuple[tuple[int, frozenset[str]], ...], right: tuple[tuple[int, frozenset[str]], ...]
) -> tuple[tuple[int, frozenset[str]], ...]:
    others = dict(right)
    return tuple((index, types | others[index]) for index, types in left if index in others)


@dataclass(frozen=True, kw_only=True)
class OpSet:
    """The operators that a runtime needs. Make one with `of`, which checks it.

    Attributes:
        needs: operators and opsets.
        types: for operators of `needs` that are used with some types only; sorted.
        allowed: the types that are allowed for all operators; None: any. Never together with `types`.
        everything: all operators there are; then `needs` and `types` are empty.
    """

    needs: frozenset[Need] = frozenset()
    types: tuple[tuple[Operator, Types], ...] = ()
    allowed: frozenset[str] | None = None
    everything: bool = False

    @classmethod
    def of(
        cls,
        needs: Iterable[Need | tuple[str, int, str]] = (),
        types: Mapping[Operator, Types] | None = None,
        *,
        allowed: Iterable[str] | None = None,
        everything: bool = False,
    ) -> OpSet:
        """In its one normal form.

        Raises:
            ValueError: types of an operator that is not needed, or of both kinds, or `everything` beside operators.
        """
        wanted = frozenset(Need(*need) for need in needs)
        known = {need.operator for need in wanted}
        kept = tuple(sorted(((op, found) for op, found in (types or {}).items() if found), key=lambda item: item[0]))
        if stray := [op for op, _ in kept if op not in known]:
            raise ValueError(f"types of {stray[0]}, which is not needed")
        if kept and allowed is not None:
            raise ValueError("types of operators beside types that are allowed for all of them")
        if everything and wanted:
            raise ValueError("operators beside `everything`")
        return cls(
            needs=wanted,
            types=kept,
            allowed=None if allowed is None else frozenset(allowed),
            everything=everything,
        )

    def __bool__(self) -> bool:
        """Whether any operator is needed."""
        return self.everything or bool(self.needs)

    def __or__(self, other: OpSet) -> OpSet:
        """What serves both, and nothing more than configs can say.

        Associative, commutative and idempotent, with `OpSet()` as its neutral element. Types that are allowed for
        all operators of one side only can't be kept beside the other side's: then they are any.
        """
        if not self or not other:  # one of them needs nothing, so its types count only beside types of their kind
            busy, idle = (other, self) if other else (self, other)
            if busy.allowed is None or idle.allowed is None:
                return busy if busy or busy.allowed is not None else idle
        allowed = None if self.allowed is None or other.allowed is None else self.allowed | other.allowed
        if self.everything or other.everything:
            return OpSet(allowed=allowed, everything=True)
        return OpSet.of(
            self.needs | other.needs,
            {} if allowed is not None else self._united(other),
            allowed=allowed,
        )

    def _united(self, other: OpSet) -> dict[Operator, Types]:
        united: dict[Operator, Types] = {}
        for operator in self.operators | other.operators:
            sides = [side.types_of(operator) for side in (self, other) if operator in side.operators]
            united[operator] = reduce(Types.__or__, sides)
        return united

    @cached_property
    def operators(self) -> frozenset[Operator]:
        """The operators, without their opsets."""
        return frozenset(need.operator for need in self.needs)

    @cached_property
    def _types(self) -> Mapping[Operator, Types]:
        return dict(self.types)

    def types_of(self, operator: Operator) -> Types:
        """What is said of this operator's types, `allowed` aside."""
        return self._types.get(operator, ANY)

    def opsets_of(self, operator: Operator) -> frozenset[int]:
        """The opsets that this operator is needed for."""
        return frozenset(need.opset for need in self.needs if need.operator == operator)

    @property
    def domains(self) -> frozenset[str]:
        """The domains of its operators."""
        return frozenset(need.domain for need in self.needs)


def union(sets: Iterable[OpSet]) -> OpSet:
    """What serves all of them."""
    return reduce(OpSet.__or__, sets, OpSet())
