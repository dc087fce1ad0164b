"""Runtimes of ONNX Runtime itself, compiled here: needs a kit, see the marker `kit` in pyproject.toml."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from ortpack_build import source
from ortpack_build.binary import inspect
from ortpack_build.cache import Cache
from ortpack_build.kit import Kit, model
from ortpack_build.link import Library, link_shared
from ortpack_build.report import Reporter

pytestmark = [
    pytest.mark.kit,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(not os.environ.get("ORTPACK_TEST_KITS"), reason="ORTPACK_TEST_KITS is not set"),
]

_REQUEST = source.Request(target="linux-x86_64", host="linux-x86_64", flavour="ort", ort="1.21.0", jobs=2)


@pytest.fixture(scope="module")
def context() -> source.Context:
    """The user's own cache: a kit that is there is used, and one that is made is kept."""
    root = os.environ.get("ORTPACK_BUILD_CACHE") or platformdirs.user_cache_path("ortpack-build", appauthor=False)
    return source.Context(cache=Cache(root=Path(root).absolute()), report=Reporter(), environ=dict(os.environ))


@pytest.fixture(scope="module")
def kit(context: source.Context) -> Kit:
    return source.kit(_REQUEST, context)


def _link(kit: Kit, context: source.Context, ops: set[str] | None, work: Path) -> Library:
    work.mkdir()
    chosen = source.toolchain(_REQUEST, model.load(), context)
    compilers = chosen.install(work, root=work, shared=context.cache.root / "toolchain")
    kernels = [kernel for kernel in kit.kernels if ops is None or kernel.op in ops]
    return link_shared(kit, kernels, compilers, work=work, environ={**os.environ, **compilers.environ})


def test_the_index_is_whole(kit: Kit) -> None:
    assert len(kit.kernels) == 1262
    assert {kernel.domain for kernel in kit.kernels} == {"", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"}
    conv = [kernel for kernel in kit.kernels if (kernel.domain, kernel.op) == ("", "Conv")]
    assert [(kernel.since, kernel.until) for kernel in conv] == [(1, 10), (11, 21), (22, None)]


def test_fewer_kernels_make_a_smaller_library_that_loads(kit: Kit, context: source.Context, tmp_path: Path) -> None:
    sizes = {}
    for name, ops in (("all", None), ("some", {"Conv", "Relu", "Add"}), ("none", set[str]())):
        library = _link(kit, context, ops, tmp_path / name)
        sizes[name] = library.path.stat().st_size
        base = ctypes.CDLL(str(library.path)).OrtGetApiBase
        base.restype = ctypes.c_void_p
        assert base()
    assert sizes["none"] < sizes["some"] < sizes["all"] / 2


def test_the_same_link_gives_the_same_bytes(kit: Kit, context: source.Context, tmp_path: Path) -> None:
    first, second = (_link(kit, context, None, tmp_path / name).path for name in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    facts = inspect(first, "x86_64")
    assert facts.exports == {"OrtGetApiBase", "OrtSessionOptionsAppendExecutionProvider_CPU"}
    assert not [name for name in facts.needed if "stdc++" in name or "gcc" in name]
    assert str(context.cache.root).encode() not in first.read_bytes()


def test_the_wheel_passes_verify(context: source.Context, kit: Kit, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ortpack_build"]
    arguments = ["--origin", "source", "--flavour", "ort", "--ort", "1.21.0", "--target", "linux-x86_64"]
    arguments += ["--out", str(tmp_path), "--cache", str(context.cache.root)]
    made = subprocess.run([*command, "wheel", "cpu", *arguments], capture_output=True, text=True, check=True)
    wheel = made.stdout.strip()
    checked = subprocess.run([*command, "verify", wheel, "--no-run"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
