"""Real models that packages carry, and inputs for them: for the tests, the demo and the benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from support.packages import Source, fetch

if TYPE_CHECKING:
    from pathlib import Path

Feeds = dict[str, Any]


def _rapidocr(model: str) -> Source:
    return Source(
        requirement="rapidocr-onnxruntime==1.4.4",
        sha256="971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
        member=f"rapidocr_onnxruntime/models/{model}_infer.onnx",
    )


MODELS = {
    "silero_vad": Source(
        requirement="silero-vad==6.2.3",
        sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        member="silero_vad/data/silero_vad.onnx",
    ),
    "silero_vad_16k": Source(
        requirement="silero-vad==6.2.3",
        sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        member="silero_vad/data/silero_vad_16k_op15.onnx",
    ),
    "magika": Source(
        requirement="magika==1.0.3",
        sha256="3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
        member="magika/models/standard_v3_3/model.onnx",
        tags=("--platform=manylinux_2_28_x86_64",),
    ),
    "ppocr_det": _rapidocr("ch_PP-OCRv4_det"),
    "ppocr_rec": _rapidocr("ch_PP-OCRv4_rec"),
    "ppocr_cls": _rapidocr("ch_ppocr_mobile_v2.0_cls"),
}


def model(name: str) -> Path:
    """The file of a model in MODELS."""
    return fetch(MODELS[name])


def feeds(name: str, *, seed: int = 0) -> Feeds:
    """Inputs of `name` from a seed: float32 images in [-1, 1] (NCHW), audio windows, or a file's bytes."""
    random = np.random.default_rng(seed)
    if name in {"silero_vad", "silero_vad_16k"}:
        return {
            "input": random.uniform(-0.5, 0.5, (1, 576)).astype(np.float32),
            "state": np.zeros((2, 1, 128), np.float32),
            "sr": np.array(16000, np.int64),
        }
    if name == "magika":
        return {"bytes": random.integers(0, 257, (1, 2048), np.int32)}
    height, width = {"ppocr_det": (320, 320), "ppocr_rec": (48, 320), "ppocr_cls": (48, 192)}[name]
    return {"x": random.uniform(-1, 1, (1, 3, height, width)).astype(np.float32)}
