"""Upstream's own way to a reduced library beside a link: `python benchmarks/upstream.py`; takes about half an hour.

The same sources and the same operators and types, those of silero-vad, magika and PP-OCR detection: once with ONNX
Runtime's `reduce_op_kernels.py`, CMake and ninja, with this machine's GCC and no compiler cache, as its `build.py` does
for the smallest library; once with `ortpack-build minimal`, whose kit must be in the cache.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from minimal import MODELS, command  # the script beside this one
from msgspec.structs import replace

from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.base.report import Reporter
from ortpack_build.catalog import host, manifests
from ortpack_build.kit import settings as kit_settings
from ortpack_build.origin import source as origin_source
from ortpack_build.toolchain import pinned_programs
from support.models import model

if TYPE_CHECKING:
    from collections.abc import Sequence

ORT = "1.21.0"
OPTIONS = {
    "CMAKE_BUILD_TYPE": "MinSizeRel",
    "CMAKE_C_FLAGS": "-ffunction-sections -fdata-sections",
    "CMAKE_CXX_FLAGS": "-ffunction-sections -fdata-sections",
    "CMAKE_POLICY_VERSION_MINIMUM": "3.5",
    "FETCHCONTENT_FULLY_DISCONNECTED": "ON",
    "FETCHCONTENT_TRY_FIND_PACKAGE_MODE": "NEVER",
    "FLATBUFFERS_BUILD_FLATC": "OFF",
    "onnxruntime_BUILD_SHARED_LIB": "ON",
    "onnxruntime_BUILD_UNIT_TESTS": "OFF",
    "onnxruntime_DISABLE_EXCEPTIONS": "ON",
    "onnxruntime_DISABLE_ML_OPS": "ON",
    "onnxruntime_DISABLE_RTTI": "ON",
    "onnxruntime_ENABLE_CPUINFO": "OFF",
    "onnxruntime_ENABLE_DLPACK": "OFF",
    "onnxruntime_EXTENDED_MINIMAL_BUILD": "ON",
    "onnxruntime_MINIMAL_BUILD": "ON",
    "onnxruntime_REDUCED_OPS_BUILD": "ON",
}


def run(words: Sequence[object]) -> None:
    """Run a program, without a compiler cache."""
    subprocess.run([str(word) for word in words], check=True, env={**os.environ, "CCACHE_DISABLE": "1"})


def upstream(work: Path, config: Path, cache: Cache, jobs: int) -> Path:
    """The library of upstream's build in the new folder `work`."""
    context, data = Context(cache=cache, report=Reporter(), environ=os.environ), kit_settings.load()
    machine = str(host.detect().target(manifests.load().targets))
    pinned = replace(origin_source.load(ORT), tables=())  # as they are: upstream's script reads them
    tree = origin_source.obtain(pinned, context)
    programs = {
        tool: pinned_programs.obtain(data.tool(tool, machine), context) for tool in ("cmake", "ninja", "protoc")
    }
    ort, library = tree.path / "onnxruntime", work / f"libonnxruntime.so.{ORT}"
    work.mkdir()
    script = ort / "tools" / "ci_build" / "reduce_op_kernels.py"
    how = ["--is_extended_minimal_build_or_higher", "--enable_type_reduction"]
    run([sys.executable, script, config, f"--cmake_build_dir={work}", *how])
    options = {**OPTIONS, "CMAKE_MAKE_PROGRAM": programs["ninja"], "ONNX_CUSTOM_PROTOC_EXECUTABLE": programs["protoc"]}
    options |= {part.option: tree.path / part.name for part in pinned.components if part.option}
    given = [f"-D{name}={value}" for name, value in options.items()]
    run([programs["cmake"], "-G", "Ninja", "-S", ort / "cmake", "-B", work, *given])
    run([programs["ninja"], "-C", work, f"-j{jobs}", library.name])
    run([shutil.which("strip"), library])
    return library


def main() -> int:
    """Print seconds and bytes of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="compilers at once")
    parser.add_argument("--cache", type=Path, default=platformdirs.user_cache_path("ortpack-build", appauthor=False))
    options = parser.parse_args()
    models = [model(name) for name in MODELS]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        command(models, out)  # keeps what is learnt of the models
        config = out / "ops.config"
        run([sys.executable, "-m", "ortpack_build", "ops", *models, "--flavour", "ort", "-o", config])
        start = time.perf_counter()
        library = upstream(out / "build", config, Cache(root=options.cache.absolute()), options.jobs)
        theirs = time.perf_counter() - start
        size, packed = library.stat().st_size, len(gzip.compress(library.read_bytes(), 9))
        ours = statistics.median(command(models, out, "--no-verify") for _ in range(5))
        proven = statistics.median(command(models, out) for _ in range(3))
    print(f"upstream: {theirs:.0f} s, library {size / 1e6:.2f} MB, gzip -9 {packed / 1e6:.2f} MB")
    print(f"minimal: {ours:.2f} s, one in {theirs / ours:.0f}; with its proof {proven:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
