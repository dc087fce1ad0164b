"""A minimal runtime of silero-vad, magika and PP-OCR detection beside the official package (`nox -s bench`).

Makes the wheel as a user would, without and with its proof, and compares what it takes with the official package of
the same release: bytes, and in new processes the time to the first result (the lower quartile: another program's use of
a core never makes it less) and the memory, NumPy's own taken off both.
A kit must be in the cache; the results about models that a command keeps are thrown away where it says so.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from support.models import model

if TYPE_CHECKING:
    from collections.abc import Sequence

MODELS = ("silero_vad", "magika", "ppocr_det")
FEED = """
    "input": numpy.zeros((1, 576), numpy.float32),
    "state": numpy.zeros((2, 1, 128), numpy.float32),
    "sr": numpy.array(16000),
"""
OFFICIAL = f"""
import numpy, onnxruntime
session = onnxruntime.InferenceSession({{path!r}}, providers=["CPUExecutionProvider"])
session.run(None, {{{{{FEED}}}}})
"""
OURS = f"""
import numpy, ortpack
session = ortpack.InferenceSession({{path!r}}, runtime={{runtime!r}})
session.run(None, {{{{{FEED}}}}})
"""
MEMORY = "\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def command(models: Sequence[Path], out: Path, *more: str) -> float:
    """Seconds of the command that makes the wheel."""
    line = [sys.executable, "-m", "ortpack_build", "minimal", "--flavour", "ort", "--name", "bench-ort"]
    start = time.perf_counter()
    subprocess.run([*line, "--out", str(out), *more, "--model", *map(str, models)], check=True, capture_output=True)
    return time.perf_counter() - start


def process(code: str, path: str = "") -> tuple[float, int]:
    """Seconds and kibibytes of a new Python that runs `code`."""
    start = time.perf_counter()
    # The official package reports usage unless it is told not to
    environ = {"ORT_DISABLE_TELEMETRY": "1", **os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code + MEMORY], check=True, capture_output=True, env=environ, text=True
    )
    return time.perf_counter() - start, int(done.stdout.split()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--official", type=Path, required=True, help="folder with the official package of the release")
    parser.add_argument("--official-wheel", type=Path, required=True, help="its wheel")
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    models = [model(name) for name in MODELS]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        command(models, out)  # compiles what the compiler compiles once, and keeps what is learnt of the models
        kept = statistics.median(command(models, out, "--no-verify") for _ in range(3))
        proven = statistics.median(command(models, out) for _ in range(3))
        (wheel,) = out.glob("bench_ort-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(out / "site")
        runtime = next((out / "site" / "ortpack_runtimes").iterdir())
        library = next(runtime.glob("*.so*"))
        theirs = next((arguments.official / "onnxruntime" / "capi").glob("libonnxruntime.so.*"))
        codes = {
            "numpy": ("import numpy", ""),
            "ours": (OURS.format(path=str(out / "silero_vad.ort"), runtime=str(runtime)), ""),
            "official": (OFFICIAL.format(path=str(models[0])), str(arguments.official)),
        }
        seen: dict[str, list[tuple[float, int]]] = {name: [] for name in codes}
        for _ in range(arguments.rounds):
            for name, (code, path) in codes.items():
                seen[name].append(process(code, path))
        seconds = {name: statistics.quantiles((s for s, _ in values), n=4)[0] for name, values in seen.items()}
        memory = {name: statistics.median(m for _, m in values) for name, values in seen.items()}
        first = [seconds[name] - seconds["numpy"] for name in ("ours", "official")]
        more = [(memory[name] - memory["numpy"]) / 1024 for name in ("ours", "official")]
        rows = [
            ("library", library.stat().st_size / 1e6, theirs.stat().st_size / 1e6, "MB"),
            ("wheel", wheel.stat().st_size / 1e6, arguments.official_wheel.stat().st_size / 1e6, "MB"),
            ("new process to first silero-vad result", first[0] * 1e3, first[1] * 1e3, "ms"),
            ("memory of that process", more[0], more[1], "MiB"),
        ]
        print(f"\nThe command: {kept:.2f} s without proof, {proven:.2f} s with it\n")
        print("| what | minimal | onnxruntime | ratio |\n| --- | --- | --- | --- |")
        for what, ours, official, unit in rows:
            print(f"| {what} | {ours:.2f} {unit} | {official:.2f} {unit} | {ours / official:.3f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
