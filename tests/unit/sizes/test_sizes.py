"""What a library's bytes are: maps of links as linkers print them, and rows that add up."""

from __future__ import annotations

import os
import re
import sys
import zipfile
from pathlib import Path

import pytest

from ortpack_build import sizes
from ortpack_build.base.errors import KitError
from ortpack_build.cli.main import main
from ortpack_build.sizes import Piece, Row, Sizes
from ortpack_build.sizes.model import load


def _symbol(op: str) -> str:
    name = f"kCpuExecutionProvider_{op}_kOnnxDomain_ver22"
    return f"_ZN11onnxruntime21BuildKernelCreateInfoINS_{len(name)}{name}EEENS_16KernelCreateInfoEv"


_SYMBOL = _symbol("Elu")
_PROVIDERS = "/k/lib/libonnxruntime_providers.a(act.cc.o)"
_LLD = f"""\
             VMA              LMA     Size Align Out     In      Symbol
             270              270       18     8 .dynsym
             270              270       18     8         <internal>:(.dynsym)
           e9380            e9380       1c     4 .gcc_except_table
           e9390            e9390       18     4         {_PROVIDERS}:(.gcc_except_table.{_SYMBOL})
          165b60           165b60       90     8 .eh_frame
          165b60           165b60       90     1         /k/lib/libonnxruntime_session.a(api.cc.o):(.eh_frame+0x3b4)
          2522c0           2522c0      213    32 .text
          2522c0           2522c0      213    16         /k/lib/libonnxruntime_common.a(threads.cc.o):(.text._Zf(x))
          2522c0           2522c0      213     1                 threads::f(lambda)::operator:(g)
          b202d0           b202d0       20    16         /z/libc++abi.a(/z/7e75/new.o):(.text._Znwm)
"""
_GNU = f"""\
Archive member included to satisfy reference by file (symbol)

/k/lib/libonnxruntime_common.a(a.o)
                              /tmp/m.o (f)

Discarded input sections

 .text.gone     0x0000000000000000       0x16 /tmp/m.o

Linker script and memory map

LOAD /tmp/m.o
                0x0000000000000000                PROVIDE (__executable_start = SEGMENT_START ("text-segment", 0x0))

.text           0x0000000000001040      0x125
 *(.text .stub)
 *fill*         0x0000000000001040        0x2
 .text.f        0x0000000000001042       0x16 /tmp/m.o
                0x0000000000001042                f
 .gcc_except_table.{_SYMBOL}
                0x0000000000001100       0x11 /k/lib/libonnxruntime_providers.a(act.cc.o)

.eh_frame       0x0000000000002000       0x48
 .eh_frame      0x0000000000002000       0x48 /usr/lib/crti.o
                                         0x58 (size before relaxing)
 .eh_frame      0x0000000000002048        0x0 /tmp/m.o

/DISCARD/
 .note.x        0x0000000000000000       0x30 /tmp/m.o
"""


def test_a_map_of_lld() -> None:
    assert sizes.read_map(f"warning: of the linker\n{_LLD}") == (
        Piece(".dynsym", "<internal>", ".dynsym", 0x18),
        Piece(
            ".gcc_except_table",
            "libonnxruntime_providers.a(act.cc.o)",
            f".gcc_except_table.{_SYMBOL}",
            0x18,
        ),
        Piece(".eh_frame", "libonnxruntime_session.a(api.cc.o)", ".eh_frame", 0x90),
        Piece(".text", "libonnxruntime_common.a(threads.cc.o)", ".text._Zf(x)", 0x213),
        Piece(".text", "libc++abi.a(new.o)", ".text._Znwm", 0x20),
    )


def test_a_map_of_gnu_ld() -> None:
    assert sizes.read_map(_GNU) == (
        Piece(".text", "m.o", ".text.f", 0x16),
        Piece(
            ".text",
            "libonnxruntime_providers.a(act.cc.o)",
            f".gcc_except_table.{_SYMBOL}",
            0x11,
        ),
        Piece(".eh_frame", "crti.o", ".eh_frame", 0x48),
    )


@pytest.mark.parametrize("text", ["", "a warning\n", "Out In Symbol", "Linker script and memory map\n"])
def test_what_is_no_map(text: str) -> None:
    assert sizes.read_map(text) == ()


@pytest.mark.parametrize(
    ("section", "object_", "row"),
    [
        (".rela.dyn", "<internal>", "relocations"),
        (".relr.dyn", "<internal>", "relocations"),
        (".rel.dyn", "<internal>", "relocations"),
        (".gnu.version_r", "<internal>", "dynamic linking"),
        (".plt", "<internal>", "dynamic linking"),
        (".rodata", "<internal>", "merged strings and constants"),
        (".text", "libonnxruntime_providers.a(conv.cc.o)", "kernels"),
        (".text", "libonnxruntime_mlas.a(sgemm.cpp.o)", "MLAS"),
        (".eh_frame", "libonnx_proto.a(onnx-ml.pb.cc.o)", "onnx"),
        (".text", "libprotobuf-lite.a(message_lite.cc.o)", "protobuf"),
        (".text", "libc++abi.a(new.o)", "C++ library and unwinder"),
        (".data", "tables.o", "kernel tables"),
        (".text", "nb_type.o", "Python binding"),
    ],
)
def test_rows_are_data(section: str, object_: str, row: str) -> None:
    fits = [
        line.name
        for line in load().subsystems
        if re.search(line.sections, section) and re.search(line.objects, object_)
    ]
    assert fits[0] == row


def _this_python(tmp_path: Path) -> Path:
    """A real library: the interpreter, which has no map."""
    file = tmp_path / "libonnxruntime.so.1.2.3"
    file.write_bytes(Path(os.path.realpath(sys.executable)).read_bytes())
    return file


def test_a_piece_belongs_to_the_operator_that_its_name_tells(tmp_path: Path) -> None:
    """And else to all that its object registers; what is left of the file is told too."""
    library = _this_python(tmp_path)
    operators = {_SYMBOL: "Elu", _symbol("ReluX"): "ReluX"}
    object_ = "libonnxruntime_providers.a(act.cc.o)"
    pieces = [
        Piece(".text", object_, f".text.{_SYMBOL}", 10),
        Piece(".text", object_, f".text.{_symbol('ReluX')}", 20),
        Piece(".text", object_, ".text._ZN11onnxruntime3EluIfE7ComputeEv", 40),
        Piece(".text", object_, ".text._ZN11onnxruntime13EluIfE7ComputeEv", 80),  # 13EluIfE7Comput is another class
        Piece(".rodata", object_, ".rodata", 100),
        Piece(".text", "libonnxruntime_providers.a(pool.cc.o)", ".text._Zx", 160),
        Piece(".bss", object_, ".bss", 1000),  # not in the file
    ]
    found = sizes.measure(library, pieces, operators)
    assert sum(row.size for row in found.rows) == found.size == library.stat().st_size
    rows = {row.operators: (row.code, row.data) for row in found.rows if row.subsystem == "kernels"}
    assert rows == {("Elu",): (50, 0), ("ReluX",): (20, 0), ("Elu", "ReluX"): (80, 100), (): (160, 0)}


def test_the_file_round_trips_and_must_add_up() -> None:
    value = Sizes(
        library="x",
        sha256="ab",
        size=7,
        rows=(Row(subsystem="a", code=3, operators=("b",)), Row(subsystem="c", data=4)),
    )
    assert sizes.parse(sizes.dump(value), "x") == value
    assert len(sizes.dump(value).splitlines()) == 4
    with pytest.raises(KitError, match="do not add up to 7 bytes"):
        sizes.parse(sizes.dump(value).replace(b":3", b":2"), "x")
    with pytest.raises(KitError, match="x is damaged"):
        sizes.parse(b"{", "x")


@pytest.mark.parametrize(
    ("name", "content", "code", "message"),
    [
        ("none.whl", None, 2, "There is no file"),
        ("text.so", b"text", 7, "is no native library"),
        ("text.whl", b"text", 6, "is no sound wheel"),
        ("empty.whl", {}, 2, "it has no runtime.json"),
        ("bad.whl", {"ortpack_runtimes/x/runtime.json": b"{"}, 2, "can't be read"),
        ("folder", {}, 2, "runtime.json does not exist"),
    ],
)
def test_what_can_not_be_explained(
    name: str,
    content: bytes | dict[str, bytes] | None,
    code: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / name
    if name == "folder":
        file.mkdir()
    elif isinstance(content, dict):
        with zipfile.ZipFile(file, "w") as archive:
            for member, data in content.items():
                archive.writestr(member, data)
    elif content is not None:
        file.write_bytes(content)
    assert main(["explain", str(file)]) == code
    out, err = capsys.readouterr()
    assert (out, message in err, "Traceback" in err) == ("", True, False), err


def test_a_library_without_its_map_is_told_by_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = _this_python(tmp_path)
    assert main(["explain", str(library)]) == 0
    out, err = capsys.readouterr()
    assert "does not say how its library was linked" in err
    lines = {line.split()[0]: line.split()[-1] for line in out.splitlines()}
    assert ".text" in lines
    assert lines["all"] == f"{library.stat().st_size:,}"
