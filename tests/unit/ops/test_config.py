"""Reading and writing configs, and their union."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortpack_build.base.errors import OpConfigError
from ortpack_build.ops import Need, Operator, OpSet, Types, parse, read, union, write
from ortpack_build.ops.vocabulary import shipped
from support.opsets import opsets

if TYPE_CHECKING:
    from pathlib import Path

CAST = Operator("ai.onnx", "Cast")

# As upstream's tools write it, each form of the format once.
UPSTREAM = """\
# Generated from model/s:
# - a.ort
ai.onnx;11;Clip{"inputs": {"0": ["float"]}},If
ai.onnx;13;Cast{"inputs": {"0": ["float", "int64_t"]}, "outputs": {"0": ["bool", "float"]}},Concat,\
OneHot{"custom": [["float", "int64_t", "int64_t"], ["int64_t", "std::string", "int64_t"]]}
com.microsoft;1;FusedConv
"""


def test_reads_what_upstream_writes() -> None:
    ops = parse(UPSTREAM)
    assert ops.needs == {
        Need("ai.onnx", 11, "Clip"),
        Need("ai.onnx", 11, "If"),
        Need("ai.onnx", 13, "Cast"),
        Need("ai.onnx", 13, "Concat"),
        Need("ai.onnx", 13, "OneHot"),
        Need("com.microsoft", 1, "FusedConv"),
    }
    assert ops.types_of(CAST) == Types.of({0: ["int64_t", "float"]}, {0: ["float", "bool"]})
    assert ops.types_of(Operator("ai.onnx", "OneHot")).custom == {
        ("float", "int64_t", "int64_t"),
        ("int64_t", "std::string", "int64_t"),
    }
    assert not ops.types_of(Operator("ai.onnx", "If"))
    assert ops.allowed is None


def test_writes_what_upstream_writes() -> None:
    lines = [line.removeprefix("# ") for line in UPSTREAM.splitlines() if line.startswith("#")]
    assert write(parse(UPSTREAM), comments=lines) == UPSTREAM


def test_whitespace_comments_line_ends_and_repetition() -> None:
    ops = parse(
        '\n  # note\r\n\t ai.onnx ; 11 , 13 ; Add , Cast {"inputs": {"0": ["float"]}} , If,\r\n;7;Add\rai.onnx;7;Mul'
    )
    assert ops.needs == {
        Need("ai.onnx", opset, name)
        for opset, name in [*itertools.product((11, 13), ("Add", "Cast", "If")), (7, "Add"), (7, "Mul")]
    }
    assert ops.types_of(CAST) == Types.of({0: ["float"]})


def test_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "ops.config"
    path.write_text("\ufeffai.onnx;1;Add\n", encoding="utf-8")
    assert read(path) == OpSet.of([("ai.onnx", 1, "Add")])


def test_globally_allowed_types() -> None:
    ops = parse("!globally_allowed_types; float , int64_t\nai.onnx;13;Add\n")
    assert ops.allowed == frozenset({"float", "int64_t"})


@pytest.mark.parametrize("text", ["", "# nothing\n\n", "!globally_allowed_types;float\n"])
def test_nothing_is_needed(text: str) -> None:
    assert not parse(text)


def test_no_operators_may_mean_all_of_them() -> None:
    assert parse("!no_ops_specified_means_all_ops_are_required").everything
    some = parse("!no_ops_specified_means_all_ops_are_required\nai.onnx;13;Add")
    assert some == OpSet.of([("ai.onnx", 13, "Add")])


def test_an_operator_that_is_there_twice_may_have_the_types_of_both() -> None:
    ops = parse(
        'ai.onnx;9;Cast{"inputs": {"0": ["float"]}, "outputs": {"0": ["bool"]}}\n'
        'ai.onnx;13;Cast{"inputs": {"0": ["int8_t"]}}\n'
    )
    assert ops.types_of(CAST) == Types.of({0: ["float", "int8_t"]})
    assert not parse('ai.onnx;9;Cast{"inputs": {"0": ["float"]}}\nai.onnx;13;Cast\n').types_of(CAST)


MISTAKES = [
    ("ai.onnx", 1, 8, "semicolon is expected after the domain"),
    ("ai.onnx;13", 1, 11, "semicolon is expected after the opsets"),
    ("ai.onnx;13;", 1, 12, "name of an operator is expected"),
    ("ai.onnx;;Add", 1, 9, "name of an opset is expected"),
    ("# fine\nai.onnx;x3;Add", 2, 9, "'x3' is no opset"),
    ("ai.onnx;0;Add", 1, 9, "'0' is no opset"),
    ("ai.onnx;13;Add,,Mul", 1, 16, "name of an operator is expected"),
    ("ai.onnx;13;Add # no", 1, 16, "A comment has a line of its own"),
    ("ai.onnx;13;Add;Mul", 1, 15, "not expected here"),
    ("ai.onnx;13;Add Mul", 1, 16, "not expected here"),
    ("ai.onnx;13;Add}", 1, 15, "not expected here"),
    ('ai.onnx;13;Add{"inputs": {"0": ["float"]}', 1, 42, "not valid JSON"),
    ("ai.onnx;13;Add{inputs}", 1, 16, "not valid JSON"),
    ('ai.onnx;13;Add{"in": {}}', 1, 16, "'in' is unknown. Did you mean inputs?"),
    ('ai.onnx;13;Add{"inputs": ["float"]}', 1, 16, "has to map indices"),
    ('ai.onnx;13;Add{"inputs": {"a": ["float"]}}', 1, 27, "'a' is no index"),
    ('ai.onnx;13;Add{"inputs": {"0": "float"}}', 1, 27, "list of types is expected"),
    ('ai.onnx;13;Add{"inputs": {"0": ["flaot"]}}', 1, 33, "'flaot' is no type. Did you mean float?"),
    ('ai.onnx;13;Add{"inputs": {"0": ["float"], "0": ["bool"]}}', 1, 15, "a key is there twice"),
    ('ai.onnx;13;OneHot{"custom": [1]}', 1, 19, "list of types is expected"),
    ("ai.onnx;13;Add" + '{"a":' * 9999, 1, 15, "not valid JSON"),
    ("!globally_allowed_types;int32", 1, 25, "'int32' is no type. Did you mean int32_t?"),
    ("!globally_allowed_types;", 1, 25, "name of a type is expected"),
    ("!globally_allowed_types", 1, 1, "is unknown"),
    ("!globally_allowed_types;float\n!globally_allowed_types;bool", 2, 1, "a second time"),
    ('!globally_allowed_types;float\nai.onnx;13;Add{"inputs": {"0": ["float"]}}', 2, 15, "can't stand beside"),
    ("!no_ops", 1, 1, "'!no_ops' is unknown"),
    ("!no_ops_specified_means_all_ops_are_required;", 1, 45, "not expected here"),
]


@pytest.mark.parametrize(("text", "line", "column", "problem"), MISTAKES, ids=lambda value: str(value)[:40])
def test_mistakes_say_where(text: str, line: int, column: int, problem: str) -> None:
    with pytest.raises(OpConfigError) as error:
        parse(text, name="my.config")
    assert error.value.paragraph().startswith(f"my.config:{line}:{column}: "), error.value.paragraph()
    assert problem in error.value.paragraph()


def test_unknown_names_say_where_and_what_is_near() -> None:
    known = shipped()
    with pytest.raises(OpConfigError, match=r"^c:1:1: ONNX Runtime has no domain 'ai\.onx'\. Did you mean ai\.onnx\?"):
        parse("ai.onx;1;Add", name="c", vocabulary=known)
    with pytest.raises(OpConfigError, match=r"^c:1:15: ai\.onnx has no operator 'Cats'\. Did you mean Cast\?$"):
        parse("ai.onnx;1;Add,Cats", name="c", vocabulary=known)
    with pytest.raises(OpConfigError) as error:
        parse("test;1;Foo", vocabulary=known)
    assert "--custom-ops" in error.value.hint
    assert parse("test;1;Foo", vocabulary=shipped(custom=["test"])).domains == {"test"}
    assert parse("test;1;Foo", vocabulary=shipped(any_custom=True)).domains == {"test"}


def test_files_that_are_no_config(tmp_path: Path) -> None:
    with pytest.raises(OpConfigError, match=r"can't be read: No such file"):
        read(tmp_path / "missing.config")
    with pytest.raises(OpConfigError, match="can't be read"):
        read(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08\xff\xfe")
    with pytest.raises(OpConfigError, match="is not text"):
        read(tmp_path / "model.onnx")


@given(st.text())
def test_any_text_is_a_config_or_an_error_with_a_place(text: str) -> None:
    try:
        parse(text, name="c")
    except OpConfigError as error:
        name, line, column, _ = str(error).split(":", 3)
        assert (name, line.isdigit(), column.isdigit()) == ("c", True, True)


@given(opsets())
def test_what_is_written_reads_back(ops: OpSet) -> None:
    assert parse(write(ops, comments=["a", "b"])) == ops


@given(opsets(), opsets(), opsets())
def test_union_is_one(a: OpSet, b: OpSet, c: OpSet) -> None:
    assert (a | b) | c == a | (b | c)
    assert a | b == b | a
    assert a | a == a
    assert a | OpSet() == a
    assert union([a, b, c]) == union([c, a, b])


@given(opsets(), opsets())
def test_union_serves_both(a: OpSet, b: OpSet) -> None:
    both = a | b
    for side in (a, b):
        assert both.everything or (side.needs <= both.needs and not side.everything)
        if side:
            assert both.allowed is None or (side.allowed is not None and side.allowed <= both.allowed)
        if both.everything:
            continue
        for operator in side.operators:
            mine, all_of_it = side.types_of(operator), both.types_of(operator)
            assert mine | all_of_it == all_of_it
    if not both.everything:
        assert both.needs == a.needs | b.needs


def test_union_keeps_types_that_upstreams_merge_loses() -> None:
    a = parse('ai.onnx;13;Cast{"inputs": {"0": ["float"]}},Add{"inputs": {"0": ["float"]}}')
    b = parse('ai.onnx;13;Cast{"inputs": {"0": ["bool"]}},Mul{"inputs": {"0": ["double"]}}')
    assert write(a | b) == (
        'ai.onnx;13;Add{"inputs": {"0": ["float"]}},Cast{"inputs": {"0": ["bool", "float"]}},'
        'Mul{"inputs": {"0": ["double"]}}\n'
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"types": {CAST: Types.of({0: ["float"]})}},
        {"needs": [("ai.onnx", 1, "Cast")], "types": {CAST: Types.of({0: ["float"]})}, "allowed": ["float"]},
        {"needs": [("ai.onnx", 1, "Cast")], "everything": True},
    ],
)
def test_values_that_contradict_themselves(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"types of|operators beside"):
        OpSet.of(**arguments)  # type: ignore[arg-type]
