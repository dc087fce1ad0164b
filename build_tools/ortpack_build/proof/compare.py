"""Compares an output with the one expected: the same, but for what another order of additions makes of floats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Largest difference allowed, as a part of the output's largest value: machines and layouts differ in the order of
# additions.
TOLERANCES = {"float64": 1e-4, "float32": 1e-4, "float16": 1e-2}
_OTHER = 2e-2  # the same for bfloat16 and narrower types
_QUANTIZED = {"int8", "uint8"}  # a value that lies between two steps may be rounded either way


def leaves(value: Any, name: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """Each array in an output, which may be a sequence or a map, with a name made of the output's."""
    if value is None:
        return
    if isinstance(value, dict):
        yield from leaves(list(value), f"{name}.keys")
        yield from leaves(list(value.values()), f"{name}.values")
    elif isinstance(value, list | tuple) and any(isinstance(part, np.ndarray | dict | list) for part in value):
        for index, part in enumerate(value):
            yield from leaves(part, f"{name}[{index}]")
    else:
        array = np.asarray(value)
        yield name, array.astype(str) if array.dtype == object else array


def difference(one: NDArray[Any], other: NDArray[Any]) -> tuple[float, str]:
    """The largest absolute difference, and what is wrong with it: "" if nothing is."""
    if (one.shape, one.dtype.kind) != (other.shape, other.dtype.kind):
        return float("inf"), f"{one.dtype}{list(one.shape)} instead of {other.dtype}{list(other.shape)}"
    if one.dtype.kind in "USOb":
        same = bool(np.array_equal(one, other))
        return (0.0, "") if same else (1.0, "other values")
    if one.size == 0:
        return 0.0, ""
    name = str(other.dtype)
    left, right = one.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(right)
    if not np.array_equal(finite, np.isfinite(left)) or not np.array_equal(
        left[~finite], right[~finite], equal_nan=True
    ):
        return float("inf"), "other values that are no numbers"
    if not finite.any():
        return 0.0, ""
    largest = float(np.abs(left - right)[finite].max())
    if one.dtype.kind in "iu":
        limit = 1.0 if name in _QUANTIZED else 0.0
    else:
        limit = TOLERANCES.get(name, _OTHER) * max(1.0, float(np.abs(right[finite]).max()))
    return largest, "" if largest <= limit else f"differs by {largest:.3g}, {limit:.3g} is allowed"
