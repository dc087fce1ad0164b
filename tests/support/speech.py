"""A few seconds of audio made from nothing, with parts that sound like speech, and silero-vad run over it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

RATE = 16_000  # samples a second
WINDOW = 512  # samples that silero-vad judges at once
CONTEXT = 64  # samples of the window before that it also wants

# The first three formants of some vowels, Hz (Peterson and Barney 1952, averages of men).
_VOWELS = {
    "a": (730, 1090, 2440),
    "i": (270, 2290, 3010),
    "u": (300, 870, 2240),
    "e": (530, 1840, 2480),
    "o": (570, 840, 2410),
}


class Session(Protocol):
    """What ortpack's and the official InferenceSession have in common."""

    def run(self, output_names: Any, input_feed: dict[str, Any], /) -> list[Any]: ...


def audio() -> Array:
    """One second each of near-silence, vowels, noise, vowels, near-silence; float32 in [-1, 1], RATE a second."""
    random = np.random.default_rng(7)
    quiet = random.normal(0, 1e-4, RATE)
    noise = random.normal(0, 0.05, RATE)
    return np.concatenate([quiet, _syllables("aieou"), noise, _syllables("oaiue"), quiet]).astype(np.float32)


def _syllables(vowels: str) -> Array:
    return np.concatenate([_vowel(vowel, RATE // len(vowels), 110 + 12 * i) for i, vowel in enumerate(vowels)])


def _vowel(vowel: str, length: int, pitch: float) -> Array:
    """A pulse train at a falling `pitch` (Hz) through three resonances, with a syllable's rise and fall."""
    time = np.arange(length) / RATE
    phase = np.cumsum(pitch * (1 - 0.6 * time) * (1 + 0.02 * np.sin(2 * np.pi * 5 * time)) / RATE)
    source = np.diff(np.floor(phase), prepend=0.0)
    source = source - source.mean()
    for formant, bandwidth in zip(_VOWELS[vowel], (80, 100, 140), strict=True):
        source = _resonate(source, formant, bandwidth)
    envelope = np.minimum(1, np.minimum(time / 0.03, (time[-1] - time) / 0.06))
    shaped: Array = 0.3 * source / np.abs(source).max() * envelope
    return shaped


def _resonate(signal: Array, frequency: float, bandwidth: float) -> Array:
    """A two-pole resonator (Klatt 1980) at `frequency` with `bandwidth`, both Hz."""
    radius = np.exp(-np.pi * bandwidth / RATE)
    b, c = 2 * radius * np.cos(2 * np.pi * frequency / RATE), -(radius**2)
    result = np.empty_like(signal)
    last, before = 0.0, 0.0
    for index, value in enumerate(signal):
        last, before = (1 - b - c) * value + b * last + c * before, last
        result[index] = last
    return result


def probabilities(session: Session, samples: Array) -> Array:
    """Silero-vad's speech probability of each window of `samples` (float32, RATE a second); shape (windows,)."""
    state = np.zeros((2, 1, 128), np.float32)
    context = np.zeros(CONTEXT, np.float32)
    found = []
    for start in range(0, len(samples) - WINDOW + 1, WINDOW):
        window = np.concatenate([context, samples[start : start + WINDOW]])
        feeds = {"input": window[np.newaxis], "state": state, "sr": np.array(RATE, np.int64)}
        probability, state = session.run(None, feeds)
        found.append(probability[0, 0])
        context = window[-CONTEXT:]
    return np.array(found)
