"""What a library may be without: what MLAS's structure holds, for readers that are not in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortpack_build.kernels import unread_mlas
from ortpack_build.kernels.unread_mlas import RemovableCode
from ortpack_build.sizes import Piece

if TYPE_CHECKING:
    from pathlib import Path

_HEADER = """
extern const T MlasDefault;
struct MLAS_PLATFORM {
    const T* ByDefaultDispatch{&MlasDefault};
    KERNEL* DoubleKernel;
};
"""
_PLATFORM = """
MLAS_PLATFORM::MLAS_PLATFORM() {
    this->DoubleKernel = MlasDoubleSse;
    this->Pool[MlasMaximum] = MlasPoolSse;
    this->NBitDispatch = &MlasNBitAvx2;
    this->Depthwise = MlasDepthwise<uint8_t>;
    this->BlockSize = 8;
}
"""


def _tree(root: Path) -> Path:
    folder = root / "onnxruntime" / "core" / "mlas" / "lib"
    folder.mkdir(parents=True)
    files = {
        "mlasi.h": _HEADER,
        "platform.cpp": _PLATFORM,
        "dgemm.cpp": '#include "mlasi.h"\nauto k = GetMlasPlatform().DoubleKernel;',
        "nbit.h": "auto d = GetMlasPlatform().NBitDispatch;",
        "nbit.cpp": '#include "nbit.h"\n',
        "pool.cpp": '#include "mlasi.h"\nGetMlasPlatform() . Pool[0](); // not DoubleKernel',
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return root


def test_symbols_and_who_reads_their_fields(tmp_path: Path) -> None:
    sources = unread_mlas._sources(_tree(tmp_path) / "onnxruntime" / "core" / "mlas" / "lib")
    stored = unread_mlas._stored(sources)
    assert stored == {
        "MlasDoubleSse": {"DoubleKernel"},
        "MlasPoolSse": {"Pool"},
        "MlasNBitAvx2": {"NBitDispatch"},
        "MlasDefault": {"ByDefaultDispatch"},
    }
    assert unread_mlas._readers("DoubleKernel", sources) == {"dgemm.cpp"}
    assert unread_mlas._readers("Pool", sources) == {"pool.cpp"}
    assert unread_mlas._readers("NBitDispatch", sources) == {"nbit.h", "nbit.cpp"}
    assert unread_mlas._readers("ByDefaultDispatch", sources) == set()


def test_a_tree_without_mlas_spares_nothing(tmp_path: Path) -> None:
    assert unread_mlas.find(tmp_path, []) == ()


def test_what_is_read_is_not_spared() -> None:
    double = RemovableCode(symbols=("MlasDoubleSse",), readers=("dgemm.cpp.o:.text.a", "dgemm.cpp.o:.text.b"))
    nbit = RemovableCode(symbols=("MlasNBitAvx2",), readers=("nbit.cpp.o:.text.a",))
    unread = RemovableCode(symbols=("MlasDefault",), readers=())
    pieces = [
        Piece(".text", "libonnxruntime_mlas.a(dgemm.cpp.o)", ".text.b", 8),
        Piece(".text", "libonnxruntime_mlas.a(nbit.cpp.o)", ".text.other", 8),
        Piece(".text", "tables.o", ".text.a", 8),
    ]
    assert unread_mlas.still_removable([double, nbit, unread], pieces) == [nbit, unread]


def test_a_function_that_gives_one_field_reads_no_other() -> None:
    text = """
    size_t MLASCALL MlasBlockSize(
        void
        )
    /*++ Returns one { if it has none }. --*/
    {
    #if defined(HERE)
        return GetMlasPlatform().BlockSize;
    #else
        return 1;
    #endif
    }
    size_t MlasPlain() { return GetMlasPlatform().Other; }
    size_t MlasMore(void) { Kernel(); return GetMlasPlatform().Other; }
    size_t MlasOf(int x) { return GetMlasPlatform().Other; }
    size_t MlasTwo() { return GetMlasPlatform().Other + GetMlasPlatform().BlockSize; }
    """
    assert unread_mlas._getters({"a.cpp": text}) == {"_Z13MlasBlockSizev": "BlockSize", "_Z9MlasPlainv": "Other"}
