"""The kernel index: names of registrations, static libraries, and the C source of a choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ortpack_build.base.ar import read_archive
from ortpack_build.base.errors import BinaryError, SourceError
from ortpack_build.kernels.index import KernelId, parse_symbol, read_index
from ortpack_build.kernels.select import tables_source
from ortpack_build.origin.source.tables import Table

if TYPE_CHECKING:
    from pathlib import Path


def _mangled(name: str, *, nested: str = "", substitution: str = "S_") -> str:
    return f"_ZN11onnxruntime{nested}21BuildKernelCreateInfoIN{substitution}{len(name)}{name}EEENS_16KernelCreateInfoEv"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kCpuExecutionProvider_Relu_kOnnxDomain_ver6_12_double", ("", "Relu", 6, 12, ("double",))),
        ("kCpuExecutionProvider_Relu_kOnnxDomain_ver14", ("", "Relu", 14, None, ())),
        ("kCpuExecutionProvider_Conv_kMSNchwcDomain_ver1_float", ("com.microsoft.nchwc", "Conv", 1, None, ("float",))),
        (
            "kCpuExecutionProvider_LabelEncoder_kMLDomain_ver2_3_float_string",
            ("ai.onnx.ml", "LabelEncoder", 2, 3, ("float", "string")),
        ),
        (
            "kCpuExecutionProvider_OneHot_kOnnxDomain_ver9_10_int64_t_string_int64_t",
            ("", "OneHot", 9, 10, ("int64_t", "string", "int64_t")),
        ),
        (
            "kCpuExecutionProvider_Cast_kOnnxDomain_ver19_Float8E4M3FNUZ",
            ("", "Cast", 19, None, ("Float8E4M3FNUZ",)),
        ),
        ("kCpuExecutionProvider_X_Y_kMSDomain_ver1_odd_thing", ("com.microsoft", "X_Y", 1, None, ("odd_thing",))),
    ],
)
@pytest.mark.parametrize("form", [{}, {"nested": "7contrib", "substitution": "S0_"}])
def test_names(name: str, expected: tuple[object, ...], form: dict[str, str]) -> None:
    kernel = parse_symbol(_mangled(name, **form), "t")
    assert (kernel.domain, kernel.op, kernel.since, kernel.until, kernel.types) == expected


@pytest.mark.parametrize("symbol", ["main", "_ZN1a1bEv", _mangled("kCpuExecutionProvider_Relu_kNewDomain_ver6")])
def test_names_that_are_not_understood(symbol: str) -> None:
    with pytest.raises(SourceError, match="not understood"):
        parse_symbol(symbol, "t")


def test_the_opsets_that_a_kernel_serves() -> None:
    old = parse_symbol(_mangled("kCpuExecutionProvider_Relu_kOnnxDomain_ver6_12_float"), "t")
    assert [opset for opset in range(20) if old.serves(opset)] == [6, 7, 8, 9, 10, 11, 12]
    new = parse_symbol(_mangled("kCpuExecutionProvider_Relu_kOnnxDomain_ver14_float"), "t")
    assert new.serves(14)
    assert new.serves(99)
    assert not new.serves(13)


def test_operators_of_other_domains_are_named_with_them() -> None:
    names = ("kCpuExecutionProvider_Elu_kOnnxDomain_ver22", "kCpuExecutionProvider_Elu_kMSDomain_ver1")
    assert [parse_symbol(_mangled(name), "t").operator_name for name in names] == ["Elu", "com.microsoft:Elu"]


def test_tables_as_c() -> None:
    tables = [
        Table(id="a", entries=2, conditional=0, optional=False),
        Table(id="b", entries=1, conditional=0, optional=True),
    ]
    kernel = KernelId(domain="", op="Abs", since=1, until=None, types=(), table="a", symbol="_Z3abs")
    assert tables_source(tables, [kernel, kernel]).splitlines() == [
        "#include <stddef.h>",
        'extern void k0(void) __asm__("_Z3abs");',
        "void (*const ortpack_kernels_a[])(void) = {k0};",
        "const size_t ortpack_kernels_a_count = 1;",
        "void (*const ortpack_kernels_b[])(void) = {0};",
        "const size_t ortpack_kernels_b_count = 0;",
    ]


@pytest.mark.parametrize("data", [b"", b"!<arch>\n", b"!<arch>\n" + b"x" * 70, b"\x7fELF" + b"\0" * 100])
def test_no_static_library(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.a").write_bytes(data)
    with pytest.raises(BinaryError):
        read_archive(tmp_path / "a.a")


def test_objects_without_tables() -> None:
    with pytest.raises(SourceError, match="no kernel table"):
        read_index([], [])
    with pytest.raises(SourceError, match="has 0 entries in the objects, but 2 to 3"):
        read_index([], [Table(id="a", entries=2, conditional=1, optional=False)])
