"""Every target that kits are made for: what zig and LLD make for it, without ONNX Runtime, on this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from platformdirs import user_cache_path

from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.base.errors import UsageError
from ortpack_build.base.native_library import inspect
from ortpack_build.base.report import Reporter
from ortpack_build.base.tags import parse_tag, version_key
from ortpack_build.catalog import host, manifests
from ortpack_build.catalog.spec import system
from ortpack_build.kit import settings as kit_settings
from ortpack_build.products import kit as kit_product
from ortpack_build.toolchain import Link, Zig

CATALOG, KITS = manifests.load(), kit_settings.load()
_OWN = host.detect().target(CATALOG.targets)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(_OWN not in {tool.host for tool in KITS.tools}, reason="kits are not compiled on this machine"),
]
# What ONNX Runtime needs of C++: exceptions, threads, 64-bit atomics, thread-local objects, streams.
_SOURCE = """\
#include <atomic>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
thread_local std::string word = "x";
std::atomic<long long> calls{0};
extern "C" __attribute__((visibility("default"))) long long ortpack_probe(long long n) {
  try {
    if (++calls < 0) throw std::runtime_error("few");
    std::thread([] { std::cout << word; }).join();
    return std::vector<std::string>(static_cast<size_t>(n), word).size() / n;
  } catch (const std::exception&) { return -1; }
}
"""


@pytest.fixture(scope="module")
def context() -> Context:
    # libc++ takes zig a minute to compile for a target; it is kept where the tools are.
    root = os.environ.get("ORTPACK_BUILD_CACHE") or user_cache_path("ortpack-build", appauthor=False)
    return Context(cache=Cache(root=Path(root).absolute()), report=Reporter(), environ=dict(os.environ))


def _zig(target: str, context: Context, baseline: str | None = None) -> Zig:
    request = kit_product.KitRequest(target=target, host=_OWN or "", flavour="ort", baseline=baseline)
    found = kit_product.toolchain(kit_product.resolve(request, context))
    assert isinstance(found, Zig)
    return found


@pytest.mark.parametrize("target", KITS.targets)
def test_a_library_needs_what_its_tag_promises(target: str, context: Context, tmp_path: Path) -> None:
    zig, line = _zig(target, context), KITS.target(target)
    compilers = zig.install(tmp_path, root=tmp_path, shared=context.cache.root / "toolchain")
    environ = {**context.environ, **compilers.environ}
    (tmp_path / "probe.cpp").write_text(_SOURCE, encoding="utf-8")
    flags = [*KITS.flags.c, *KITS.processor(target).flags, *KITS.flags.cxx, *KITS.flags.release, "-fPIC"]
    for old, new in zig.arguments.items():  # the wrapper exchanges them
        assert new not in flags
        # zig wants an object even of -fsyntax-only
        subprocess.run([compilers.cxx, "-c", old, "probe.cpp", "-o", "old.o"], cwd=tmp_path, env=environ, check=True)
    subprocess.run([compilers.cxx, "-c", *flags, "probe.cpp", "-o", "probe.o"], cwd=tmp_path, env=environ, check=True)
    link = Link(
        output=tmp_path / "probe.so",
        objects=[tmp_path / "probe.o"],
        archives=[],
        flags=KITS.link.flags,
        libraries=line.libraries,
    )
    subprocess.run(compilers.linker(tmp_path, environ)(link), cwd=tmp_path, env=environ, check=True)
    tag, facts = parse_tag(zig.tag), inspect(tmp_path / "probe.so")
    promised = CATALOG.targets[target]
    assert tag is not None
    assert (tag.os, tag.arch, tag.libc) == (promised.os, promised.arch, promised.libc)
    assert facts.machine == promised.machine
    granted = system(CATALOG.policies[promised.policy], zig.tag)
    assert set(facts.needed) <= set(granted.libraries["system"])
    assert not [name for name in facts.needed if "stdc++" in name or "gcc" in name]
    for version in facts.symbol_versions:
        name, _, number = version.partition("_")
        assert version_key(number) <= version_key(granted.symbols[name]), version
    assert all(facts.hardening[name] for name in ("RELRO", "BIND_NOW", "NX", "stack protector"))


def test_a_baseline_that_zig_does_not_know(context: Context) -> None:
    for baseline in ("2.16", "2.99"):
        with pytest.raises(UsageError, match=rf"no libc for aarch64-linux-gnu\.{baseline}") as caught:
            _zig("linux-aarch64", context, baseline)
        if baseline == "2.16":
            assert "It has glibc 2.17, 2.18," in caught.value.hint
    assert _zig("linux-aarch64", context, "2.28").tag == "manylinux_2_28_aarch64"
