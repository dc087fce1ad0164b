"""A library that runs an ONNX model. It knows nothing of GPUs: which runtime is used is decided where it runs."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

import ortpack

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Scorer"]


class Scorer:
    """Turns rows of four features into probabilities of three classes.

    Args:
        device: "cpu", "cuda", "openvino", …: that one or an error. None: the best that is installed and works here.
    """

    def __init__(self, device: str | None = None) -> None:
        self.session = ortpack.InferenceSession(files(__name__).joinpath("scorer.onnx").read_bytes(), device=device)

    def __call__(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Probabilities of shape (rows, 3) for features of shape (rows, 4)."""
        probabilities: NDArray[np.float32] = self.session.run(None, {"rows": np.asarray(rows, np.float32)})[0]
        return probabilities
