"""Kernel tables: what the transformation makes of a source file, and what it refuses."""

from __future__ import annotations

import pytest

from ortpack_build.base.errors import SourceError
from ortpack_build.origin.source.tables import externalise

_SOURCE = """\
namespace onnxruntime {
Status RegisterAKernels(KernelRegistry& kernel_registry) {
  static const BuildKernelCreateInfoFn function_table[] = {
      BuildKernelCreateInfo<void>,  // default entry
      BuildKernelCreateInfo<ONNX_OPERATOR_KERNEL_CLASS_NAME(kCpuExecutionProvider, kOnnxDomain, 1, Abs)>,
#ifdef FEATURE
      BuildKernelCreateInfo<ONNX_OPERATOR_VERSIONED_TYPED_KERNEL_CLASS_NAME(kCpuExecutionProvider, kOnnxDomain, 6, 12,
                                                                            float, Relu)>,
#endif
  };

  for (auto& function_table_entry : function_table) {
    KernelCreateInfo info = function_table_entry();
    if (info.kernel_def != nullptr) {
      ORT_RETURN_IF_ERROR(kernel_registry.Register(std::move(info)));
    }
  }

  return Status::OK();
}
}  // namespace onnxruntime
"""


def test_a_table_becomes_two_arrays() -> None:
    text, (table,) = externalise(_SOURCE, prefix="cpu", where="a.cc")
    assert (table.id, table.entries, table.conditional) == ("cpu_RegisterAKernels", 2, 1)
    assert "const BuildKernelCreateInfoFn ortpack_all_cpu_RegisterAKernels[] = {\n" in text
    assert "extern const BuildKernelCreateInfoFn ortpack_kernels_cpu_RegisterAKernels[];" in text
    assert "ortpack_i < ortpack_kernels_cpu_RegisterAKernels_count" in text
    assert text.index("#ifdef FEATURE") < text.index("#endif") < text.index("Status RegisterAKernels")
    assert "function_table[]" not in text


def test_two_tables_of_one_file_are_told_apart() -> None:
    text = _SOURCE + _SOURCE.replace("RegisterA", "RegisterB")
    assert [table.id for table in externalise(text, prefix="x", where="a.cc")[1]] == [
        "x_RegisterAKernels",
        "x_RegisterBKernels",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "static const BuildKernelCreateInfoFn function_table[]",
            "static const Fn function_table[]",
            "no kernel table",
        ),
        ("BuildKernelCreateInfo<void>,", "", "lacks its <void>"),
        ("kOnnxDomain, 1, Abs)>,", "kOnnxDomain, 1, Abs)>(), ", "not understood"),
        ("ONNX_OPERATOR_KERNEL_CLASS_NAME", "MY_KERNEL_CLASS_NAME", "not understood"),
        ("#endif\n", "", "no #endif"),
        ("#ifdef FEATURE", "#define FEATURE", "not understood"),
        ("for (auto& function_table_entry : function_table)", "for (auto f : function_table)", "does not walk"),
        ("  };\n", "", "has no end"),
        ("  return Status::OK();", "  return Done(function_table);", "not understood"),
    ],
)
def test_what_is_not_as_expected_fails(old: str, new: str, message: str) -> None:
    assert old in _SOURCE
    with pytest.raises(SourceError, match=message):
        externalise(_SOURCE.replace(old, new), prefix="cpu", where="a.cc")


def test_the_same_table_twice_fails() -> None:
    with pytest.raises(SourceError, match="same name"):
        externalise(_SOURCE * 2, prefix="cpu", where="a.cc")
