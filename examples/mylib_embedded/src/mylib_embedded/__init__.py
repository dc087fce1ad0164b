"""Hears when somebody speaks. The model and ONNX Runtime are in this package; it needs NumPy."""

from pathlib import Path

import numpy as np

from mylib_embedded import _ort


class Listener:
    """Listens to sound of 16,000 samples a second, 512 samples (32 ms) at a time."""

    def __init__(self) -> None:
        self._session = _ort.InferenceSession(Path(_ort.__file__).with_name("silero_vad_16k_op15.ort"))
        self._state, self._before = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32)

    def hear(self, samples: np.ndarray) -> float:
        """How likely it is that somebody speaks in these samples: float32, shape (512,), from -1 to 1."""
        feeds = {"input": np.concatenate([self._before, samples])[None], "state": self._state}
        probability, self._state = self._session.run(None, feeds | {"sr": np.array(16000)})
        self._before = samples[-64:]
        return float(probability[0, 0])
