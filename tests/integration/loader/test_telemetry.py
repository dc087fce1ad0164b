"""Nothing leaves the machine: each way to start ONNX Runtime is traced, with a new home and without a network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import ortpack
from support.models import model
from support.official import NEWEST, library

STRACE = shutil.which("strace")
SECONDS = 12  # that a process lives on: with telemetry on, the library looks its collector's name up after 9
DEVICE_ID = ".cache/Microsoft/DeveloperTools/.onnxruntime/deviceid"
OPEN = f"ortpack.InferenceSession({str(model('silero_vad'))!r})"
LIVE = f"import time; time.sleep({SECONDS})"
OPTIMIZE = Path(__file__).parents[3] / "build_tools" / "ortpack_build" / "ops" / "_optimize.py"

QUIET = {
    "session": f"import ortpack; {OPEN}",
    "doctor": "from ortpack.__main__ import main; main(['doctor'])",
    "doctor --json": "from ortpack.__main__ import main; main(['doctor', '--json'])",
    "explain": "import ortpack; print(ortpack.explain()); ortpack.get_build_info(); ortpack.get_available_providers()",
    "devices": "import ortpack; ortpack.get_ep_devices()",
    "path": f"import ortpack; {OPEN[:-1]}, runtime={str(library(NEWEST))!r})",
    "disabled before": f"import ortpack; ortpack.disable_telemetry_events(); {OPEN}",
    "disabled after": f"import ortpack; {OPEN}; ortpack.disable_telemetry_events(); {OPEN}",
    "enabled and disabled": (
        f"import ortpack; ortpack.enable_telemetry_events(); ortpack.disable_telemetry_events(); {OPEN}"
    ),
    "enabled too late": f"import ortpack; {OPEN}; ortpack.enable_telemetry_events(); {OPEN}",
    "child": (
        f"import ortpack, subprocess, sys; {OPEN}; "
        f"subprocess.run([sys.executable, '-c', {f'import ortpack; {OPEN}; {LIVE}'!r}], check=True)"
    ),
    "pool": (
        "import multiprocessing as m, ortpack; ortpack.runtime(); p = m.get_context('spawn').Pool(1); "
        "p.apply(eval, ('len(__import__(\"ortpack\").get_ep_devices())',))"
    ),
    "worker": f"import runpy; runpy.run_path({str(OPTIMIZE)!r}, run_name='worker')['main']()",
}
LOUD: dict[str, tuple[dict[str, str], str]] = {
    "variable": ({"ORTPACK_TELEMETRY": "1"}, f"import ortpack; {OPEN}"),
    "function": ({}, f"import ortpack; ortpack.enable_telemetry_events(); {OPEN}"),
    "function, library loaded": ({}, f"import ortpack; ortpack.runtime(); ortpack.enable_telemetry_events(); {OPEN}"),
    "upstream's variable": ({"ORT_DISABLE_TELEMETRY": "0"}, f"import ortpack; {OPEN}"),
    "doctor": ({"ORTPACK_TELEMETRY": "1"}, QUIET["doctor"]),
}


@cache
def cut_off() -> list[str] | None:
    """What starts a program that has no network; None where nothing does."""
    for command in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if not shutil.which(command[0]):
            continue
        if subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0:
            return command
    return None


pytestmark = [
    pytest.mark.skipif(STRACE is None, reason="there is no strace"),
    pytest.mark.skipif(cut_off() is None, reason="a process can't be cut off from the network here (unshare)"),
]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a process did, by its system calls and what it left behind."""

    code: int
    output: str
    files: tuple[str, ...]  # below its home
    touched: tuple[str, ...]  # calls that name a path below its home, other than to look
    connections: tuple[str, ...]
    lookups: tuple[str, ...]


def trace(folder: Path, code: str, variables: dict[str, str]) -> Seen:
    """Run Python code in a process that lives for some seconds, has a new home and no network."""
    home = folder / "home"
    home.mkdir(parents=True)
    command = cut_off()
    assert STRACE is not None
    assert command is not None
    calls = "trace=network,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat"
    strace = [STRACE, "-f", "-qq", "-s", "400", "-e", calls, "-o", str(folder / "trace")]
    done = subprocess.run(
        [*command, *strace, sys.executable, "-c", f"{code}; {LIVE}"],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": str(Path(ortpack.__file__).parents[1]),
            "ORTPACK_LIBRARY": str(library(NEWEST)),
            "PYTHONDONTWRITEBYTECODE": "1",
            **variables,
        },
        input=json.dumps({"library": str(library(NEWEST)), "jobs": []}),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    lines = (folder / "trace").read_text(errors="replace").splitlines()
    return Seen(
        code=done.returncode,
        output=done.stdout + done.stderr,
        files=tuple(sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())),
        touched=tuple(line for line in lines if str(home) in line and "O_RDONLY" not in line),
        connections=tuple(line for line in lines if re.search(r"\b(connect|sendto|sendmsg|sendmmsg)\(.*AF_INET", line)),
        lookups=tuple(line for line in lines if re.search(r'"/etc/(resolv\.conf|hosts|nsswitch\.conf)"', line)),
    )


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """All processes, traced at the same time."""
    root = tmp_path_factory.mktemp("traced")
    runs: dict[str, tuple[dict[str, str], str]] = {f"quiet {name}": ({}, code) for name, code in QUIET.items()}
    runs |= {f"loud {name}": run for name, run in LOUD.items()}
    with ThreadPoolExecutor(len(runs)) as pool:
        found = {
            name: pool.submit(trace, root / str(number), code, variables)
            for number, (name, (variables, code)) in enumerate(runs.items())
        }
    return {name: future.result() for name, future in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", QUIET)
def test_nothing_is_sent_looked_up_or_written(seen: dict[str, Seen], name: str) -> None:
    done = seen[f"quiet {name}"]
    assert done.code == 0, done.output
    assert (done.files, done.touched, done.connections, done.lookups) == ((), (), (), ())


@pytest.mark.slow
@pytest.mark.parametrize("name", LOUD)
def test_who_asks_for_telemetry_gets_it(seen: dict[str, Seen], name: str) -> None:
    done = seen[f"loud {name}"]
    assert done.code == 0, done.output
    assert DEVICE_ID in done.files
    assert done.touched


@pytest.mark.slow
def test_the_trace_sees_look_ups(seen: dict[str, Seen]) -> None:
    assert any(run.lookups for name, run in seen.items() if name.startswith("loud"))


@pytest.mark.slow
def test_doctor_says_who_decided(seen: dict[str, Seen]) -> None:
    assert "telemetry off (ORT_DISABLE_TELEMETRY=1 set by ortpack)" in seen["quiet doctor"].output
    assert '"telemetry": {\n    "on": false,' in seen["quiet doctor --json"].output
    assert "telemetry on (ORTPACK_TELEMETRY=1 in the environment)" in seen["loud doctor"].output
