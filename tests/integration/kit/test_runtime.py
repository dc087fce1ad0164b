"""Runtimes of ONNX Runtime itself, compiled here: needs a kit, see the marker `kit` in pyproject.toml."""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ortpack_build.base.ar import read_archive
from ortpack_build.base.native_library import inspect
from ortpack_build.kit import settings as model
from support import kits
from support.command import run

pytestmark = kits.NEEDED

_KERNELS = {"ort": 1262, "onnx": 1263}  # of 1.21.0; a minimal build lacks one of com.microsoft


def test_the_index_is_whole() -> None:
    kernels = kits.kit().kernels
    assert len(kernels) == _KERNELS[kits.request().flavour]
    assert {kernel.domain for kernel in kernels} == {"", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"}
    conv = [kernel for kernel in kernels if (kernel.domain, kernel.op) == ("", "Conv")]
    assert [(kernel.since, kernel.until) for kernel in conv] == [(1, 10), (11, 21), (22, None)]


def test_each_part_of_a_group_of_files_names_one_of_them() -> None:
    """A part that names none would leave its file without the flags, and nobody would see."""
    data = model.load()
    groups = [*data.groups, *data.processor(kits.TARGET).groups, *data.without_exceptions("ort").groups]
    libraries = (kits.kit().path / "lib").glob("*.a")
    names = {name.removesuffix(".o") for library in libraries for name in read_archive(library).names}
    for part in {part for group in groups for part in _parts(group.files)}:
        pattern = re.compile(part.rpartition("/")[2])
        assert any(map(pattern.match, names)), part


def _parts(pattern: str) -> set[str]:
    """A pattern for each way through its alternatives."""
    inner = re.search(r"\(([^()]*)\)", pattern)
    if inner is None:
        return set(pattern.split("|"))
    ways = (pattern[: inner.start()] + way + pattern[inner.end() :] for way in inner[1].split("|"))
    return {part for way in ways for part in _parts(way)}


def test_fewer_kernels_make_a_smaller_library_that_loads(tmp_path: Path) -> None:
    sizes = {}
    some = {"Conv", "Relu", "Add"}
    for name, ops in (("all", None), ("some", some), ("none", set[str]())):
        library = kits.link(tmp_path / name, lambda kernel, ops=ops: ops is None or kernel.op in ops)  # type: ignore[misc]
        sizes[name] = library.path.stat().st_size
        base = ctypes.CDLL(str(library.path)).OrtGetApiBase
        base.restype = ctypes.c_void_p
        assert base()
    floor = sizes["none"]
    assert floor < sizes["some"] < floor + (sizes["all"] - floor) / 2


def test_the_same_link_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (kits.link(tmp_path / name).path for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    facts = inspect(first)
    assert facts.exports == {"OrtGetApiBase", "OrtSessionOptionsAppendExecutionProvider_CPU"}
    assert not [name for name in facts.needed if "stdc++" in name or "gcc" in name]
    assert str(kits.context().cache.root).encode() not in first.read_bytes()


def test_the_wheel_passes_verify_and_is_no_worse_than_the_official_library(tmp_path: Path) -> None:
    made = run("wheel", "cpu", *kits.arguments(), "--out", tmp_path)
    assert made.returncode == 0, made.stderr
    checked = run(
        "verify", made.stdout.strip(), "--no-run", "--compare", "--json", "--cache", kits.context().cache.root
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    rows = {row["check"]: row for row in json.loads(checked.stdout)["checks"]}
    assert rows["hardening"]["verdict"] == rows["paths"]["verdict"] == "pass"
    for name in ("RELRO", "BIND_NOW", "NX", "stack protector", "FORTIFY", "no TEXTREL"):
        assert rows[f"official: {name}"]["detail"] == "yes; official: yes"
    assert (
        rows["official: no RPATH"]["detail"]
        == rows["official: no path of its builder"]["detail"]
        == "yes; official: no"
    )
    # Neither: the assembly of MLAS has no landing pads, so a marker would be a lie.
    assert rows["official: CET/BTI"]["detail"] == "no; official: no"


_THREADS = """
import os, sys
import ortpack
count = lambda: len(os.listdir("/proc/self/task"))
model, library, said, *processors = sys.argv[1:]
os.sched_setaffinity(0, map(int, processors))
before = count()
options = ortpack.SessionOptions()
options.intra_op_num_threads = int(said)
session = ortpack.InferenceSession(model, options, runtime=library)
print(count() - before)
"""


def test_a_session_has_a_thread_for_every_core_that_the_process_may_use(tmp_path: Path) -> None:
    library = kits.link(tmp_path / "link").path
    model = Path(__file__).parents[2] / "support" / "small_models" / f"network.{kits.request().flavour}"

    def started(said: int, processors: tuple[int, ...]) -> int:
        words = [str(model), str(library), str(said), *map(str, processors)]
        found = subprocess.run([sys.executable, "-c", _THREADS, *words], capture_output=True, text=True, check=True)
        return int(found.stdout)

    by_core = {_siblings(processor): processor for processor in sorted(os.sched_getaffinity(0))}
    if len(by_core) < 2:
        pytest.skip("one core")
    first, second, *_ = by_core.values()
    assert started(0, (first,)) == started(1, (first,))
    assert started(0, (first, second)) == started(2, (first, second)) > started(1, (first, second))


def _siblings(processor: int) -> str:
    return Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list").read_text(encoding="ascii")
