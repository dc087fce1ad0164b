"""What the data says that optimizers may put in."""

from __future__ import annotations

from hypothesis import given

from ortpack_build.catalog import manifests
from ortpack_build.ops import Need, Operator, OpSet, Types, rules, vocabulary
from ortpack_build.ops.rules import Situation
from support.opsets import opsets

CONV, FLOAT_CONV = Operator("ai.onnx", "Conv"), Types.of({0: ["float"]})
NCHWC = "com.microsoft.nchwc"


def close(ops: OpSet, arch: str = "x86_64", ort: str = "1.32.0", types: tuple[str, ...] = ("float",)) -> OpSet:
    opset = {"Cast": 13, "Reshape": 14, "Transpose": 13}
    situation = Situation(arch=arch, ort=ort, types=frozenset(types), since=lambda operator: opset[operator.name])
    return rules.close(ops, situation, rules.shipped())


def test_convolutions_may_change_their_layout() -> None:
    ops = close(OpSet.of([("ai.onnx", 11, "Conv"), ("ai.onnx", 1, "GlobalAveragePool")], {CONV: FLOAT_CONV}))
    layout = {Need(NCHWC, 1, name) for name in ("Conv", "ReorderInput", "ReorderOutput", "GlobalAveragePool")}
    assert ops.needs >= layout
    assert Need("ai.onnx", 14, "Reshape") in ops.needs
    assert ops.types_of(CONV) == FLOAT_CONV


def test_what_only_follows_the_layout_does_not_start_it() -> None:
    alone = OpSet.of([("ai.onnx", 1, "GlobalAveragePool"), ("ai.onnx", 13, "Resize")])
    assert close(alone) == alone


def test_arm_had_no_such_layout_once() -> None:
    ops = OpSet.of([("ai.onnx", 11, "Conv"), (NCHWC, 1, "Conv")])  # as an x86 machine saw it
    assert NCHWC not in close(ops, "aarch64", "1.21.0").domains
    assert NCHWC not in close(ops, "armv7l").domains
    assert NCHWC in close(ops, "arm64", "1.23.0").domains
    assert NCHWC in close(ops, "amd64", "1.21.0").domains


def test_half_precision() -> None:
    ops = OpSet.of(
        [("ai.onnx", 11, "Conv"), ("ai.onnx", 13, "Cast")], {CONV: FLOAT_CONV, Operator("ai.onnx", "Cast"): FLOAT_CONV}
    )
    arm = close(ops, "aarch64", types=("float", "MLFloat16"))
    assert {Need("com.microsoft", 1, "NhwcFusedConv"), Need("ai.onnx", 13, "Transpose")} <= arm.needs
    assert arm.types_of(CONV) == Types.of({0: ["float", "MLFloat16"]})
    x86 = close(ops, types=("float", "MLFloat16"))
    assert Need("com.microsoft", 1, "NhwcFusedConv") not in x86.needs
    assert x86.types_of(CONV) == FLOAT_CONV
    for closed in (arm, x86):  # casts of types that the rules don't know
        assert not closed.types_of(Operator("ai.onnx", "Cast"))
    assert close(ops, "aarch64").types_of(CONV) == FLOAT_CONV


def test_quantized_weights_may_change_their_sign() -> None:
    operator = Operator("ai.onnx", "DequantizeLinear")
    ops = OpSet.of([("ai.onnx", 13, "DequantizeLinear")], {operator: Types.of({0: ["int8_t", "int32_t"]})})
    assert close(ops).types_of(operator) == Types.of({0: ["int8_t", "uint8_t", "int32_t"]})


@given(opsets().filter(lambda ops: not ops.everything and ops.allowed is None))
def test_closing_only_adds_and_is_done_once(ops: OpSet) -> None:
    closed = close(ops)
    assert closed.needs >= ops.needs
    assert close(closed) == closed
    assert all(ops.types_of(op) | closed.types_of(op) == closed.types_of(op) for op in ops.operators)


def test_the_data_names_operators_and_architectures_that_there_are() -> None:
    data, known = rules.shipped(), vocabulary.shipped()
    for rule in data.rules:
        for text in (*rule.when, *rule.beside, *rule.add):
            domain, _, rest = text.partition(":")
            assert text == "*" or known.has_operator(domain, rest.rpartition(":")[2]), text
            assert text == "*" or known.builtin(domain), text
    families = set(data.families)
    assert all(families >= set(line.families) for line in (*data.rules, *data.absent, *data.beside))
    arm = {target.arch for target in manifests.load(None).targets.values() if target.arch.startswith(("arm", "aarch"))}
    assert arm <= {arch for arches in data.families.values() for arch in arches}
