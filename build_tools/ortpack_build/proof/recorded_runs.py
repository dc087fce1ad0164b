"""Runs of the full runtime, recorded in a folder: inputs and outputs, for the runtime that is compared with it."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from ortpack_build.proof.compare import difference

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[Any]"]


def record(folder: Path, number: int, feeds: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
    """Write the inputs and outputs of a run into the folder."""
    _save(folder / f"feeds-{number}.npz", {name: _plain(value) for name, value in feeds.items()})
    _save(folder / f"expected-{number}.npz", outputs)


def feeds(folder: Path, number: int) -> Arrays:
    """The inputs of a recorded run, as a session takes them."""
    return {name: for_session(value) for name, value in _load(folder / f"feeds-{number}.npz").items()}


def for_session(value: NDArray[Any]) -> NDArray[Any]:
    """An array as a session takes it: files hold strings of fixed width, sessions want objects."""
    return value.astype(object) if value.dtype.kind in "US" else value


def compare(folder: Path, number: int, level: int, got: Mapping[str, NDArray[Any]]) -> tuple[float, str]:
    """Compare outputs with those of a recorded run.

    Args:
        folder: of the recorded runs.
        number: of the run.
        level: of optimization, for the message.
        got: the outputs by name.

    Returns:
        The largest difference, and what is wrong with it: "" if nothing is.
    """
    expected, largest = _load(folder / f"expected-{number}.npz"), 0.0
    if got.keys() != expected.keys():
        return largest, f"outputs {', '.join(got)} instead of {', '.join(expected)}"
    for name, value in got.items():
        amount, problem = difference(value, expected[name])
        if problem:
            return amount, f"output {name}, run {number + 1}, optimization level {level}: {problem}"
        largest = max(largest, amount)
    return largest, ""


def _plain(value: Any) -> Any:
    return value.astype(str) if np.asarray(value).dtype == object else value


def _load(file: Path) -> Arrays:
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _save(file: Path, arrays: Mapping[str, Any]) -> None:
    # savez has parameters of its own that a name of an input must not meet.
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(value), allow_pickle=False)
