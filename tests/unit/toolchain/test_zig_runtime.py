"""zig's compiler-rt without what libc has: definitions become references, in place."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import lief
import pytest

from ortpack_build.base.errors import BinaryError
from ortpack_build.toolchain.zig_runtime import without

if TYPE_CHECKING:
    from pathlib import Path

_SOURCE = """\
__attribute__((visibility("hidden"), weak)) void* memcpy(void* a, const void* b, __SIZE_TYPE__ n) { return n ? a : 0; }
int keep(void) { static char x[4]; return memcpy(x, x, 4) != 0; }
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
@pytest.mark.parametrize("bits", ["-m64", "-m32"])
def test_definitions_become_references(bits: str, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(_SOURCE)
    compiled = subprocess.run(["gcc", bits, "-c", "-fno-builtin", "a.c"], cwd=tmp_path, check=False)
    if compiled.returncode != 0:
        pytest.skip(f"gcc has no {bits}")
    subprocess.run(["ar", "rcs", "a.a", "a.o"], cwd=tmp_path, check=True)
    before = (tmp_path / "a.a").read_bytes()
    after = without(before, {"memcpy", "x", "nothing"})
    assert len(after) == len(before)
    (tmp_path / "b.o").write_bytes(after[after.index(b"\x7fELF") :])
    parsed = lief.ELF.parse(str(tmp_path / "b.o"))
    assert parsed is not None
    symbols = {str(symbol.name): symbol for symbol in parsed.symbols}
    assert symbols["memcpy"].shndx == 0
    assert symbols["memcpy"].binding == lief.ELF.Symbol.BINDING.GLOBAL
    assert symbols["memcpy"].visibility == lief.ELF.Symbol.VISIBILITY.DEFAULT
    assert symbols["keep"].shndx != 0
    assert without(before, set()) == before


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"!<arch>\n"])
def test_something_else(data: bytes) -> None:
    with pytest.raises(BinaryError):
        without(data, {"memcpy"})
