"""Kits: compiled, linked and run for real, of a very small ONNX Runtime; and everything that can go wrong."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import lief
import msgspec
import pytest
from platformdirs import user_cache_path

from ortpack_build.base.cache import Cache
from ortpack_build.base.errors import ArchiveError, KitError, SourceError, StorageError, ToolError
from ortpack_build.base.native_library import inspect
from ortpack_build.kit import Kit, expect, pack, read, unpack
from ortpack_build.link import Library, link_shared
from ortpack_build.toolchain import Zig, pinned_programs, set_up
from support.command import run
from support.contexts import context

from .conftest import ORT, Tiny

_GLIBC_2_17 = {f"GLIBC_2.{minor}" for minor in range(18)} | {f"GLIBC_2.{a}.{b}" for a in range(18) for b in range(9)}
_API = "onnxruntime/core/session/onnxruntime_c_api.cc"
_TABLE = "onnxruntime/core/providers/cpu/cpu_execution_provider.cc"


def _link(tiny: Tiny, kit: Kit, ops: set[str] | None = None, *, into: str = "link") -> Library:
    work = tiny.folder / into
    work.mkdir(parents=True)
    place = set_up(tiny.toolchain, work, tiny.context, 2)
    chosen = [kernel for kernel in kit.kernels if ops is None or kernel.op in ops]
    return link_shared(kit, chosen, place)


def _digest(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_kit_and_its_libraries(tiny: Tiny) -> None:
    kit = tiny.make()
    assert [(k.domain, k.op, k.since, k.until, k.types) for k in kit.kernels] == [
        ("", "Abs", 6, None, ("float",)),
        ("com.microsoft", "Gelu", 1, None, ()),
    ]
    assert {path.name for path in (kit.path / "lib").iterdir()} == {"libproviders.a", "libsession.a"}
    assert (kit.path / "include" / "onnxruntime_c_api.h").is_file()
    assert (kit.path / "licenses" / "onnxruntime-LICENSE").is_file()
    assert not (tiny.cache.root / "work" / kit.about.key).exists()
    expect(kit, target=tiny.target, flavour="ort", ort=ORT)
    assert "executor" in kit.about.flags
    assert "inlined" not in kit.about.flags  # only for toolchains that know its flags, and this is GCC

    for ops, total in ((None, 11), ({"Abs"}, 1), ({"Gelu"}, 10), (set(), 0)):
        library = _link(tiny, kit, ops, into=f"link{total}")
        loaded = ctypes.CDLL(str(library.path))
        assert loaded.OrtGetApiBase() == total
        loaded.OrtSessionOptionsAppendExecutionProvider_CPU.restype = ctypes.c_char_p
        assert loaded.OrtSessionOptionsAppendExecutionProvider_CPU() == f"../src/onnxruntime/{_API}".encode()


def test_a_library_is_hardened_and_exports_the_api_only(tiny: Tiny) -> None:
    library = _link(tiny, tiny.make()).path
    assert library.name == f"libonnxruntime.so.{ORT}"
    elf = lief.ELF.parse(str(library))
    assert elf is not None
    assert {symbol.name for symbol in elf.exported_symbols} == {
        "OrtGetApiBase",
        "OrtSessionOptionsAppendExecutionProvider_CPU",
    }
    entries = {entry.tag: entry for entry in elf.dynamic_entries}
    tags = lief.ELF.DynamicEntry.TAG
    assert entries[tags.SONAME].name == library.name  # type: ignore[attr-defined]
    assert entries[tags.FLAGS_1].has(lief.ELF.DynamicEntryFlags.FLAG.NOW)  # type: ignore[attr-defined]
    assert not {tags.RPATH, tags.RUNPATH, tags.TEXTREL} & set(entries)
    segments = {segment.type: segment for segment in elf.segments}
    assert lief.ELF.Segment.TYPE.GNU_RELRO in segments
    assert not segments[lief.ELF.Segment.TYPE.GNU_STACK].has(lief.ELF.Segment.FLAGS.X)
    assert str(tiny.folder).encode() not in library.read_bytes()


def _with_zig(tiny: Tiny) -> Tiny:
    kits = tiny.kits
    line, tool = kits.target(tiny.target), kits.tool("zig", tiny.target)
    root = os.environ.get("ORTPACK_BUILD_CACHE") or user_cache_path("ortpack-build", appauthor=False)
    kept = Path(root).absolute()
    program = pinned_programs.obtain(tool, context(kept))
    # libc++ takes zig a minute to compile; it is kept where the tools are.
    kept.joinpath("toolchain").mkdir(parents=True, exist_ok=True)
    tiny.cache.root.mkdir(exist_ok=True)
    tiny.cache.root.joinpath("toolchain").symlink_to(kept / "toolchain")
    zig = Zig(
        program=program,
        version=tool.version,
        target=line.zig_target,
        wheel_tag=line.wheel_tag,
        cross=False,
        system=line.system,
        processor=line.processor,
        link=kits.zig.link,
    )
    return replace(tiny, toolchain=zig)


@pytest.mark.slow
def test_sections_that_a_kit_discards_are_in_none_of_its_libraries(tiny: Tiny) -> None:
    tiny = _with_zig(tiny)
    kit = tiny.make()
    without = msgspec.structs.replace(kit.about.recipe, discard=(".eh_frame",))
    other = replace(kit, about=msgspec.structs.replace(kit.about, recipe=without))
    whole, less = (_link(tiny, one, into=f"link{number}").path for number, one in enumerate((kit, other)))
    parsed = [lief.ELF.parse(str(path)) for path in (whole, less)]
    sections = [{section.name for section in elf.sections} for elf in parsed if elf]
    assert sections[0] - sections[1] == {".eh_frame", ".eh_frame_hdr"}
    assert ctypes.CDLL(str(less)).OrtGetApiBase() == 11


@pytest.mark.slow
def test_zig_needs_nothing_of_the_machine(tiny: Tiny) -> None:
    # It calls a function of libgcc's, which brings zig's own memcpy along, and memcpy, which must be libc's.
    api = "onnxruntime/core/session/onnxruntime_c_api.cc"
    tiny.files[api] = tiny.pinned().suppliers["here"].archives[0].write[api] + (
        "#include <cstring>\n"
        'extern "C" void OrtSessionOptionsAppendExecutionProvider_CPU2(unsigned __int128* a, char* b, size_t n) {\n'
        "  *a /= a[1]; std::memcpy(b, b + n, n); }\n"
    )
    kits, line = tiny.kits, tiny.kits.target(tiny.target)
    kits = msgspec.structs.replace(
        kits,
        link=msgspec.structs.replace(
            kits.link, roots=(*kits.link.roots, "OrtSessionOptionsAppendExecutionProvider_CPU2")
        ),
    )
    tiny = replace(_with_zig(tiny), kits=kits)
    library = _link(tiny, tiny.make()).path
    assert ctypes.CDLL(str(library)).OrtGetApiBase() == 11
    elf = lief.ELF.parse(str(library))
    assert elf is not None
    assert "memcpy" in {symbol.name for symbol in elf.imported_symbols}
    assert not [name for name in elf.libraries if "stdc++" in str(name) or "gcc" in str(name)]
    assert (line.wheel_tag == "manylinux_2_17_x86_64") <= (inspect(library).symbol_versions <= _GLIBC_2_17)


def test_the_same_bytes_in_another_folder(tiny: Tiny) -> None:
    other = replace(tiny, folder=tiny.folder / "another" / "place")
    tiny.files[_API] = other.files[_API] = tiny.pinned().suppliers["here"].archives[0].write[_API]
    first, second = tiny.make(), other.make()
    assert first.path != second.path
    assert _digest(first.path) == _digest(second.path)
    assert _link(tiny, first).path.read_bytes() == _link(other, second).path.read_bytes()
    packed = pack(first, tiny.folder / "a"), pack(second, tiny.folder / "b")
    assert packed[0].read_bytes() == packed[1].read_bytes()


def test_a_compile_error_is_shown_and_the_next_run_goes_on(tiny: Tiny) -> None:
    launcher = tiny.folder / "launcher"
    launcher.write_text(f'#!/bin/sh\necho "$@" >> {tiny.folder}/launched\nexec "$@"\n')
    launcher.chmod(0o755)
    tiny = replace(tiny, programs=replace(tiny.programs, launcher=launcher))
    tiny.broken.touch()
    with pytest.raises(ToolError) as caught:
        tiny.make()
    message = caught.value.paragraph()
    assert "broken on purpose" in message
    assert "onnxruntime_c_api.cc" in message
    assert len(message.splitlines()) < 30
    assert not list((tiny.cache.root / "kits").glob("*"))
    tiny.broken.unlink()
    assert tiny.make().kernels
    launched = (tiny.folder / "launched").read_text().splitlines()
    assert len([line for line in launched if line.endswith("/onnxruntime_c_api.cc")]) == 2
    assert len([line for line in launched if line.endswith("/cpu_execution_provider.cc")]) == 1


def test_the_disk_is_full_while_compiling(tiny: Tiny) -> None:
    small = tiny.folder / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "none", small], capture_output=True, check=False
    ).returncode:
        pytest.skip("may not mount a file system")
    try:
        tiny = replace(tiny, folder=small)
        tiny.files["onnxruntime/core/providers/cpu/abs.cc"] = "char big[16 << 20] = {1};\n"
        with pytest.raises(StorageError, match="The disk is full"):
            tiny.make()
        assert not list((tiny.cache.root / "kits").glob("*"))
        subprocess.run(["mount", "-o", "remount,size=200m", small], check=True)
        with pytest.raises(SourceError, match="are not in the kit"):  # it compiles now
            tiny.make()
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_table_that_is_not_as_expected(tiny: Tiny) -> None:
    tiny.files[_TABLE] = "#include <cstddef>\nint main;\n"
    with pytest.raises(SourceError, match="no kernel table"):
        tiny.make()


def test_a_kernel_that_is_registered_and_not_there(tiny: Tiny) -> None:
    files = tiny.pinned().suppliers["here"].archives[0].write
    tiny.files["onnxruntime/core/providers/cpu/abs.cc"] = "int nothing;\n"
    assert _TABLE in files
    with pytest.raises(SourceError, match="2 kernels of cpu_RegisterCpuKernels are not in the kit"):
        tiny.make()


def test_cmake_fails(tiny: Tiny) -> None:
    tiny.files["cmake/CMakeLists.txt"] = "cmake_minimum_required(VERSION 3.20)\nproject(onnxruntime)\nnot_a_command()\n"
    with pytest.raises(ToolError, match="not_a_command"):
        tiny.make()


_BUILDER = """\
import json, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import importlib.util
spec = importlib.util.spec_from_file_location("source_conftest", {conftest!r})
module = importlib.util.module_from_spec(spec)
sys.modules["source_conftest"] = module
spec.loader.exec_module(module)
import os
from ortpack_build.base.native_library import inspect
from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.kit import Programs, make
from ortpack_build.kit import settings as kit_settings
from ortpack_build.base.report import Reporter
from ortpack_build.toolchain import find
kits = kit_settings.load()
programs = Programs(**{{name: Path(path) for name, path in json.loads({programs!r}).items()}})
tiny = module.Tiny(folder=Path({folder!r}), programs=programs, kits=kits, target={target!r}, jobs=1,
                   toolchain=find("gcc", kits.compilers["gcc"], environ=os.environ))
report = Reporter()
cache = Cache(root=tiny.folder / "cache", on_wait=lambda name: report.note("Waiting for " + name))
kit = make(tiny.build(), Context(cache=cache, report=report, environ=dict(os.environ)))
print(kit.path)
"""


class _Slow:
    """Builds of the small ONNX Runtime in processes of their own, whose compilers take their time."""

    def __init__(self, tiny: Tiny, *, seconds: float) -> None:
        self.tiny = tiny
        launcher = tiny.folder / "slow"
        launcher.write_text(f'#!/bin/sh\necho "$@" >> {tiny.folder}/launched\nsleep {seconds}\nexec "$@"\n')
        launcher.chmod(0o755)
        programs = {name: str(getattr(tiny.programs, name)) for name in ("cmake", "ninja", "protoc")}
        self.script = _BUILDER.format(
            tests=str(Path(__file__).parents[2]),
            conftest=str(Path(__file__).parent / "conftest.py"),
            programs=json.dumps(programs | {"launcher": str(launcher)}),
            folder=str(tiny.folder),
            target=tiny.target,
        )

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", self.script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def launched(self) -> list[str]:
        file = self.tiny.folder / "launched"
        return file.read_text().splitlines() if file.exists() else []

    def wait_for(self, count: int) -> None:
        for _ in range(600):
            if len(self.launched()) >= count:
                return
            time.sleep(0.05)
        raise AssertionError(self.launched())


def test_kill_9_and_the_next_run_goes_on(tiny: Tiny) -> None:
    slow = _Slow(tiny, seconds=1.5)
    first = slow.start()
    slow.wait_for(2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not list((tiny.cache.root / "kits").glob("*"))
    second = slow.start()  # while the first one's compilers may still be at it
    out, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    kit = read(Path(out.strip()))
    assert ctypes.CDLL(str(_link(tiny, kit).path)).OrtGetApiBase() == 11
    compiled = [line for line in slow.launched() if "cpu_execution_provider.cc" in line and " -c " in line]
    assert len(compiled) == 1  # what was done was not done again


def test_kill_9_while_cmake_runs_and_the_next_run_waits_for_it(tiny: Tiny) -> None:
    slow, cmake, busy, twice = (
        _Slow(tiny, seconds=0),
        tiny.folder / "cmake",
        tiny.folder / "busy",
        tiny.folder / "twice",
    )
    cmake.write_text(
        f'#!/bin/sh\nmkdir {busy} || touch {twice}\nsleep 1.5\n{tiny.programs.cmake} "$@"\ncode=$?\n'
        f"rmdir {busy}\nexit $code\n"
    )
    cmake.chmod(0o755)
    slow.script = slow.script.replace(str(tiny.programs.cmake), str(cmake))
    first = slow.start()
    for _ in range(600):
        if busy.exists():
            break
        time.sleep(0.05)
    assert busy.exists()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second = slow.start()
    _, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    assert not twice.exists()


def test_ninja_that_is_told_to_end_has_not_succeeded(tiny: Tiny) -> None:
    slow = _Slow(tiny, seconds=1.5)
    build = slow.start()
    slow.wait_for(2)
    children = Path(f"/proc/{build.pid}/task/{build.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGTERM)
    _, err = build.communicate(timeout=120)
    assert build.returncode != 0
    assert "FileNotFoundError" not in err
    assert "Compiling" in err
    assert not list((tiny.cache.root / "kits").glob("*"))


def test_what_a_killed_build_left_running_is_waited_for(tiny: Tiny, capfd: pytest.CaptureFixture[str]) -> None:
    work = tiny.cache.path("work", tiny.inputs().key)
    work.mkdir(parents=True)
    script = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); "
        "time.sleep(1)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(work / "running")], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert tiny.make().kernels
        assert holder.wait() == 0
    assert "Waiting for compilers that a killed build left running" in capfd.readouterr().err


def test_two_builders_of_one_kit(tiny: Tiny) -> None:
    slow = _Slow(tiny, seconds=1.5)
    first = slow.start()
    slow.wait_for(1)
    second = slow.start()
    outs = [process.communicate(timeout=120) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert outs[0][0] == outs[1][0]
    assert f"(process {first.pid} on" in outs[1][1]
    assert len([line for line in slow.launched() if "abs.cc" in line and " -c " in line]) == 1


def test_a_kit_for_something_else(tiny: Tiny) -> None:
    kit = tiny.make()
    for wrong in ({"target": "linux-aarch64"}, {"flavour": "onnx"}, {"ort": "1.2.4"}):
        asked = {"target": tiny.target, "flavour": "ort", "ort": ORT} | wrong
        with pytest.raises(KitError, match=f"not {next(iter(wrong.values()))}"):
            expect(kit, **asked)  # type: ignore[arg-type]
    with pytest.raises(KitError, match="compiled with exceptions") as caught:
        expect(kit, target=tiny.target, flavour="ort", ort=ORT, exceptions=False)
    assert "Leave --no-exceptions out" in caught.value.hint


def test_a_packed_kit(tiny: Tiny) -> None:
    kit = tiny.make()
    file = pack(kit, tiny.folder / "out")
    other = Cache(root=tiny.folder / "elsewhere")
    unpacked = unpack(file, other)
    assert _digest(unpacked.path) == _digest(kit.path)
    assert ctypes.CDLL(str(_link(tiny, unpacked).path)).OrtGetApiBase() == 11
    with pytest.raises(ArchiveError, match="There is no file"):
        unpack(tiny.folder / "nothing", other)


@pytest.mark.parametrize("cut", [0, 10, 200, -1, -20])
def test_a_packed_kit_that_is_truncated(cut: int, tiny: Tiny) -> None:
    file = pack(tiny.make(), tiny.folder / "out")
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises((ArchiveError, KitError)):
        unpack(file, Cache(root=tiny.folder / "elsewhere"))
    assert not list((tiny.folder / "elsewhere" / "unpacked-kits").glob("*"))


def test_a_packed_kit_with_a_changed_byte(tiny: Tiny) -> None:
    kit = tiny.make()
    file = pack(kit, tiny.folder / "out")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    other = Cache(root=tiny.folder / "elsewhere")
    with pytest.raises((ArchiveError, KitError)):
        unpack(file, other)
    # Packed again by someone who knows the format, but not its hashes.
    library = kit.path / "lib" / "libsession.a"
    library.write_bytes(library.read_bytes() + b"x")
    with pytest.raises(KitError, match=r"libsession\.a .* is not what the kit was made with"):
        unpack(pack(kit, tiny.folder / "again"), other)
    assert not list((other.root / "unpacked-kits").glob("*"))


def test_the_command_refuses_a_kit_for_something_else(tiny: Tiny) -> None:
    file = pack(tiny.make(), tiny.folder / "out")
    for asked, message in (
        (("linux-x86_64", "--ort", "1.21.0", "--flavour", "ort"), f"The kit is for release {ORT}, not 1.21.0."),
        (("linux-x86_64", "--flavour", "onnx", "--ort", ORT), "The kit is for flavour ort, not onnx."),
        (("linux-aarch64", "--flavour", "ort", "--ort", ORT), "The kit is for target linux-x86_64, not linux-aarch64."),
    ):
        done = run("kit", *asked, "--from", file, "--cache", tiny.folder / "elsewhere")
        assert done.returncode == 10
        assert message in done.stderr
        assert done.stdout == ""


def test_a_changed_byte(tiny: Tiny) -> None:
    kit = tiny.make()
    library = kit.path / "lib" / "libsession.a"
    data = bytearray(library.read_bytes())
    data[len(data) // 2] ^= 1
    library.write_bytes(data)
    with pytest.raises(KitError, match=r"libsession\.a .* is not what the kit was made with"):
        read(kit.path)
    assert _digest(tiny.make().path)["lib/libsession.a"] != bytes(data)  # the cache's kit is made anew
    (kit.path / "lib" / "more.a").touch()
    with pytest.raises(KitError, match=r"has lib/more\.a, which it does not list"):
        read(kit.path)
    (kit.path / "lib" / "more.a").unlink()
    (kit.path / "kernels.json").unlink()
    with pytest.raises(KitError, match=r"lacks kernels\.json"):
        read(kit.path)
    with pytest.raises(KitError, match="is no kit"):
        read(tiny.folder)
