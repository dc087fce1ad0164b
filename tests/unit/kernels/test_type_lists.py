"""Type reduction: which types the sources ask for, and what they are told."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from ortpack_build.base.ar import read_archive
from ortpack_build.base.errors import BinaryError, SourceError
from ortpack_build.kernels.type_lists import Argument, allowed, asked, inserted, overrides
from ortpack_build.ops import config
from ortpack_build.ops.opset import Operator, OpSet
from support.opsets import opsets

if TYPE_CHECKING:
    from pathlib import Path

_CAST = Operator("ai.onnx", "Cast")
_INPUT, _OUTPUT = Argument(_CAST, "Input", 0), Argument(_CAST, "Output", 0)
_CONFIG = 'ai.onnx;13;Abs,Cast{"inputs": {"0": ["int64_t", "float"]}, "outputs": {"0": ["std::string"]}}'
_LINES = (
    "ORT_SPECIFY_OP_KERNEL_ARG_ALLOWED_TYPES(kOnnxDomain, Cast, Input, 0, float, int64_t);",
    "ORT_SPECIFY_OP_KERNEL_ARG_ALLOWED_TYPES(kOnnxDomain, Cast, Output, 0, std::string);",
)
_FILE = "#define A\n// @@insertion_point_begin(allowed_types)@@\n// @@insertion_point_end(allowed_types)@@\n#undef A\n"


def test_sources_ask_for_types_of_all_versions_or_of_one() -> None:
    source = """
    using A = ORT_OP_KERNEL_ARG_ENABLED_TYPE_LIST_ALL_OPSETS(kCpuExecutionProvider, kOnnxDomain,
                                                             Cast, Output, 0);
    using B = ORT_OP_KERNEL_ARG_ENABLED_TYPE_LIST(
        kCpuExecutionProvider, kMSDomain, QLinearAdd, 12, Input, 1);
    ORT_SPECIFY_OP_KERNEL_ARG_DEFAULT_TYPES(kCpuExecutionProvider, kOnnxDomain, Max, 8, Input, 0, float, double);
    using C = ORT_OP_KERNEL_ARG_ENABLED_TYPE_LIST_ALL_OPSETS(kCpuExecutionProvider, kNobodysDomain, X, Input, 0);
    """
    assert asked(source) == {_OUTPUT, Argument(Operator("com.microsoft", "QLinearAdd"), "Input", 1)}


def test_a_config_becomes_upstreams_lines() -> None:
    ops = config.parse(_CONFIG)
    assert overrides(ops) == _LINES
    others = [_OUTPUT, _INPUT, Argument(Operator("ai.onnx", "Abs"), "Input", 0), Argument(_CAST, "Input", 1)]
    assert allowed(ops, others) == {_INPUT: ("float", "int64_t"), _OUTPUT: ("std::string",)}


def test_types_that_are_allowed_for_all() -> None:
    ops = config.parse("!globally_allowed_types;float,bool\nai.onnx;13;Cast\n")
    assert overrides(ops) == ("ORT_SPECIFY_OP_KERNEL_GLOBAL_ALLOWED_TYPES(bool, float);",)
    assert allowed(ops, [_INPUT]) == {_INPUT: ("bool", "float")}


def test_without_types_nothing_is_said() -> None:
    ops = config.parse("ai.onnx;13;Cast\nmy.domain;1;aten::mul")
    assert (overrides(ops), allowed(ops, [_INPUT])) == ((), {})


@given(opsets(), opsets())
def test_a_type_that_is_asked_for_is_always_allowed(one: OpSet, other: OpSet) -> None:
    """By the one list or the other, and by what serves both."""
    for ops in (one, one | other):
        told = [re.fullmatch(r"\w+\((\w+), (\w+), (\w+), (\d+), (.*)\);", line) for line in overrides(ops)]
        lines = {
            match.groups()[1:4]: set(match[5].split(", ")) for match in told if match and match[1] == "kOnnxDomain"
        }
        for operator, types in one.types if one.allowed is None else ():
            for side, values in (("Input", types.inputs), ("Output", types.outputs)):
                for index, names in values:
                    argument = Argument(operator, side, index)
                    assert names <= set(allowed(ops, [argument]).get(argument, names))
                    if operator.domain == "ai.onnx":
                        assert names <= lines.get((operator.name, side, str(index)), names)


def test_lines_take_the_place_of_older_ones() -> None:
    text = inserted(_FILE, _LINES)
    assert text.splitlines()[1:5] == [_FILE.splitlines()[1], *_LINES, _FILE.splitlines()[2]]
    assert inserted(text, ()) == _FILE


@pytest.mark.parametrize("text", ["", _FILE.replace("begin", "start"), _FILE.replace("end", "stop")])
def test_a_file_without_a_place_for_them(text: str) -> None:
    with pytest.raises(SourceError, match="no place for the types"):
        inserted(text, _LINES)


@pytest.mark.skipif(shutil.which("ar") is None, reason="no ar")
def test_members_of_a_library_are_exchanged_by_number(tmp_path: Path) -> None:
    names = ["a.o", "a_name_that_is_longer_than_a_header_has_room.o", "c.o"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.o").write_bytes(b"the other")
    library = tmp_path / "lib.a"
    subprocess.run(["ar", "qcS", library.name, *names, "sub/a.o"], cwd=tmp_path, check=True)
    with pytest.raises(BinaryError, match=r"lib\.a has no symbol table"):
        read_archive(library)
    source = tmp_path / "f.c"
    source.write_text("int f(void) { return 1; }\n")
    subprocess.run(["cc", "-c", "f.c"], cwd=tmp_path, check=True)
    subprocess.run(["ar", "qcs", library.name, "f.o"], cwd=tmp_path, check=True)

    read = read_archive(library)
    assert (read.names, read.symbols) == ((*names, "a.o", "f.o"), {"f": (4,)})
    library.write_bytes(read.exchanged({1: b"odd", 3: b"much longer than it was", 0: b""}))
    subprocess.run(["ranlib", library.name], cwd=tmp_path, check=True)
    again = read_archive(library)
    assert [data for _, data in again.members()][:4] == [b"", b"odd", b"c.o", b"much longer than it was"]
    assert (again.names, again.symbols) == (read.names, read.symbols)
