"""A very small ONNX Runtime: two kernels, a real CMake project, compiled and linked by the real stages in seconds."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from ortpack_build.catalog import host, manifests
from ortpack_build.kit import Kit, KitBuild, KitInputs, Programs, make
from ortpack_build.kit import settings as kit_settings
from ortpack_build.origin import source as origin_source
from ortpack_build.origin.source.manifest import Sources
from ortpack_build.toolchain import Toolchain, find, pinned_programs
from support.contexts import context

if TYPE_CHECKING:
    from ortpack_build.base.cache import Cache
    from ortpack_build.base.context import Context

_PROJECT = """\
cmake_minimum_required(VERSION 3.20)
project(onnxruntime C CXX)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_FLAGS "${CMAKE_CXX_FLAGS} -ffunction-sections -fdata-sections")
set(core ../onnxruntime/core)
add_library(providers STATIC ${core}/providers/cpu/cpu_execution_provider.cc ${core}/providers/cpu/abs.cc)
add_library(session STATIC ${core}/session/onnxruntime_c_api.cc)
target_link_libraries(session PUBLIC providers)
add_library(onnxruntime SHARED ../never.c)
set_target_properties(onnxruntime PROPERTIES VERSION ${ORT_VERSION} SOVERSION 1)
target_link_libraries(onnxruntime PRIVATE session)
"""
_HEADER = """\
#pragma once
#include <cstddef>
#define ONNX_OPERATOR_KERNEL_CLASS_NAME(provider, domain, ver, name) provider##_##name##_##domain##_ver##ver
#define ONNX_OPERATOR_TYPED_KERNEL_CLASS_NAME(provider, domain, ver, type, name) \\
  provider##_##name##_##domain##_ver##ver##_##type
namespace onnxruntime {
struct KernelCreateInfo { int value; };
using BuildKernelCreateInfoFn = KernelCreateInfo (*)();
struct KernelRegistry { int sum = 0; };
template <typename T> KernelCreateInfo BuildKernelCreateInfo();
class ONNX_OPERATOR_TYPED_KERNEL_CLASS_NAME(kCpuExecutionProvider, kOnnxDomain, 6, float, Abs);
class ONNX_OPERATOR_KERNEL_CLASS_NAME(kCpuExecutionProvider, kMSDomain, 1, Gelu);
int RegisterCpuKernels(KernelRegistry& kernel_registry);
}
"""
_KERNELS = """\
#include "../../kernels.h"
namespace onnxruntime {
template <> KernelCreateInfo BuildKernelCreateInfo<
    ONNX_OPERATOR_TYPED_KERNEL_CLASS_NAME(kCpuExecutionProvider, kOnnxDomain, 6, float, Abs)>() { return {1}; }
template <> KernelCreateInfo BuildKernelCreateInfo<
    ONNX_OPERATOR_KERNEL_CLASS_NAME(kCpuExecutionProvider, kMSDomain, 1, Gelu)>() { return {10}; }
}
"""
_TABLE = """\
#include "../../kernels.h"
namespace onnxruntime {
using Status = int;
template <> KernelCreateInfo BuildKernelCreateInfo<void>() { return {100}; }

Status RegisterCpuKernels(KernelRegistry& kernel_registry) {
  static const BuildKernelCreateInfoFn function_table[] = {
      BuildKernelCreateInfo<void>,
      BuildKernelCreateInfo<ONNX_OPERATOR_TYPED_KERNEL_CLASS_NAME(kCpuExecutionProvider, kOnnxDomain, 6, float, Abs)>,
#ifndef WITHOUT_GELU
      BuildKernelCreateInfo<ONNX_OPERATOR_KERNEL_CLASS_NAME(kCpuExecutionProvider, kMSDomain, 1, Gelu)>,
#endif
  };

  for (auto& function_table_entry : function_table) {
    KernelCreateInfo info = function_table_entry();
    kernel_registry.sum += info.value;
  }
  return 0;
}
}
"""
_API = """\
#include "../kernels.h"
#if __has_include("@BROKEN@")
#error "broken on purpose"
#endif
extern "C" int OrtGetApiBase() {
  onnxruntime::KernelRegistry registry;
  onnxruntime::RegisterCpuKernels(registry);
  return registry.sum;
}
extern "C" const char* OrtSessionOptionsAppendExecutionProvider_CPU() { return __FILE__; }
"""
ORT = "1.2.3"


@dataclass
class Tiny:
    """The small ONNX Runtime, and what its kits are made with."""

    folder: Path
    programs: Programs
    toolchain: Toolchain
    kits: kit_settings.Kits
    target: str
    jobs: int = 2
    files: dict[str, str] = field(default_factory=dict)

    @property
    def broken(self) -> Path:
        """While this file exists, one source file does not compile."""
        return self.folder / "broken"

    @property
    def cache(self) -> Cache:
        return self.context.cache

    def pinned(self) -> Sources:
        files = {
            "VERSION_NUMBER": ORT + "\n",
            "LICENSE": "MIT\n",
            "cmake/CMakeLists.txt": _PROJECT,
            "never.c": "#error never linked\n",
            "include/onnxruntime/core/session/onnxruntime_c_api.h": "// the C API\n",
            "onnxruntime/core/kernels.h": _HEADER,
            "onnxruntime/core/providers/cpu/abs.cc": _KERNELS,
            "onnxruntime/core/providers/cpu/cpu_execution_provider.cc": _TABLE,
            "onnxruntime/core/session/onnxruntime_c_api.cc": _API.replace("@BROKEN@", str(self.broken)),
        }
        archive = {"component": "onnxruntime", "from": "nothing", "write": files | self.files}
        data = {
            "schema": 1,
            "ort": ORT,
            "order": ["here"],
            "proven": True,
            "components": [{"name": "onnxruntime", "licenses": ["LICENSE"]}],
            "tables": [{"file": "onnxruntime/core/providers/cpu/cpu_execution_provider.cc", "prefix": "cpu"}],
            "suppliers": {"here": {"summary": "in this file", "archives": [archive]}},
        }
        return msgspec.convert(data, Sources)

    @property
    def context(self) -> Context:
        return context(self.folder / "cache")

    def inputs(self) -> KitInputs:
        pinned = self.pinned()
        tree = origin_source.obtain(pinned, self.context)
        kits = msgspec.structs.replace(self.kits, options={**self.kits.options, "ORT_VERSION": ORT})
        return KitInputs(
            target=self.target, flavour="ort", kits=kits, pinned=pinned, tree=tree, toolchain=self.toolchain, tools={}
        )

    def build(self) -> KitBuild:
        return KitBuild(inputs=self.inputs(), programs=self.programs, jobs=self.jobs)

    def make(self) -> Kit:
        return make(self.build(), self.context)


def _own_target() -> str:
    own = host.detect().target(manifests.load().targets)
    if own not in kit_settings.load().targets:
        pytest.skip(f"kits are not made for {own}")
    assert own is not None
    return own


@pytest.fixture(scope="session")
def tool_programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    kits, own = kit_settings.load(), _own_target()
    root = os.environ.get("ORTPACK_BUILD_CACHE")
    tools = context(Path(root).absolute() if root else tmp_path_factory.mktemp("tools"))
    found = {name: pinned_programs.obtain(kits.tool(name, own), tools) for name in ("cmake", "ninja", "protoc")}
    return Programs(**found)


@pytest.fixture
def tiny(tmp_path: Path, tool_programs: Programs) -> Tiny:
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    kits = kit_settings.load()
    gcc = find("gcc", kits.compilers["gcc"], environ=os.environ)
    return Tiny(folder=tmp_path, programs=tool_programs, toolchain=gcc, kits=kits, target=_own_target())
