from __future__ import annotations

import sys

import pytest

from ortpack_build.catalog import host, manifests, spec
from ortpack_build.catalog.host import Host

CATALOG = manifests.load()
OFFICIAL = [name for name in CATALOG.targets if spec.releases(CATALOG, CATALOG.variants["cpu"], name)]


def why_not(machine: Host, target: str) -> str | None:
    resolved = spec.resolve(CATALOG, "cpu", target)
    return machine.why_not(CATALOG.targets[target], resolved.platform, CATALOG.targets)


LINUX = Host(os="linux", arch="x86_64", libc="glibc", version="2.36")


@pytest.mark.parametrize(
    ("machine", "target"),
    [
        (LINUX, "linux-x86_64"),
        (Host(os="linux", arch="aarch64", libc="glibc", version="2.28"), "linux-aarch64"),
        (Host(os="macos", arch="arm64", version="15.2"), "macos-arm64"),
        (Host(os="windows", arch="amd64"), "win-amd64"),
        (Host(os="windows", arch="arm64"), "win-arm64"),
        (Host(os="linux", arch="x86_64", libc="musl"), "musllinux-x86_64"),
        (Host(os="linux", arch="armv7l", libc="glibc", version="2.36"), "linux-armv7l"),
        (Host(os="linux", arch="sparc64", libc="glibc", version="2.40"), None),
    ],
)
def test_a_machine_runs_its_own_target_only(machine: Host, target: str | None) -> None:
    assert machine.target(CATALOG.targets) == target
    assert {name for name in OFFICIAL if why_not(machine, name) is None} == {target} & set(OFFICIAL)


@pytest.mark.parametrize(
    ("machine", "target", "reason"),
    [
        (LINUX, "win-amd64", "this machine is linux-x86_64"),
        (Host(os="linux", arch="x86_64", libc="musl"), "linux-x86_64", "this machine is musllinux-x86_64"),
        (Host(os="linux", arch="s390x", libc="glibc"), "linux-x86_64", "this machine is linux s390x"),
        (
            Host(os="linux", arch="x86_64", libc="glibc", version="2.27"),
            "linux-x86_64",
            "needs glibc 2.28, this machine has 2.27",
        ),
        (Host(os="macos", arch="arm64", version="13.6"), "macos-arm64", "needs macOS 14.0, this machine has 13.6"),
    ],
)
def test_why_not(machine: Host, target: str, reason: str) -> None:
    assert why_not(machine, target) == reason


@pytest.mark.skipif(sys.platform != "linux", reason="reads the C library of Linux")
def test_this_machine() -> None:
    machine = host.detect()
    assert machine.os == "linux"
    assert machine.libc in ("glibc", "musl")
