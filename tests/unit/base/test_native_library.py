from __future__ import annotations

from typing import TYPE_CHECKING

import lief
import pytest

from ortpack_build.base.errors import BinaryError
from ortpack_build.base.native_library import (
    build_paths,
    collectors,
    inspect,
    split_version,
    traces_events,
    whence,
)
from ortpack_build.catalog import manifests

if TYPE_CHECKING:
    from pathlib import Path

LIBRARIES = {
    "system": ("libc.so.6", "api-ms-win-*.dll", "/System/Library/Frameworks/*"),
    "vc-redist": ("MSVCP140.dll",),
}


@pytest.mark.parametrize(
    ("library", "os", "origin"),
    [
        ("libc.so.6", "linux", "system"),
        ("LIBC.so.6", "linux", None),
        ("libc.so.6.evil", "linux", None),
        ("libmine.so", "linux", "bundle"),
        ("api-ms-win-crt-heap-l1-1-0.dll", "windows", "system"),
        ("msvcp140.DLL", "windows", "vc-redist"),
        ("LibMine.SO", "windows", "bundle"),
        ("/System/Library/Frameworks/CoreML.framework/Versions/A/CoreML", "macos", "system"),
        ("/usr/local/lib/libevil.dylib", "macos", None),
        ("@rpath/libmine.so", "macos", "bundle"),
    ],
)
def test_where_a_library_comes_from(library: str, os: str, origin: str | None) -> None:
    assert whence(library, LIBRARIES, ["libmine.so"], os) == origin


@pytest.mark.parametrize(
    ("version", "parts"),
    [
        ("GLIBC_2.28", ("GLIBC", "2.28")),
        ("GLIBCXX_3.4.22", ("GLIBCXX", "3.4.22")),
        ("GLIBC_PRIVATE", None),
        ("CXXABI_TM_1", None),
        ("GLIBC_ABI_DT_RELR", None),
    ],
)
def test_symbol_versions(version: str, parts: tuple[str, str] | None) -> None:
    assert split_version(version) == parts


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        b"\x7fELF",
        b"\x7fELF" + bytes(60),
        b"MZ" + bytes(100),
        b"\xcf\xfa\xed\xfe" + bytes(40),
        b"\xca\xfe\xba\xbe" + bytes(40),
    ],
)
def test_what_is_no_library_is_a_clear_error(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "lib.so"
    file.write_bytes(data)
    with pytest.raises(BinaryError, match=r"lib\.so"):
        inspect(file)


@pytest.mark.parametrize(
    ("data", "paths"),
    [
        (b"\0/home/me/work/session.cc\0", ("/home/me/work/session.cc",)),
        (b"(/onnxruntime_src/core/a.h:12)", ("/onnxruntime_src/core/a.h",)),
        (b"\0/root/.cache/x\0/build/y\0", ("/build/y", "/root/.cache/x")),
        (b"/usr/lib/gcc/crtbegin.o twice /usr/lib/gcc/crtbegin.o", ("/usr/lib/gcc/crtbegin.o",)),
        (b"\0C:\\a\\_work\\1\\b\\file.cc\0", (r"C:\a\_work\1\b\file.cc",)),
        (b"src/onnxruntime/core/a.cc\0../b.h\0", ()),
        (b"/proc/self/maps\0/sys/devices/system/cpu\0/dev/urandom\0/etc/localtime", ()),
        (b"https://onnxruntime.ai/docs/a.html\0text/x.cc\0and/or", ()),
    ],
)
def test_paths_of_a_builder(data: bytes, paths: tuple[str, ...]) -> None:
    assert build_paths(data) == paths


def test_telemetry_is_told_by_its_collector() -> None:
    assert collectors(b"\0https://b.example/OneCollector/1.0/\0https://a.example/OneCollector/1.0\0") == (
        "a.example",
        "b.example",
    )
    assert collectors(b"https://example.org/docs\0OneCollector") == ()


@pytest.mark.parametrize(
    ("data", "traced"),
    [
        (b"MZ\0Microsoft.ML.ONNXRuntime\0", True),
        (b"MZ\0Microsoft.ML.ONNXRuntime.Gpu\0", False),  # a package's name
        (b"\x7fELF\0Microsoft.ML.ONNXRuntime\0", False),
    ],
)
def test_events_of_windows(data: bytes, traced: bool) -> None:
    assert traces_events(data) is traced


def test_every_target_has_a_machine_that_its_libraries_can_name() -> None:
    machines = {
        "linux": lief.ELF.ARCH.__members__,
        "windows": lief.PE.Header.MACHINE_TYPES.__members__,
        "macos": lief.MachO.Header.CPU_TYPE.__members__,
    }
    catalog = manifests.load()
    for target in catalog.targets.values():
        assert target.machine in machines[target.os], target.name
        assert catalog.machine(target.os, target.arch) == target.machine
    assert catalog.machine("linux", "pdp11") is None
