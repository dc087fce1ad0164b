"""`ortpack-build verify` on sound wheels, and on wheels that were tampered with in every way we could think of."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import lief
import pytest

from ortpack_build.base import native_library as binary
from ortpack_build.catalog import manifests
from ortpack_build.catalog.spec import releases
from ortpack_build.verify import CHECKS, Verdict, WheelReader, run_checks
from ortpack_build.verify.against_official import compare_protections
from support.command import run
from support.tampering import INFO, RUNTIME_JSON, SBOM, Files, cover_up, edit_runtime, read, record, write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from onnx import ValueInfoProto

pytestmark = pytest.mark.slow

FOLDER = "ortpack_runtimes/cpu"
LIBRARY = f"{FOLDER}/libonnxruntime.so.1.32.0"
SHARED = f"{FOLDER}/libonnxruntime_providers_shared.so"
CATALOG = manifests.load()
PINNED = [
    (release, target) for target in CATALOG.targets for release in releases(CATALOG, CATALOG.variants["cpu"], target)
]
ALL = [check.name for check in CHECKS]


def failures(wheel: Path, scratch: Path) -> dict[str, str]:
    """The checks that fail, with their details."""
    scratch.mkdir()
    rows = run_checks(WheelReader(wheel, CATALOG, scratch))
    assert [row.check for row in rows] == ALL
    return {row.check: row.detail for row in rows if row.verdict is Verdict.FAIL}


@pytest.mark.parametrize(("ort", "target"), PINNED)
def test_the_wheel_of_every_pinned_release_holds(cache: Path, tmp_path: Path, ort: str, target: str) -> None:
    done = run("wheel", "cpu", "--ort", ort, "--target", target, "--cache", cache, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    rows = run_checks(WheelReader(Path(done.stdout.strip()), CATALOG, scratch))
    informs = {"hardening", "paths"}
    if ort == "1.32.0" or target.startswith("win"):  # releases since 1.29 report usage, Windows' have events
        informs.add("telemetry")
    assert {row.check: row.verdict for row in rows} == {
        name: Verdict.INFO if name in informs else Verdict.PASS for name in ALL
    }, [row for row in rows if row.verdict is Verdict.FAIL]


# --- changes to files ----------------------------------------------------------------------------------------------


def flip(files: Files) -> None:
    data = bytearray(files[SHARED])
    data[-1] ^= 1
    files[SHARED] = bytes(data)


def flip_and_record(files: Files) -> None:
    flip(files)
    record(files)


def replace(name: str, old: bytes, new: bytes) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new)
        record(files)

    return change


def runtime(**values: object) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        edit_runtime(files, lambda data: data.update(values))
        record(files)

    return change


def put(name: str, data: bytes, *, listed: bool = True) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        files[name] = data
        if listed:
            record(files)

    return change


def drop(name: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        del files[name]
        record(files)

    return change


def elf(change: Callable[[lief.ELF.Binary], object]) -> Callable[[Files], None]:
    """Rewrite the smaller library, and every hash of it."""

    def apply(files: Files) -> None:
        binary = lief.parse(list(files[SHARED]))
        assert isinstance(binary, lief.ELF.Binary)
        change(binary)
        files[SHARED] = bytes(binary.write_to_bytes())
        cover_up(files)

    return apply


def executable_stack(binary: lief.ELF.Binary) -> None:
    (stack,) = (segment for segment in binary.segments if segment.type == lief.ELF.Segment.TYPE.GNU_STACK)
    stack.add(lief.ELF.Segment.FLAGS.X)


def newer_symbols(binary: lief.ELF.Binary) -> None:
    for requirement in binary.symbols_version_requirement:
        for version in requirement.get_auxiliary_symbols():
            version.name = "GLIBC_2.39"


def another_machine(files: Files) -> None:
    data = bytearray(files[SHARED])
    data[18:20] = (183).to_bytes(2, "little")  # e_machine: AArch64
    files[SHARED] = bytes(data)
    cover_up(files)


def truncated(files: Files) -> None:
    files[LIBRARY] = files[LIBRARY][: len(files[LIBRARY]) // 2]
    cover_up(files)


def text_library(files: Files) -> None:
    files[LIBRARY] = b"version https://git-lfs.example/spec/v1\n"
    cover_up(files)


def extra_library(files: Files) -> None:
    files[f"{FOLDER}/libextra.so"] = files[SHARED] + b"\0"
    cover_up(files)


def drop_record(files: Files) -> None:
    del files[f"{INFO}/RECORD"]


def record_junk(files: Files) -> None:
    files[f"{INFO}/RECORD"] = b"\xff\xfe junk"


TAMPERED: dict[str, tuple[Callable[[Files], None], dict[str, str]]] = {
    "a bit of a library": (flip, {"RECORD": "other.*hash", "files": "providers_shared.so has other bytes"}),
    "a bit, and RECORD": (flip_and_record, {"files": "other bytes"}),
    "a file nobody lists": (put(f"{INFO}/extra", b"", listed=False), {"RECORD": "extra is not listed"}),
    "a file in RECORD only": (put(f"{FOLDER}/extra", b""), {"files": "does not list extra"}),
    "a module at the top": (put("evil.py", b"import os"), {"contents": "evil.py is neither"}),
    "a file in .data": (put("ortpack_cpu-1.32.0.data/scripts/pip", b""), {"contents": "neither"}),
    "a .pth file": (put("evil.pth", b"import os"), {"contents": "evil.pth"}),
    "a second runtime": (put("ortpack_runtimes/evil/x", b""), {"contents": "ortpack_runtimes/evil/x"}),
    "a lost file": (
        drop(SHARED),
        {"files": "providers_shared.so is missing", "architecture": "providers_shared.so missing"},
    ),
    "a lost licence": (drop(f"{INFO}/licenses/LICENSE"), {"METADATA": "licenses/LICENSE is missing"}),
    "a lost RECORD": (drop_record, {"RECORD": "RECORD is missing"}),
    "RECORD is junk": (record_junk, {"RECORD": "can't be read"}),
    "no licence expression": (
        replace(f"{INFO}/METADATA", b"License-Expression: MIT\n", b""),
        {"METADATA": "License-Expression"},
    ),
    "a wrong licence": (replace(f"{INFO}/METADATA", b"MIT", b"Mine"), {"METADATA": "license"}),
    "another name": (replace(f"{INFO}/METADATA", b"Name: ortpack-cpu", b"Name: ortpack"), {"name": "is of ortpack 1"}),
    "another version": (replace(f"{INFO}/METADATA", b"Version: 1.32.0", b"Version: 1.33.0"), {"name": "1.33.0"}),
    "purelib": (replace(f"{INFO}/WHEEL", b"Purelib: false", b"Purelib: true"), {"name": "Root-Is-Purelib"}),
    "another tag inside": (replace(f"{INFO}/WHEEL", b"2_28", b"2_17"), {"name": "manylinux_2_17"}),
    "no WHEEL": (drop(f"{INFO}/WHEEL"), {"name": "WHEEL is missing"}),
    "no bill of materials": (drop(SBOM), {"SBOM": "there is none"}),
    "bill of materials is junk": (put(SBOM, b"[]"), {"SBOM": "can't be read"}),
    "bill of materials lacks a file": (
        replace(SBOM, b'"content"', b'"content_"'),
        {"SBOM": "can't be read"},
    ),
    "runtime.json is junk": (put(RUNTIME_JSON, b"{"), {"runtime.json": "truncated"}),
    "runtime.json is newer": (runtime(schema=2), {"runtime.json": "schema"}),
    "runtime.json knows more": (runtime(colour="red"), {"runtime.json": "colour"}),
    "runtime.json has a wrong type": (runtime(priority="0"), {"runtime.json": "priority"}),
    "runtime.json is another's": (runtime(name="cuda"), {"runtime.json": "name is 'cuda'"}),
    "runtime.json promises older glibc": (
        runtime(platform={"os": "linux", "arch": "x86_64", "libc": "glibc", "libc_version": "2.17"}),
        {"runtime.json": "platform is not that of the tag"},
    ),
    "runtime.json has no files": (
        runtime(files={}),
        {"runtime.json": "not among files"},
    ),
    "runtime.json hides what it requires": (runtime(requires=[]), {"imports": "the libraries need"}),
    "an unknown release": (
        runtime(ort_version="1.99.0"),
        {"runtime.json": "does not belong"},
    ),
    "another spec": (
        runtime(provenance={"origin": "prebuilt", "spec": "0" * 64}),
        {"provenance": "made from the spec 0"},
    ),
    "needs a stranger": (elf(lambda b: b.add_library("libevil.so.1")), {"imports": "libevil.so.1.*allow-list"}),
    "exports more": (elf(lambda b: b.add_exported_function(0x1000, "evil")), {"exports": "unexpected symbols: evil"}),
    "searches elsewhere": (
        elf(lambda b: b.add(lief.ELF.DynamicEntryRunPath("/opt/evil"))),
        {"RPATH": "searches /opt/evil"},
    ),
    "an executable stack": (elf(executable_stack), {"stack": "executable stack"}),
    "newer symbols": (elf(newer_symbols), {"baseline": r"needs GLIBC_2\.39"}),
    "another machine": (another_machine, {"architecture": "is for linux AARCH64"}),
    "half a library": (truncated, {"architecture": "cut off at"}),
    "no library at all": (text_library, {"architecture": "no native library"}),
    "a library too many": (extra_library, {"SBOM": "lacks the hash", "exports": "libextra.so is a library"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def sound(wheels: Mapping[str, Path]) -> Files:
    return read(wheels["linux-x86_64"])


@pytest.mark.parametrize("kind", TAMPERED)
def test_a_tampered_wheel_fails_where_it_was_tampered_with(
    wheels: Mapping[str, Path], sound: Files, tmp_path: Path, kind: str
) -> None:
    change, expected = TAMPERED[kind]
    files = dict(sound)
    change(files)
    found = failures(write(tmp_path / wheels["linux-x86_64"].name, files), tmp_path / "scratch")
    assert found.keys() == expected.keys(), found
    for check, pattern in expected.items():
        assert re.search(pattern, found[check]), found


def test_covering_up_changes_nothing_by_itself(wheels: Mapping[str, Path], sound: Files, tmp_path: Path) -> None:
    """Else the tests above would prove little."""
    files = dict(sound)
    cover_up(files)
    assert failures(write(tmp_path / wheels["linux-x86_64"].name, files), tmp_path / "scratch") == {}


# --- changes to the tag --------------------------------------------------------------------------------------------


def retagged(wheel: Path, folder: Path, tag: str, **platform: str) -> Path:
    """The wheel with another tag in every place that says one."""
    files = read(wheel)
    old = wheel.stem.rpartition("-")[2]
    files[f"{INFO}/WHEEL"] = files[f"{INFO}/WHEEL"].replace(old.encode(), tag.encode())
    edit_runtime(files, lambda data: data.update(platform=platform))
    record(files)
    return write(folder / f"ortpack_cpu-1.32.0-py3-none-{tag}.whl", files)


GLIBC = {"os": "linux", "libc": "glibc"}


@pytest.mark.parametrize(
    ("target", "tag", "platform", "check", "pattern"),
    [
        (
            "linux-x86_64",
            "manylinux_2_17_x86_64",
            GLIBC | {"arch": "x86_64", "libc_version": "2.17"},
            "baseline",
            r"needs GLIBC_2\.2[5-8].*manylinux_2_17_x86_64 does not promise that",
        ),
        (
            "linux-x86_64",
            "manylinux_2_28_aarch64",
            GLIBC | {"arch": "aarch64", "libc_version": "2.28"},
            "architecture",
            "is for linux X86_64, the tag says manylinux_2_28_aarch64",
        ),
        (
            "macos-arm64",
            "macosx_13_0_arm64",
            {"os": "macos", "arch": "arm64", "os_version": "13.0"},
            "baseline",
            r"needs macOS 14\.0",
        ),
        ("win-arm64", "win_amd64", {"os": "windows", "arch": "amd64"}, "architecture", "is for windows ARM64"),
    ],
)  # fmt: skip
def test_a_tag_that_promises_too_much(
    wheels: Mapping[str, Path],
    tmp_path: Path,
    target: str,
    tag: str,
    platform: dict[str, str],
    check: str,
    pattern: str,
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    wheel = retagged(wheels[target], tmp_path, tag, **platform)
    rows = {row.check: row for row in run_checks(WheelReader(wheel, CATALOG, scratch))}
    assert rows["provenance"].verdict is Verdict.FAIL  # the manifests have another tag
    assert rows[check].verdict is Verdict.FAIL
    assert re.search(pattern, rows[check].detail), rows[check].detail


# --- what is hardly a wheel ----------------------------------------------------------------------------------------

NAME = "ortpack_cpu-1.32.0-py3-none-manylinux_2_28_x86_64.whl"
JUNK: dict[str, bytes] = {
    "empty": b"",
    "random": bytes(range(256)) * 40,
    "a zip file's end": b"PK\5\6" + bytes(18),
    "text": b"not found",
}


@pytest.mark.parametrize("kind", JUNK)
def test_junk(tmp_path: Path, kind: str) -> None:
    (tmp_path / NAME).write_bytes(JUNK[kind])
    done = run("verify", tmp_path / NAME)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_truncated_wheel(wheels: Mapping[str, Path], tmp_path: Path) -> None:
    data = wheels["win-arm64"].read_bytes()
    for size in (10, len(data) // 2, len(data) - 10):
        (tmp_path / NAME).write_bytes(data[:size])
        done = run("verify", "--json", tmp_path / NAME)
        report = json.loads(done.stdout)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert report["holds"] is False
        assert report["checks"][0]["verdict"] == "fail"
        assert {line["verdict"] for line in report["checks"][1:]} == {"skip"}


@pytest.mark.parametrize("name", ["../outside", "/outside", "a\\..\\b", "C:/x"])
def test_a_name_that_leaves_the_wheel(sound: Files, tmp_path: Path, name: str) -> None:
    found = failures(write(tmp_path / NAME, sound | {name: b"x"}), tmp_path / "scratch")
    assert found.keys() == {"archive"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, "scratch"]


def test_a_name_that_is_there_twice(sound: Files, tmp_path: Path) -> None:
    wheel = write(tmp_path / NAME, sound)
    with zipfile.ZipFile(wheel, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr(SHARED, b"another")
    assert "twice" in failures(wheel, tmp_path / "scratch")["archive"]


@pytest.mark.parametrize(
    "name", ["wheel.whl", "ortpack_cpu-1.32.0-py3-none-any.whl", "ortpack_cuda-1.32.0-py3-none-win_amd64.whl"]
)
def test_a_name_that_is_not_its_own(sound: Files, tmp_path: Path, name: str) -> None:
    found = failures(write(tmp_path / name, sound), tmp_path / "scratch")
    assert found
    assert found.keys() <= {"name", "runtime.json", "architecture"}


def test_no_such_variant_in_the_manifests(wheels: Mapping[str, Path], tmp_path: Path) -> None:
    files = {name.replace("cpu", "mine"): data for name, data in read(wheels["win-arm64"]).items()}
    runtime_json = "ortpack_runtimes/mine/runtime.json"
    files[runtime_json] = files[runtime_json].replace(b'"cpu",', b'"mine",')
    found = failures(write(tmp_path / "ortpack_mine-1.32.0-py3-none-win_arm64.whl", files), tmp_path / "scratch")
    assert "the manifests don't know it" in found["provenance"]
    assert "no variant 'mine'" in found["provenance"]


@pytest.mark.parametrize("seed", range(25))
def test_random_changes_never_get_out_as_exceptions(sound: Files, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secrets
    files = dict(sound)
    name = sorted(files.keys() - {LIBRARY})[seed % (len(files) - 1)]
    data = bytearray(files[name])
    for _ in range(chance.choice((1, 3, 20))):
        where = chance.randrange(len(data))
        data[where : where + chance.randrange(8)] = chance.choice((b"", b"\xff", b"\0", b"null", b'"', b"\n", b"-1"))
    files[name] = bytes(data)
    if chance.random() < 0.5:
        record(files)
    failures(write(tmp_path / NAME, files), tmp_path / "scratch")


# --- protections, and the official library --------------------------------------------------------------------------

_HARD = ["-shared", "-fPIC", "-O2", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong", "-Wl,-z,relro,-z,now"]
_C = """
#include <stdio.h>
#include <string.h>
int f(const char *from, int n) { char to[64]; memcpy(to, from, n); return puts(to); }
"""


@pytest.mark.skipif(shutil.which("gcc") is None or sys.platform != "linux", reason="needs gcc")
@pytest.mark.parametrize(
    ("lacks", "flags", "code"),
    [
        (set[str](), [], ""),
        ({"BIND_NOW"}, ["-Wl,-z,lazy"], ""),
        ({"RELRO"}, ["-Wl,-z,norelro"], ""),
        ({"NX"}, ["-Wl,-z,execstack"], ""),
        ({"stack protector"}, ["-fno-stack-protector"], ""),
        ({"FORTIFY"}, ["-U_FORTIFY_SOURCE"], ""),
        ({"no TEXTREL"}, ["-Wl,-z,notext"], '__asm__(".text\\n.quad puts");'),
    ],
)
def test_a_protection_that_is_missing_is_seen(lacks: set[str], flags: list[str], code: str, tmp_path: Path) -> None:
    library = tmp_path / "lib.so"
    (tmp_path / "lib.c").write_text(_C + code)
    subprocess.run(["gcc", *_HARD, *flags, tmp_path / "lib.c", "-o", library], check=True)
    found = binary.inspect(library).hardening
    assert {name for name, on in found.items() if not on} - {"CET/BTI"} == lacks


def from_source(files: Files) -> None:
    """The official library, said to be compiled here."""
    del files[SHARED]
    kit = {"key": "0" * 64, "flavour": "onnx", "toolchain": {"name": "zig"}}
    edit_runtime(files, lambda data: data.update(provenance={"origin": "source", "kit": kit}))
    cover_up(files)


def test_telemetry_is_never_compiled_here_and_an_official_one_has_its_notice(sound: Files, tmp_path: Path) -> None:
    files = dict(sound)
    drop(f"{INFO}/licenses/Privacy.md")(files)
    found = failures(write(tmp_path / NAME, files), tmp_path / "first")
    assert found["telemetry"] == f"it is compiled in, and {INFO}/licenses/Privacy.md is missing"
    from_source(files)
    found = failures(write(tmp_path / NAME, files), tmp_path / "second")
    assert found["telemetry"] == "it is compiled with telemetry, which sends to mobile.events.data.microsoft.com"


def test_what_is_compiled_must_be_protected_and_hold_no_path_of_its_builder(sound: Files, tmp_path: Path) -> None:
    files = dict(sound)
    from_source(files)
    found = failures(write(tmp_path / NAME, files), tmp_path / "first")
    assert re.search(r"libonnxruntime\.so\.1\.32\.0 holds \d+ paths of the machine that built it", found["paths"])
    assert "hardening" not in found
    parsed = lief.parse(list(files[LIBRARY]))
    assert isinstance(parsed, lief.ELF.Binary)
    tags = lief.ELF.DynamicEntry.TAG
    for tag in (tags.FLAGS, tags.FLAGS_1):
        parsed.remove(tag)
    files[LIBRARY] = bytes(parsed.write_to_bytes())
    cover_up(files)
    found = failures(write(tmp_path / NAME, files), tmp_path / "second")
    assert found["hardening"] == "libonnxruntime.so.1.32.0 is without BIND_NOW"


def test_beside_the_official_library(wheels: Mapping[str, Path], cache: Path, tmp_path: Path) -> None:
    done = run("verify", "--no-run", "--compare", "--cache", cache, wheels["linux-x86_64"])
    rows = dict(re.findall(r"^official: (.+?)  +\w+ +(.+?) *$", done.stdout, re.MULTILINE))
    assert done.returncode == 0
    assert rows["BIND_NOW"] == "yes; official: yes"
    assert rows["no path of its builder"] == "no; official: no"
    assert re.fullmatch(r"(\d+\.\d\d MB); official: \1", rows["size"])
    # Nothing is fetched, or compared, unless it is asked for.
    done = run("verify", "--no-run", "--cache", tmp_path / "empty", wheels["linux-x86_64"])
    assert done.returncode == 0
    assert "official:" not in done.stdout
    done = run(
        *("verify", "--no-run", "--compare", "--cache", tmp_path / "empty", wheels["linux-x86_64"]),
        PIP_INDEX_URL="http://127.0.0.1:9/",
        PIP_FIND_LINKS="",
        PIP_RETRIES="0",
    )
    assert done.returncode == 4
    assert "could not be fetched" in done.stderr


def test_worse_than_the_official_library_fails() -> None:
    rows = {
        row.check: row
        for row in compare_protections(
            {"NX": True, "FORTIFY": False, "CET": False}, {"NX": False, "FORTIFY": True, "CET": False}
        )
    }
    assert {name: row.verdict for name, row in rows.items()} == {
        "official: NX": Verdict.PASS,
        "official: FORTIFY": Verdict.FAIL,
        "official: CET": Verdict.PASS,
    }
    assert rows["official: FORTIFY"].detail == "no; official: yes"


# --- the command ---------------------------------------------------------------------------------------------------


def test_the_report_is_a_table_or_json(wheels: Mapping[str, Path], sound: Files, tmp_path: Path) -> None:
    done = run("verify", "--no-run", wheels["linux-x86_64"])
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert [line.split()[0] for line in lines] == ["check", *ALL, "run"]
    assert re.search(r"baseline +pass +manylinux_2_28_x86_64: needs .*GLIBC 2\.28", done.stdout)

    files = dict(sound)
    flip(files)
    done = run("verify", "--json", write(tmp_path / NAME, files))
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["holds"] is False
    assert {line["check"] for line in report["checks"] if line["verdict"] == "fail"} == {"RECORD", "files"}
    # Nothing that fails is installed or run.
    assert report["checks"][-1] == {
        "check": "run",
        "verdict": "skip",
        "detail": "a check failed, so nothing of it is run",
    }
    assert done.stderr.strip().endswith("does not hold what it promises: RECORD, files.")


def test_another_platforms_wheel_is_not_run(wheels: Mapping[str, Path]) -> None:
    done = run("verify", "--json", wheels["win-arm64"])
    last = json.loads(done.stdout)["checks"][-1]
    assert done.returncode == 0
    assert last["verdict"] == "skip"
    assert last["detail"].startswith("this machine is ")


# --- the run -------------------------------------------------------------------------------------------------------

linux_only = pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine != "x86_64", reason="runs the wheel for linux-x86_64"
)


@pytest.fixture(scope="session")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The loader's wheel: nox names the one it built, otherwise it is built here."""
    if given := os.environ.get("ORTPACK_TEST_LOADER"):
        return Path(given)
    folder = tmp_path_factory.mktemp("loader")
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={folder}", str(root)]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("ortpack-*.whl")
    return wheel


@linux_only
def test_a_tiny_model_runs_in_a_new_environment(wheels: Mapping[str, Path], loader: Path) -> None:
    # Not the user's: what ORTPACK_* says must not reach the run.
    done = run("verify", "--json", wheels["linux-x86_64"], "--loader", loader, ORTPACK_LIBRARY="/nowhere")
    rows = {line["check"]: line for line in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0, done.stdout
    assert rows["install"]["verdict"] == "pass"
    assert rows["run"]["verdict"] == "pass"
    assert rows["run"]["detail"] == "runtime cpu, ORT 1.32.0, CPUExecutionProvider: tiny.onnx gave sum [3]"


@linux_only
def test_the_users_model_decides(wheels: Mapping[str, Path], loader: Path, tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save_model

    def value(name: str, kind: int, *shape: str | int) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT64), helper.make_node("Not", ["b"], ["c"])],
        "casts",
        [value("x", TensorProto.DOUBLE, "batch", 4), value("b", TensorProto.BOOL)],
        [value("y", TensorProto.INT64, "batch", 4), value("c", TensorProto.BOOL)],
    )
    good = tmp_path / "good.onnx"
    save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), good)
    done = run("verify", wheels["linux-x86_64"], "--loader", loader.parent, "--model", good)
    assert done.returncode == 0, done.stdout
    assert "good.onnx gave y [1, 4], c []" in done.stdout

    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    done = run("verify", wheels["linux-x86_64"], "--loader", loader, "--model", bad)
    assert done.returncode == 1
    assert re.search(r"run +fail +.*bad\.onnx", done.stdout)
    assert "Traceback" not in done.stdout + done.stderr


@linux_only
def test_a_loader_that_is_none(wheels: Mapping[str, Path], tmp_path: Path) -> None:
    done = run("verify", wheels["linux-x86_64"], "--loader", tmp_path)
    assert done.returncode == 2
    assert "holds 0 wheels of the loader" in done.stderr
    (tmp_path / "ortpack-0.1.0-py3-none-any.whl").write_bytes(b"junk")
    done = run("verify", wheels["linux-x86_64"], "--loader", tmp_path)
    assert done.returncode == 1
    assert re.search(r"install +fail", done.stdout)
