"""Operator sets for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from ortpack_build.ops.opset import TYPES, Need, Operator, OpSet, Types

types_lists = st.frozensets(st.sampled_from(TYPES[:5]), min_size=1, max_size=3)
_sides = st.dictionaries(st.integers(0, 3), types_lists, max_size=2)
_combinations = st.frozensets(st.tuples(*[st.sampled_from(TYPES[:4])] * 3), max_size=2)
types = st.builds(Types.of, _sides, _sides, _combinations)
_domains = st.sampled_from(["ai.onnx", "com.microsoft", "my.domain"])
_names = st.sampled_from(["Add", "Cast", "If", "aten::mul", "Ünïcode"])
needs = st.frozensets(st.builds(Need, _domains, st.integers(1, 25), _names), max_size=6)


@st.composite
def opsets(draw: st.DrawFn) -> OpSet:
    """Any value that OpSet.of makes."""
    allowed = draw(st.none() | types_lists)
    if draw(st.integers(0, 9)) == 0:
        return OpSet.of(allowed=allowed, everything=True)
    wanted = draw(needs)
    operators: list[Operator] = sorted({need.operator for need in wanted})
    if allowed is not None or not operators:
        return OpSet.of(wanted, allowed=allowed)
    return OpSet.of(wanted, draw(st.dictionaries(st.sampled_from(operators), types)))
