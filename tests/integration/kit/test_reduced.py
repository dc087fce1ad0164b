"""Objects compiled anew for fewer types, of a very small ONNX Runtime that counts its types; and what can go wrong."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ortpack_build.base.ar import read_archive
from ortpack_build.base.errors import KitError, SourceError, ToolError
from ortpack_build.base.report import Step
from ortpack_build.kit import Kit, Reduced, exchanged, read, reduce_types
from ortpack_build.link import link_shared
from ortpack_build.link.linker import run
from ortpack_build.ops import config
from ortpack_build.toolchain import set_up

if TYPE_CHECKING:
    from .conftest import Tiny

_OVERRIDES = "onnxruntime/core/providers/op_kernel_type_control_overrides.inc"
_FILES = {
    "onnxruntime/core/providers/op_kernel_type_control.h": """\
#pragma once
#include <cstdint>
template <typename... T> constexpr int count() { return sizeof...(T); }
template <typename Argument> struct Types { static constexpr int allowed = 2; };
#define ORT_OP_KERNEL_ARG_ENABLED_TYPE_LIST_ALL_OPSETS(provider, domain, op, side, index) \\
  Types<struct domain##op##side##index>::allowed
#include "op_kernel_type_control_overrides.inc"
""",
    _OVERRIDES: """\
#define ORT_SPECIFY_OP_KERNEL_ARG_ALLOWED_TYPES(domain, op, side, index, ...) \\
  template <> struct Types<struct domain##op##side##index> { static constexpr int allowed = count<__VA_ARGS__>(); };
// @@insertion_point_begin(allowed_types)@@
// @@insertion_point_end(allowed_types)@@
""",
    "onnxruntime/core/providers/cpu/abs.cc": """\
#include "../../kernels.h"
#include "../op_kernel_type_control.h"
namespace onnxruntime {
template <> KernelCreateInfo BuildKernelCreateInfo<
    ONNX_OPERATOR_TYPED_KERNEL_CLASS_NAME(kCpuExecutionProvider, kOnnxDomain, 6, float, Abs)>() {
  return {ORT_OP_KERNEL_ARG_ENABLED_TYPE_LIST_ALL_OPSETS(kCpuExecutionProvider, kOnnxDomain, Abs, Input, 0)};
}
template <> KernelCreateInfo BuildKernelCreateInfo<
    ONNX_OPERATOR_KERNEL_CLASS_NAME(kCpuExecutionProvider, kMSDomain, 1, Gelu)>() { return {10}; }
}
""",
}


@pytest.fixture
def made(tiny: Tiny) -> Kit:
    tiny.files = dict(_FILES)
    return tiny.make()


def _reduced(tiny: Tiny, kit: Kit, types: str) -> Reduced:
    ops = config.parse(f'ai.onnx;6;Abs{{"inputs": {{"0": [{types}]}}}}' if types else "ai.onnx;6;Abs")
    return reduce_types(tiny.build(), kit, kit.kernels, ops, tiny.context, Step(title=""))


def _sum(tiny: Tiny, kit: Kit, reduced: Reduced | None, name: str) -> int:
    """What all kernels of a library add up to: 10, and how many types the first may have."""
    work = tiny.folder / name
    work.mkdir()
    place = set_up(tiny.toolchain, work, tiny.context, 2)
    if reduced is not None:
        kit, archives = exchanged(kit, reduced, work)
        for archive in archives:
            run([str(place.compilers.ranlib), str(archive)], place.environ, "Linking")
    library = link_shared(kit, kit.kernels, place)
    total: int = ctypes.CDLL(str(library.path)).OrtGetApiBase()
    return total


def test_a_library_has_the_types_that_are_needed(tiny: Tiny, made: Kit) -> None:
    before = (tiny.inputs().tree.path / "onnxruntime" / _OVERRIDES).read_bytes()
    assert _sum(tiny, made, None, "whole") == 12
    reduced = _reduced(tiny, made, '"float"')
    assert _sum(tiny, made, reduced, "less") == 11
    assert (reduced.new, reduced.about.types) == (True, ("ai.onnx;Abs;input 0;float",))
    (one,) = reduced.about.objects
    assert read_archive(made.path / "lib" / one.archive).names[one.member] == "abs.cc.o"
    # Neither the kit nor the sources, which have hard links in the tree, are touched.
    assert read(made.path) == made
    assert (tiny.inputs().tree.path / "onnxruntime" / _OVERRIDES).read_bytes() == before
    more = _reduced(tiny, made, '"double", "float", "int64_t"')
    assert _sum(tiny, made, more, "more") == 13


def test_they_are_compiled_with_the_kits_own_flags(tiny: Tiny, made: Kit) -> None:
    reduced = _reduced(tiny, made, '"float", "double"')  # as many as there are anyway
    (one,) = reduced.about.objects
    own = [data for _, data in read_archive(made.path / "lib" / one.archive).members()][one.member]
    assert (reduced.folder / one.file).read_bytes() == own


def test_the_second_time_nothing_is_compiled(tiny: Tiny, made: Kit) -> None:
    first = _reduced(tiny, made, '"float"')
    gone = Path("/nowhere")
    tiny.programs = replace(tiny.programs, cmake=gone, ninja=gone)
    again = _reduced(tiny, made, '"float"')
    assert (again.new, again.about, again.folder) == (False, first.about, first.folder)


def test_the_tree_is_configured_once(tiny: Tiny, made: Kit) -> None:
    _reduced(tiny, made, '"float"')
    tiny.programs = replace(tiny.programs, cmake=Path("/nowhere"))
    assert _reduced(tiny, made, '"double"').new


def test_a_damaged_object_is_made_anew(tiny: Tiny, made: Kit) -> None:
    first = _reduced(tiny, made, '"float"')
    (one,) = first.about.objects
    (first.folder / one.file).write_bytes(b"damaged")
    again = _reduced(tiny, made, '"float"')
    assert again.new
    assert _sum(tiny, made, again, "again") == 11


def test_without_types_nothing_is_compiled(tiny: Tiny, made: Kit) -> None:
    assert _reduced(tiny, made, "").about.objects == ()


def test_a_kit_of_other_sources_is_refused(tiny: Tiny, made: Kit) -> None:
    tiny.files["onnxruntime/core/more.h"] = "// changed\n"
    with pytest.raises(KitError, match="made of other sources") as error:
        _reduced(tiny, made, '"float"')
    assert "--reduce-types" in error.value.hint


def test_what_does_not_compile_leaves_nothing(tiny: Tiny, made: Kit) -> None:
    with pytest.raises(ToolError, match="BFloat16"):
        _reduced(tiny, made, '"BFloat16"')
    folder = tiny.cache.root / "reduced"
    assert not folder.exists() or not list(folder.iterdir())
    assert _sum(tiny, made, _reduced(tiny, made, '"float"'), "less") == 11


def test_sources_that_have_no_place_for_types(tiny: Tiny) -> None:
    tiny.files = {**_FILES, _OVERRIDES: _FILES[_OVERRIDES].replace("@@", "@")}
    made = tiny.make()
    with pytest.raises(SourceError, match="no place for the types"):
        _reduced(tiny, made, '"float"')
