"""The recipe of the binding: what the compiler and the linker are told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ortpack_build.base.errors import ToolError
from ortpack_build.link.binding import BindingJob, module_flags, object_name
from ortpack_build.link.binding_sources import Binding
from ortpack_build.toolchain import Compilers, Workplace

if TYPE_CHECKING:
    from ortpack_build.toolchain.base import Linker


def job(work: Path, *, linked: bool) -> BindingJob:
    binding = Binding(
        sources=(work / "run.cpp", work / "session.cpp", work / "nb_combined.cpp"),
        nanobind=frozenset({work / "nb_combined.cpp"}),
        fast=frozenset({"run.cpp"}),
        include=(work / "python",),
        flags=("-std=c++17",),
        define=("NDEBUG",),
        licenses={},
        stated={},
        identity="",
    )
    return BindingJob(binding=binding, package="mine.ort", flags=["-fPIC"], ort=work / "ort", linked=linked)


def place(work: Path, script: str) -> Workplace:
    """A compiler that is a shell script."""

    def none(folder: Path, environ: object) -> Linker:
        raise AssertionError

    (work / "cxx").write_text(f"#!/bin/sh\n{script}\n")
    (work / "cxx").chmod(0o755)
    compilers = Compilers(c=work / "cc", cxx=work / "cxx", ar=work / "ar", ranlib=work / "ranlib", linker=none)
    return Workplace(folder=work, compilers=compilers, environ=dict(os.environ), jobs=2)


def test_a_package_has_types_of_its_own_and_onnx_runtime_is_linked_or_loaded() -> None:
    work = Path("/tree")
    loaded, linked = (job(work, linked=linked).arguments for linked in (False, True))
    assert loaded[:2] == ["-fPIC", "-std=c++17"]
    assert {'-DORTPACK_PACKAGE="mine.ort"', "-DNB_DOMAIN=mine.ort", "-DNDEBUG"} < set(loaded)
    assert loaded[-4:] == ["-isystem", "/tree/python", "-isystem", "/tree/ort"]
    assert set(linked) - set(loaded) == {"-DORTPACK_STATIC_ORT=1"}


@pytest.mark.skipif(os.name == "nt", reason="the compiler is a shell script")
def test_files_are_compiled_for_speed_or_size(tmp_path: Path) -> None:
    at = place(tmp_path, 'for last; do :; done; echo "$*" > "$last.words"; touch "$last"')
    objects = job(tmp_path, linked=False).compile(at, tmp_path)
    assert [path.name for path in objects] == ["nb_combined.o", "run.o", "session.o"]  # nanobind's first
    words = {path.stem: path.with_name(f"{path.name}.words").read_text().split() for path in objects}
    assert {name: given[1] for name, given in words.items()} == {"nb_combined": "-Os", "run": "-O2", "session": "-Os"}
    assert [name for name, given in words.items() if "-DNB_BUILD" in given] == ["nb_combined"]
    assert object_name(tmp_path / "run.cpp") == "run.o"


@pytest.mark.skipif(os.name == "nt", reason="the compiler is a shell script")
def test_a_compiler_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"Compiling \w+\.cpp failed:\nno such header"):
        job(tmp_path, linked=False).compile(place(tmp_path, "echo no such header >&2; exit 1"), tmp_path)


def test_a_module_exports_its_init_function_only(tmp_path: Path) -> None:
    flags = module_flags(["-z", "now", "--no-undefined", "--gc-sections"], tmp_path)
    assert flags == ("-z", "now", "--gc-sections", "--version-script", str(tmp_path / "exports.lds"))
    assert (tmp_path / "exports.lds").read_text() == "{ global: PyInit__binding; local: *; };\n"
