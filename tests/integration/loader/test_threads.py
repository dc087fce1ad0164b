"""Many threads, several runtimes, and runs that are ended from outside."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

import ortpack
from support import graphs, models
from support.official import NEWEST, OLDER, library

if TYPE_CHECKING:
    from collections.abc import Callable

    Opener = Callable[..., ortpack.InferenceSession]

FOREVER = {"n": np.array(2**62), "x": np.zeros(1, np.float32)}


def test_one_session_in_many_threads(session: Opener) -> None:
    opened = session(graphs.add())

    def work(number: int) -> bool:
        a = np.full((number % 5 + 1, 2), number, np.float32)
        return all(bool((opened.run(None, {"a": a, "b": a})[0] == 2 * number).all()) for _ in range(200))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(32)))


def test_errors_in_many_threads(session: Opener) -> None:
    opened = session(graphs.add())
    good = np.zeros((1, 2), np.float32)

    def work(number: int) -> str:
        try:
            opened.run(None, {"a": good, "b": good if number % 2 else good.astype(np.int32)})
        except ortpack.errors.InvalidArgument as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(400)))
    assert all(("int32" in text) is (number % 2 == 0) for number, text in enumerate(results))


def test_sessions_made_in_many_threads(runtime: ortpack.LoadedRuntime) -> None:
    def work(number: int) -> float:
        opened = ortpack.InferenceSession(graphs.identity(), runtime=runtime)
        return float(opened.run(None, {"x": np.array([number], np.float32)})[0][0])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(24))) == [float(number) for number in range(24)]


def _start(opened: ortpack.InferenceSession, options: ortpack.RunOptions) -> tuple[threading.Thread, list[Exception]]:
    """Run something that does not end by itself in a thread."""
    caught: list[Exception] = []

    def run() -> None:
        try:
            opened.run(None, FOREVER, options)
        except ortpack.errors.OrtError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, caught


def test_other_threads_go_on_while_a_model_runs_and_can_end_it(session: Opener) -> None:
    opened = session(graphs.endless())
    options = ortpack.RunOptions()
    thread, caught = _start(opened, options)
    # Python code runs meanwhile, which it could not if the run held the GIL
    start = time.perf_counter()
    count = 0
    while time.perf_counter() - start < 0.2:
        count += 1
    assert thread.is_alive()
    assert count > 1000
    options.terminate = True
    thread.join(30)
    assert not thread.is_alive()
    assert "terminate" in str(caught[0])
    assert options.terminate
    # As long as the flag is set no run with these options starts; others do, and these again when it is cleared
    few = {**FOREVER, "n": np.array(3)}
    with pytest.raises(ortpack.errors.OrtError, match="terminate"):
        opened.run(None, few, options)
    assert opened.run(None, few)[0] == 3
    options.terminate = False
    assert opened.run(None, few, options)[0] == 3


def test_one_flag_ends_runs_of_several_runtimes(newest: ortpack.LoadedRuntime, older: ortpack.LoadedRuntime) -> None:
    options = ortpack.RunOptions()
    started = [
        _start(ortpack.InferenceSession(graphs.endless(), runtime=runtime), options) for runtime in (newest, older)
    ]
    time.sleep(0.2)
    assert all(thread.is_alive() for thread, _ in started)
    options.terminate = True
    for thread, caught in started:
        thread.join(30)
        assert "terminate" in str(caught[0])


def test_releases_side_by_side(newest: ortpack.LoadedRuntime, older: ortpack.LoadedRuntime) -> None:
    assert (newest.library.version, older.library.version) == (NEWEST, OLDER)
    assert newest.library is not older.library
    assert ortpack.load_runtime(library(NEWEST)).library is newest.library
    file, feeds = models.model("silero_vad"), models.feeds("silero_vad")
    sessions = [ortpack.InferenceSession(file, runtime=runtime) for runtime in (newest, older)]
    assert [opened.runtime.library.version for opened in sessions] == [NEWEST, OLDER]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda opened: opened.run(None, feeds)[0], sessions * 10))
    for result in results:
        np.testing.assert_allclose(result, results[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("release", [NEWEST, OLDER])
def test_processes_end_cleanly(release: str) -> None:
    """With sessions, arrays, run options and threads alive, and nothing said on standard error."""
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
import threading
import numpy as np, ortpack
from support import graphs
session = ortpack.InferenceSession(graphs.identity(), runtime={str(library(release))!r})
x = np.arange(4, dtype=np.float32)
options = ortpack.RunOptions()
results = session.run(None, {{"x": x}}, options)
values = session.run_with_ort_values(None, {{"x": x}})
binding = session.io_binding()
binding.bind_cpu_input("x", x)
worker = threading.Thread(target=lambda: [session.run(None, {{"x": x}}) for _ in iter(int, 1)], daemon=True)
worker.start()
sys.cycle = [session, results, values, binding, options]
sys.cycle.append(sys.cycle)
"""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")


def test_importing_loads_nothing_native() -> None:
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
import ortpack
assert "numpy" not in sys.modules and "ortpack._binding" not in sys.modules, sorted(sys.modules)
ortpack.SessionOptions(), ortpack.RunOptions()
assert "libonnxruntime" not in open("/proc/self/maps").read()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
