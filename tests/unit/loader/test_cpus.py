"""How many CPUs a process may use, told from made-up files of control groups."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ortpack import _cpus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Machine = Callable[..., str]

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no control groups")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Make up a machine of some CPUs, with hyper-threads or without; `files` is what else lies below its root."""

    def make(files: dict[str, str], *, cpus: int = 8, allowed: int | None = None, threads: int = 1) -> str:
        _cpus._quota.cache_clear()
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cpus if allowed is None else allowed)))
        first = {cpu: cpu // threads * threads for cpu in range(cpus)}
        topology = {
            f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": f"{start}-{start + threads - 1}\n"
            for cpu, start in first.items()
        }
        online = {"sys/devices/system/cpu/online": f"0-{cpus - 1}\n" if cpus > 2 else "0,1\n"}
        for name, text in {**online, **topology, **files}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return str(tmp_path)

    return make


def proc(*groups: str) -> dict[str, str]:
    return {"proc/self/cgroup": "\n".join([*groups, ""])}


def test_nothing_is_limited_on_a_plain_machine(machine: Machine) -> None:
    assert _cpus.limit(machine({})) is None
    assert _cpus.limit(machine(proc("0::/user.slice"))) is None
    assert _cpus.limit(machine({}, cpus=2)) is None


def test_the_cpus_that_the_process_is_bound_to_count(machine: Machine) -> None:
    assert _cpus.limit(machine({}, allowed=3)) == 3
    assert _cpus.limit(machine({}, allowed=4, threads=2)) == 2  # two threads of a core


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max 100000", None), ("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("900000 100000", None)],
)
def test_the_quota_of_version_2(machine: Machine, text: str, expected: int | None) -> None:
    files = proc("0::/app") | {"sys/fs/cgroup/app/cpu.max": text}
    assert _cpus.limit(machine(files)) == expected


@pytest.mark.parametrize("outer", ["kube.slice", "kube.slice/pod"])
def test_the_quota_of_a_group_around_it_counts(machine: Machine, outer: str) -> None:
    files = proc("0::/kube.slice/pod/app") | {
        "sys/fs/cgroup/kube.slice/cpu.max": "max 100000",
        "sys/fs/cgroup/kube.slice/pod/cpu.max": "max 100000",
        "sys/fs/cgroup/kube.slice/pod/app/cpu.max": "600000 100000",
    }
    assert _cpus.limit(machine(files)) == 6
    assert _cpus.limit(machine({**files, f"sys/fs/cgroup/{outer}/cpu.max": "300000 100000"})) == 3


def test_a_container_that_sees_its_own_group_as_the_top(machine: Machine) -> None:
    files = proc("0::/") | {"sys/fs/cgroup/cpu.max": "100000 100000"}
    assert _cpus.limit(machine(files)) == 1


@pytest.mark.parametrize("path", ["/docker/abc", "/docker/abc/inner", "/"])
def test_the_quota_of_version_1(machine: Machine, path: str) -> None:
    """Docker mounts the container's own group, and its path is the one outside."""
    files = proc("5:cpuset:/x", f"4:cpu,cpuacct:{path}", "0::/x") | {
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    }
    assert _cpus.limit(machine(files)) == 3
    assert _cpus.limit(machine({**files, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1"})) is None


def test_an_inner_group_of_version_1(machine: Machine) -> None:
    files = proc("4:cpu,cpuacct:/batch/job", "0::/") | {
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/cpu/batch/cpu.cfs_quota_us": "400000",
        "sys/fs/cgroup/cpu/batch/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/cpu/batch/job/cpu.cfs_quota_us": "250000",
        "sys/fs/cgroup/cpu/batch/job/cpu.cfs_period_us": "50000",
    }
    assert _cpus.limit(machine(files)) == 4


def test_both_limits_hold(machine: Machine) -> None:
    files = proc("0::/app") | {"sys/fs/cgroup/app/cpu.max": "300000 100000"}
    assert _cpus.limit(machine(files, allowed=2)) == 2
    assert _cpus.limit(machine(files, allowed=6)) == 3
    assert _cpus.limit(machine(files, allowed=4, threads=2)) == 2


@pytest.mark.parametrize(
    "files",
    [
        {"proc/self/cgroup": "junk"},
        proc("0::/app") | {"sys/fs/cgroup/app/cpu.max": ""},
        proc("0::/app") | {"sys/fs/cgroup/app/cpu.max": "1 0"},
    ],
)
def test_what_makes_no_sense_is_no_limit(machine: Machine, files: dict[str, str]) -> None:
    assert _cpus.limit(machine(files)) is None


def test_a_system_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert _cpus.limit() is None
