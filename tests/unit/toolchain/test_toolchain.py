"""Toolchains: what is found on a machine, what is refused, and the wrappers."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from ortpack_build.base.errors import ToolError
from ortpack_build.kit import settings as kit_settings
from ortpack_build.toolchain import Zig, find
from ortpack_build.toolchain.base import write_wrapper

if TYPE_CHECKING:
    from pathlib import Path


def _program(folder: Path, name: str, says: str) -> None:
    path = folder / name
    path.write_text(f'#!/bin/sh\ncase "$1" in -dumpmachine) echo x86_64-linux-gnu;; *) echo "{says}";; esac\n')
    path.chmod(0o755)


def test_no_compiler(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="gcc is not on this machine") as caught:
        find("gcc", kit_settings.load().compilers["gcc"], environ={"PATH": str(tmp_path)})
    assert "--toolchain zig" in caught.value.paragraph()


@pytest.mark.parametrize(
    ("says", "good"),
    [
        ("g++ (Debian 9.4.0-1) 9.4.0", False),
        ("g++ (Debian 12.2.0-14) 11.0.9", False),
        ("g++ (GCC) 11.1.0", True),
        ("g++ (Debian 12.2.0-14+deb12u1) 12.2.0", True),
        ("g++ (Ubuntu 13.2.0-4ubuntu3) 13.2.0", True),
    ],
)
def test_the_oldest_compiler(says: str, good: bool, tmp_path: Path) -> None:
    for name in ("gcc", "g++", "ar", "ranlib"):
        _program(tmp_path, name, says)
    line = kit_settings.load().compilers["gcc"]
    if good:
        assert find("gcc", line, environ={"PATH": str(tmp_path)}).identity["version"] == says
        return
    with pytest.raises(ToolError, match=r"needs gcc 11\.1 or newer"):
        find("gcc", line, environ={"PATH": str(tmp_path)})


def test_a_compiler_that_says_nothing(tmp_path: Path) -> None:
    for name in ("gcc", "g++", "ar", "ranlib"):
        _program(tmp_path, name, "hello")
    with pytest.raises(ToolError, match="does not say its version"):
        find("gcc", kit_settings.load().compilers["gcc"], environ={"PATH": str(tmp_path)})


def test_a_wrapper_exchanges_arguments(tmp_path: Path) -> None:
    wrapper = write_wrapper(
        tmp_path / "w", ["printf", "%s|"], arguments={"-march=armv8.2-a+fp16": "-mcpu=generic+v8_2a+fullfp16"}
    )
    given = ["-c", "-march=armv8.2-a+fp16", "a b", "", "*", "-DX='y'"]
    out = subprocess.run([wrapper, *given], capture_output=True, text=True, check=True).stdout
    assert out == "-c|-mcpu=generic+v8_2a+fullfp16|a b||*|-DX='y'|"


def test_a_wrapper_is_the_same_file_wherever_it_lies(tmp_path: Path) -> None:
    """Compiler caches take it for the compiler."""
    texts = set()
    for machine in ("one", "two/else where"):
        folder = tmp_path / machine / "tool"
        folder.mkdir(parents=True)
        (folder / "print").symlink_to("/usr/bin/printf")
        wrapper = write_wrapper(
            folder / "w", [str(folder / "print"), "%s|"], root=folder.parent, identity={"version": "a\nb", "name": "x"}
        )
        texts.add(wrapper.read_text())
        out = subprocess.run([wrapper, "-c"], capture_output=True, text=True, check=True, cwd=folder).stdout
        assert out == f"-ffile-prefix-map={folder.parent}/=../|-ffile-prefix-map={folder}/=|-c|"
    assert len(texts) == 1
    assert "# version: a b\n" in texts.pop()
    flat = write_wrapper(tmp_path / "w", ["/usr/bin/printf", "%s|"], root=tmp_path)
    out = subprocess.run([flat], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert out == f"-ffile-prefix-map={tmp_path}/=../|-ffile-prefix-map={tmp_path}/=|"


def test_zig_depends_on_nothing_of_the_machine(tmp_path: Path) -> None:
    def zig(program: str, *, cross: bool = False) -> Zig:
        return Zig(
            program=tmp_path / program,
            version="1",
            target="t",
            wheel_tag="w",
            cross=cross,
            system="Linux",
            processor="p",
        )

    assert zig("a").identity == zig("b").identity
    (tmp_path / "tool").mkdir()
    plain = zig("a").install(tmp_path / "tool", root=tmp_path, shared=tmp_path)
    crossing = zig("a", cross=True).install(tmp_path / "tool", root=tmp_path, shared=tmp_path)
    assert plain.options == {}
    assert crossing.options == {"CMAKE_SYSTEM_NAME": "Linux", "CMAKE_SYSTEM_PROCESSOR": "p"}
