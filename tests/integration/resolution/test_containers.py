"""Threads of a session in a real control group: as many as may run at once, and no error about the others."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.models import model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.sites import Site

TOP = Path("/sys/fs/cgroup")
THREADS = f"""
import os
import ortpack
options = ortpack.SessionOptions()
options.intra_op_num_threads = {{chosen}}
ortpack.runtime()
before = len(os.listdir("/proc/self/task"))
session = ortpack.InferenceSession({str(model("silero_vad"))!r}, options)
print(len(os.listdir("/proc/self/task")) - before + 1, session.get_session_options().intra_op_num_threads)
"""
SHARED = f"""
import os
import ortpack
options = ortpack.SessionOptions()
options.use_per_session_threads = False
ortpack.runtime()
before = len(os.listdir("/proc/self/task"))
ortpack.set_global_thread_pool_sizes(0, 0)
session = ortpack.InferenceSession({str(model("silero_vad"))!r}, options)
print(len(os.listdir("/proc/self/task")) - before + 1)
"""

pytestmark = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one CPU can't be limited to fewer")


@contextlib.contextmanager
def group(parent: Path, settings: Mapping[str, str]) -> Iterator[Path]:
    """A new control group below `parent`, removed afterwards."""
    folder = parent / f"ortpack-test-{os.getpid()}"
    if not (parent / "cgroup.procs").exists():
        pytest.skip(f"no hierarchy of control groups is mounted at {parent}")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        for name, value in settings.items():
            try:
                (folder / name).write_text(value)
            except OSError as error:
                pytest.skip(f"{name} can't be set here: {error}")
        yield folder
    finally:
        folder.rmdir()


def run_in(folder: Path, site: Site, code: str) -> tuple[list[str], str]:
    """What a new Python prints that lives in the group, and its errors."""
    enter = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(folder)]
    done = site.run("-c", code, under=enter)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


SETS = {"cpuset.mems": "0", "cpuset.cpus": "0"}
LIMITS = [
    pytest.param(TOP / "cpuset", SETS, id="cpuset of version 1"),
    pytest.param(TOP / "cpu", {"cpu.cfs_quota_us": "50000"}, id="quota of version 1"),
    pytest.param(TOP, SETS, id="cpuset of version 2"),
    pytest.param(TOP, {"cpu.max": "50000 100000"}, id="quota of version 2"),
]


@pytest.mark.parametrize(("parent", "settings"), LIMITS)
def test_a_session_takes_no_more_threads_than_may_run(site: Site, parent: Path, settings: dict[str, str]) -> None:
    site.add("cpu")
    with group(parent, settings) as folder:
        assert run_in(folder, site, THREADS.format(chosen=0)) == (["1", "0"], "")


def test_a_number_that_somebody_chose_is_kept(site: Site) -> None:
    site.add("cpu")
    with group(TOP / "cpuset", SETS) as folder:
        assert run_in(folder, site, THREADS.format(chosen=2)) == (["2", "2"], "")


def test_threads_that_sessions_share_are_limited_too(site: Site) -> None:
    site.add("cpu")
    with group(TOP / "cpuset", SETS) as folder:
        assert run_in(folder, site, SHARED) == (["1"], "")
    assert int(site.code(SHARED).stdout) > 1


def test_doctor_says_how_many_threads_there_are(site: Site) -> None:
    site.add("cpu")
    code = "import sys; from ortpack.__main__ import main; sys.exit(main(['doctor']))"
    with group(TOP / "cpuset", SETS) as folder:
        words, _ = run_in(folder, site, code)
    assert " ".join(words).count("threads 1: the process may not use all CPUs") == 1
