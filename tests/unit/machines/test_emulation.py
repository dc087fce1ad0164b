"""Roots and emulators: what is said before anything is fetched, and that the data is whole."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import pytest

from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.base.errors import ToolError, UsageError
from ortpack_build.base.report import Reporter
from ortpack_build.catalog import host, manifests
from ortpack_build.cli.main import main
from ortpack_build.machines import emulation

if TYPE_CHECKING:
    from pathlib import Path

TARGETS = manifests.load().targets
DATA = emulation.load()


def context(folder: Path, **environ: str) -> Context:
    return Context(cache=Cache(root=folder), report=Reporter(), environ=environ)


def test_every_target_with_an_emulator_has_a_root() -> None:
    wanted = {name for name, line in TARGETS.items() if line.emulator and line.os == "linux"}
    assert wanted == set(DATA.roots)
    for name, line in DATA.roots.items():
        assert DATA.wanted(line)
        lender = DATA.roots[line.headers_of or name]
        assert lender.include, name
        assert lender.architecture == line.architecture
        assert {*DATA.headers.values()} <= {*DATA.wanted(lender)}
        assert "libc6-dev" not in DATA.wanted(lender)  # the toolchain brings the libc's headers, for musl others


def test_a_target_without_a_root_names_those_that_have_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No root is made for linux-arch64\.") as caught:
        emulation.obtain("linux-arch64", context(tmp_path))
    assert "Did you mean linux-aarch64?" in caught.value.paragraph()
    assert not list(tmp_path.iterdir())


def test_a_missing_emulator_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as caught:
        emulation.machine(TARGETS["linux-aarch64"], context(tmp_path, PATH=str(tmp_path)))
    assert caught.value.paragraph() == (
        "qemu-aarch64 or qemu-aarch64-static, which runs programs of linux-aarch64, is not on this machine. "
        "Install it: apt-get install qemu-user"
    )
    assert not list(tmp_path.iterdir())


def test_a_static_emulator_will_do(tmp_path: Path) -> None:
    program = tmp_path / "qemu-arm-static"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert emulation.emulator(TARGETS["linux-armv7l"], DATA, environ={"PATH": str(tmp_path)}) == program


def test_a_target_that_nothing_emulates() -> None:
    with pytest.raises(UsageError, match=r"Nothing here emulates macos-arm64\.") as caught:
        emulation.emulator(TARGETS["macos-arm64"], DATA, environ=os.environ)
    assert "linux-aarch64" in caught.value.hint


def test_musl_needs_no_emulator_where_the_processor_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(DATA.loaders) == {name for name, line in TARGETS.items() if line.libc == "musl"}
    root = emulation.Root(path=tmp_path, python=None, pip=tmp_path, pycache=tmp_path, libraries=(), include=())
    monkeypatch.setattr(emulation, "obtain", lambda *_: root)
    for arch, found in (("x86_64", True), ("aarch64", False)):
        monkeypatch.setattr(host, "detect", lambda arch=arch: host.Host(os="linux", arch=arch, libc="glibc"))
        target = TARGETS["musllinux-x86_64"]
        if found:
            machine = emulation.machine(target, context(tmp_path, PATH=""))
            assert machine.command(tmp_path / "program") == [
                f"{tmp_path}/lib/ld-musl-x86_64.so.1",
                f"{tmp_path}/program",
            ]
        else:
            with pytest.raises(ToolError, match="qemu-x86_64"):
                emulation.machine(target, context(tmp_path, PATH=""))


def test_an_emulator_that_needs_no_root_has_its_own_environment() -> None:
    assert not DATA.needs_root(TARGETS["win-amd64"])
    assert all(DATA.needs_root(target) for target in TARGETS.values() if target.os != "windows")
    found = DATA.rootless["wine"].environ({"PATH": "/bin", "DISPLAY": ":0", "WINEDEBUG": "+all"})
    assert found["PATH"] == "/bin"
    assert found["WINEDEBUG"] == "-all"
    assert "DISPLAY" not in found


def test_a_machine_says_how_programs_are_run(tmp_path: Path) -> None:
    root = emulation.Root(
        path=tmp_path / "root",
        python=tmp_path / "root" / "usr" / "bin" / "python3",
        pip=tmp_path / "pip",
        pycache=tmp_path / "pycache",
        libraries=(tmp_path / "a", tmp_path / "b"),
        include=(),
    )
    machine = emulation.Machine(emulator=tmp_path / "qemu", arguments=("-L", str(root.path)), root=root)
    environ = f"LD_LIBRARY_PATH={tmp_path}/a:{tmp_path}/b"
    start = [str(tmp_path / "qemu"), "-L", str(root.path), "-E", environ]
    assert machine.command(tmp_path / "program") == [*start, str(tmp_path / "program")]
    assert machine.python() == [*start, str(root.python), "-X", f"pycache_prefix={root.pycache}", "-I"]
    assert machine.python(tmp_path / "env")[len(start)] == str(tmp_path / "env")
    without = dataclasses.replace(machine, root=dataclasses.replace(root, python=None))
    with pytest.raises(UsageError, match="has no Python"):
        without.python()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("root", "linux-aarch46"), "No root is made for linux-aarch46. Did you mean linux-aarch64?"),
        (("loader", "--target", "linux-armv71"), "Kits are not made for linux-armv71. Did you mean linux-armv7l?"),
        (("loader", "--jobs", "0"), "--jobs 0 is no number of jobs. It is 1 or more."),
        (("loader", "--tree", "{empty}"), "is no source tree of the loader. --tree wants a checkout of ortpack."),
    ],
)
def test_mistakes_are_one_paragraph(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    words = [word.format(empty=empty) for word in arguments]
    assert main([*words, "--cache", str(tmp_path / "cache")]) == UsageError.exit_code
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "cache").exists()
