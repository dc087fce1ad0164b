"""Which kernels serve an operator set: never one too few, never one that nobody asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortpack_build.kernels.index import KernelId
from ortpack_build.kernels.select import described, select
from ortpack_build.ops import Need, Operator, OpSet, Types

_NAMES = ("Add", "Conv", "OneHot")
_DOMAINS = ("", "com.microsoft")
_TYPES = ("float", "int64_t", "string", "MLFloat16", "NotAType")


def kernel(op: str, since: int, until: int | None = None, *types: str, domain: str = "") -> KernelId:
    name = f"{domain}-{op}-{since}-{until}-{types}"
    return KernelId(domain=domain, op=op, since=since, until=until, types=types, table="cpu", symbol=name)


def chosen(kernels: list[KernelId], ops: OpSet) -> list[str]:
    return [described(found) for found in select(kernels, ops).kernels]


KERNELS = [
    kernel("Conv", 1, 10),
    kernel("Conv", 11, 21),
    kernel("Conv", 22),
    kernel("Conv", 1, domain="com.microsoft"),
    kernel("Add", 7, None, "float"),
    kernel("Add", 7, None, "int64_t"),
    kernel("OneHot", 11, None, "int64_t", "float", "int64_t"),
    kernel("OneHot", 11, None, "int64_t", "string", "int64_t"),
]


@pytest.mark.parametrize(
    ("need", "expected"),
    [
        (Need("ai.onnx", 1, "Conv"), ["ai.onnx;1-10;Conv"]),
        (Need("ai.onnx", 10, "Conv"), ["ai.onnx;1-10;Conv"]),
        (Need("ai.onnx", 11, "Conv"), ["ai.onnx;11-21;Conv"]),
        (Need("ai.onnx", 30, "Conv"), ["ai.onnx;22;Conv"]),
        (Need("com.microsoft", 1, "Conv"), ["com.microsoft;1;Conv"]),
        (Need("ai.onnx", 13, "Add"), ["ai.onnx;7;Add<float>", "ai.onnx;7;Add<int64_t>"]),
    ],
)
def test_domain_operator_and_opset(need: Need, expected: list[str]) -> None:
    assert chosen(KERNELS, OpSet.of([need])) == expected


def test_what_no_kernel_serves_is_missing() -> None:
    needs = [Need("ai.onnx", 6, "Add"), Need("ai.onnx", 11, "Conv"), Need("com.microsoft", 1, "Add")]
    found = select(KERNELS, OpSet.of(needs))
    assert found.missing == (needs[0], needs[2])
    assert [kernel.op for kernel in found.kernels] == ["Conv"]


def test_types_of_inputs_and_of_combinations() -> None:
    add = OpSet.of([("ai.onnx", 7, "Add")], {Operator("ai.onnx", "Add"): Types.of({0: ["float"]})})
    assert chosen(KERNELS, add) == ["ai.onnx;7;Add<float>"]
    combination = ("int64_t", "std::string", "int64_t")
    hot = OpSet.of([("ai.onnx", 11, "OneHot")], {Operator("ai.onnx", "OneHot"): Types.of(custom=[combination])})
    assert chosen(KERNELS, hot) == ["ai.onnx;11;OneHot<int64_t,string,int64_t>"]


def test_types_that_no_name_tells_keep_all_that_serve() -> None:
    add = OpSet.of([("ai.onnx", 7, "Add")], {Operator("ai.onnx", "Add"): Types.of({0: ["double"]})})
    assert len(chosen(KERNELS, add)) == 2


def test_everything_is_everything() -> None:
    assert select(KERNELS, OpSet.of(everything=True)).kernels == tuple(KERNELS)


def test_types_that_are_allowed_for_all() -> None:
    ops = OpSet.of([("ai.onnx", 7, "Add"), ("ai.onnx", 11, "Conv")], allowed=["int64_t"])
    assert chosen(KERNELS, ops) == ["ai.onnx;11-21;Conv", "ai.onnx;7;Add<int64_t>"]


_opsets = st.integers(1, 6)
_kernels = st.lists(
    st.builds(
        lambda op, since, span, types, domain: kernel(
            op, since, None if span is None else since + span, *types, domain=domain
        ),
        st.sampled_from(_NAMES),
        _opsets,
        st.none() | st.integers(0, 3),
        st.lists(st.sampled_from(_TYPES), max_size=3),
        st.sampled_from(_DOMAINS),
    ),
    max_size=12,
)
_needs = st.frozensets(st.builds(Need, st.sampled_from(("ai.onnx", "com.microsoft")), _opsets, st.sampled_from(_NAMES)))
_used = st.sets(st.sampled_from(("float", "int64_t", "std::string")))


@st.composite
def _ops(draw: st.DrawFn) -> OpSet:
    needs = draw(_needs)
    if draw(st.booleans()):
        return OpSet.of(needs, allowed=draw(st.none() | _used))
    operators = sorted({need.operator for need in needs})
    types = {operator: Types.of({0: draw(_used)}, {0: draw(_used)}) for operator in operators}
    return OpSet.of(needs, types)


def _serves(kernel: KernelId, need: Need) -> bool:
    return (kernel.domain or "ai.onnx", kernel.op) == need.operator and kernel.serves(need.opset)


@given(_kernels, _ops())
def test_every_kept_kernel_is_asked_for_and_every_need_is_served(kernels: list[KernelId], ops: OpSet) -> None:
    found = select(kernels, ops)
    for kept in found.kernels:
        assert any(_serves(kept, need) for need in ops.needs)
    for need in ops.needs:
        served = any(_serves(kept, need) for kept in found.kernels)
        assert served == any(_serves(kernel, need) for kernel in kernels) == (need not in found.missing)


@given(_kernels, _ops())
def test_a_kernel_of_a_type_in_use_is_never_dropped(kernels: list[KernelId], ops: OpSet) -> None:
    kept = select(kernels, ops).kernels
    for need in ops.needs:
        types = ops.types_of(need.operator)
        used = {name for _, names in (*types.inputs, *types.outputs) for name in names}
        for kernel in kernels:
            names = {"std::string" if name == "string" else name for name in kernel.types}
            open_ = not names or "NotAType" in names or (not used and ops.allowed is None)
            if _serves(kernel, need) and (open_ or names & (used or set(ops.allowed or ()))):
                assert kernel in kept


@given(_kernels, _ops(), _ops())
def test_more_needs_never_lose_a_kernel(kernels: list[KernelId], one: OpSet, other: OpSet) -> None:
    # Types of another opset of the same operator may make the fallback superfluous, so this is said of untyped sets.
    few, many = OpSet.of(one.needs), OpSet.of(one.needs | other.needs)
    assert set(select(kernels, few).kernels) <= set(select(kernels, many).kernels)
