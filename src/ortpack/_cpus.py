"""How many CPUs this process may use, where a container or a batch system gives it fewer than the machine has.

ONNX Runtime counts the cores of the machine, starts a thread for each and binds it to its core. Where that core is not
the process's to use, each thread logs an error; where CPU time is limited, threads wait for each other.
"""

from __future__ import annotations

import functools
import os

_QUOTA = "cpu.cfs_quota_us"  # of cgroups of version 1, in microseconds for each period; -1: none
_PERIOD = "cpu.cfs_period_us"
_MAX = "cpu.max"  # of version 2: quota and period; "max" in place of a quota: none


def limit(root: str = "/") -> int | None:
    """Say how many threads can run at once, if the system lets the process use fewer CPUs than there are.

    Hyper-threads of one core count as one, as for ONNX Runtime.

    Args:
        root: where proc and sys are found.
    """
    try:
        allowed = os.sched_getaffinity(0)
    except (AttributeError, OSError):  # not on this system
        return None
    quota = _quota(root)
    limited = len(allowed) < _online(root)
    if quota is None and not limited:
        return None
    cores = len({_siblings(root, cpu) for cpu in allowed})
    if limited:
        return min(cores, quota or cores)
    return quota if quota is not None and quota < cores else None


def _online(root: str) -> int:
    """Count the CPUs that the machine has running: musl's own count is of those that the process may use."""
    count = 0
    try:
        for part in _read(root, "sys/devices/system/cpu/online").split(","):
            first, _, last = part.partition("-")
            count += int(last or first) - int(first) + 1
    except (OSError, ValueError):
        return os.cpu_count() or 1
    return count


def _siblings(root: str, cpu: int) -> str:
    try:
        return _read(root, f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    except OSError:
        return str(cpu)


@functools.cache
def _quota(root: str) -> int | None:
    """Read the CPU time of the process's control group, and of those that it lies in: the least, in whole CPUs."""
    try:
        mount, group = _group(root)
    except (OSError, ValueError):  # no such system, or proc is not mounted
        return None
    quotas: list[float] = []
    while True:
        quotas += _quotas_of(root, os.path.join(mount, group))
        if not group:
            break
        group = os.path.dirname(group)
    return max(1, -int(-min(quotas) // 1)) if quotas else None


def _group(root: str) -> tuple[str, str]:
    """Find the process's group: where the hierarchy that limits CPU time is mounted, and the path below that."""
    mount, group = "sys/fs/cgroup", ""
    for line in _read(root, "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpu" in controllers.split(","):  # of version 1, which comes before version 2 where both are mounted
            mount, group = "sys/fs/cgroup/cpu", path.strip("/")
            break
        if not controllers:
            group = path.strip("/")
    # A container's own group may be the top of what is mounted, whatever it is called outside
    return mount, group if os.path.isdir(os.path.join(root, mount, group)) else ""


def _quotas_of(root: str, folder: str) -> list[float]:
    try:
        quota, period = _read(root, f"{folder}/{_MAX}").split()
    except (OSError, ValueError):
        try:
            quota, period = _read(root, f"{folder}/{_QUOTA}"), _read(root, f"{folder}/{_PERIOD}")
        except OSError:  # the top group has none
            return []
    try:
        return [int(quota) / int(period)] if int(quota) > 0 else []
    except (ValueError, ZeroDivisionError):  # "max"
        return []


def _read(root: str, path: str) -> str:
    file = os.open(os.path.join(root, path), os.O_RDONLY)
    try:
        return os.read(file, 65536).decode(errors="replace").strip()
    finally:
        os.close(file)
