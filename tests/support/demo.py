"""The demo's last step, run in a new environment: `python -m support.demo WHEEL…`.

Prints what was built, which runtime the loader takes and why, and silero-vad's speech probabilities over generated
audio beside those of the official package, in the same process. Exit code 1 when they differ by more than TOLERANCE.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

import ortpack
from support.models import model
from support.speech import RATE, WINDOW, audio, probabilities

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # or the official package reports usage, from its import on
import onnxruntime

TOLERANCE = 1e-5
ROW = 0.5  # seconds of audio that one printed row stands for


def main(wheels: list[Path]) -> int:
    print("Built")
    for wheel in wheels:
        print(f"  {wheel.name}  {wheel.stat().st_size / 1e6:.2f} MB  tag {'-'.join(wheel.stem.split('-')[-3:])}")
    print(f"\nResolved\n{_indented(str(ortpack.explain()))}")
    file = str(model("silero_vad"))
    session = ortpack.InferenceSession(file)
    official = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    print(f"  loaded: {ortpack.runtime()}")

    samples = audio()
    ours, theirs = probabilities(session, samples), probabilities(official, samples)
    print(f"\nSpeech probability over {len(samples) / RATE:.1f} s of generated audio (silero-vad)")
    print(f"  {'second':>6}  {'ortpack':>8}  {'onnxruntime ' + onnxruntime.__version__:>18}")
    for start in range(0, len(ours), round(ROW * RATE / WINDOW)):
        bar = "#" * round(20 * ours[start])
        print(f"  {start * WINDOW / RATE:6.2f}  {ours[start]:8.4f}  {theirs[start]:18.4f}  {bar}")
    largest = float(np.abs(ours - theirs).max())
    print(f"\nLargest difference over {len(ours)} windows: {largest:g}")
    return 0 if largest <= TOLERANCE else 1


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main([Path(argument) for argument in sys.argv[1:]]))
