"""How `verify` decides what runs a wheel, and what it says where nothing can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
from msgspec import UNSET

from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.base.errors import UsageError
from ortpack_build.base.report import Reporter
from ortpack_build.catalog import manifests, spec
from ortpack_build.catalog.host import Host
from ortpack_build.verify import Verdict, Wish
from ortpack_build.verify.run import run, runners

if TYPE_CHECKING:
    from pathlib import Path

    from ortpack_build.verify.wheel_reader import WheelReader

CATALOG = manifests.load()
LINUX = Host(os="linux", arch="x86_64", libc="glibc", version="2.41")
STRANGER = Host(os="linux", arch="sparc64", libc="glibc", version="2.41")


@dataclass
class Runtime:
    platform: spec.Platform
    kind: object = UNSET


@dataclass
class Wheel:
    """What a decision asks of a wheel whose checks passed."""

    name: str
    package: str | None = None
    kind: object = UNSET
    catalog = CATALOG

    @property
    def target(self) -> Any:
        return CATALOG.targets[self.name]

    @property
    def runtime(self) -> Runtime:
        tags = {"linux-x86_64": "manylinux_2_28_x86_64", "macos-arm64": "macosx_14_0_arm64"}
        return Runtime(spec.platform(self.target, tags.get(self.name, "")), self.kind)


def wheel(target: str, **values: Any) -> WheelReader:
    return cast("WheelReader", Wheel(target, **values))


def context(folder: Path) -> Context:
    """Nothing is installed on this machine."""
    return Context(cache=Cache(root=folder / "cache"), report=Reporter(), environ={"PATH": str(folder)})


@pytest.mark.parametrize(
    ("target", "emulate", "names"),
    [
        ("linux-x86_64", False, ["InstalledHere"]),
        ("linux-aarch64", False, ["InstalledHere"]),
        ("win-arm64", False, ["InstalledHere"]),
        ("win-amd64", False, ["InstalledHere", "FromCUnderWine"]),
        ("win-amd64", True, ["InstalledHere", "FromCUnderWine"]),  # wine needs no root
        ("linux-x86_64", True, ["InstalledBelowEmulator", "FromCBelowEmulator"]),
        ("musllinux-aarch64", True, ["InstalledBelowEmulator", "FromCBelowEmulator"]),
    ],
)
def test_which_runners_come_into_question(target: str, emulate: bool, names: list[str], tmp_path: Path) -> None:
    found = runners(wheel(target), Wish(emulate=emulate), context(tmp_path), LINUX)
    assert [type(runner).__name__ for runner in found] == names
    assert len({runner.name for runner in found}) == len(found)


@pytest.mark.parametrize(
    ("target", "emulate", "reasons"),
    [
        ("linux-x86_64", False, [None]),
        ("linux-aarch64", False, ["this machine is linux-x86_64"]),
        ("linux-aarch64", True, [None, None]),
        ("musllinux-x86_64", True, ["there is no Python for musllinux-x86_64", None]),
    ],
)
def test_a_runner_says_why_it_cannot(target: str, emulate: bool, reasons: list[str | None], tmp_path: Path) -> None:
    found = runners(wheel(target), Wish(emulate=emulate), context(tmp_path), LINUX)
    assert [runner.why_not(wheel(target)) for runner in found] == reasons


@pytest.mark.parametrize(
    ("given", "emulate", "here", "detail"),
    [
        (wheel("macos-arm64"), False, LINUX, "this machine is linux-x86_64"),
        (wheel("win-amd64"), False, LINUX, "this machine is linux-x86_64; wine is not installed"),
        (wheel("win-amd64"), False, STRANGER, "this machine is linux sparc64; no zig is pinned for this machine"),
        (
            wheel("win-amd64", package="mylib._ort"),
            False,
            LINUX,
            "this machine is linux-x86_64; an extension module, which only Python can load",
        ),
        (
            wheel("musllinux-x86_64", package="mylib._ort"),
            True,
            LINUX,
            "there is no Python for musllinux-x86_64; an extension module, which only Python can load",
        ),
        (wheel("linux-x86_64", kind="plugin"), True, LINUX, "a wheel of kind plugin runs with another one beside it"),
    ],
)
def test_where_nothing_can_run_it_the_row_says_why(
    given: WheelReader, emulate: bool, here: Host, detail: str, tmp_path: Path
) -> None:
    (row,) = run(given, Wish(emulate=emulate), context(tmp_path), tmp_path, here=here)
    assert (row.check, row.verdict, row.detail) == ("run", Verdict.SKIP, detail)
    assert not list(tmp_path.iterdir())  # nothing was fetched or made to find out


def test_what_nothing_emulates_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Nothing here emulates macos-arm64\."):
        run(wheel("macos-arm64"), Wish(emulate=True), context(tmp_path), tmp_path, here=LINUX)
