"""Inputs made up for a model from a seed: dimensions at several sizes, values that its operators can take.

A model does not say which of its sizes depend on each other. So there are more candidates than are needed, and the full
runtime finds out which of them the model takes.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

Shape = tuple[int, ...]
Feeds = dict[str, Any]

# (batch, the other free dimensions). Vision models want multiples of 32, audio windows
# are 256 to 576 samples, sequences may be anything.
_SIZES = (
    (1, 1), (1, 7), (2, 3), (1, 64), (2, 32), (1, 512), (1, 576), (1, 288), (2, 576), (1, 224), (1, 160), (3, 16),
    (1, 128), (2, 256), (1, 320), (4, 4), (8, 8), (2, 2), (3, 3),
)  # fmt: skip
_MOST = 8_000_000  # elements of one input
_WORDS = ("", "a", "ortpack", "ä ö ü", "0.5")
_INTEGERS = {f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)}
_FLOATS = {"float": "float32", "double": "float64", "float16": "float16"}
_BYTES = {"uint8": (0, 256), "int8": (-128, 128)}  # quantized as a rule
_SETTINGS = (16000, 8000, 0, 1, 2)  # sample rates, and small numbers
_ROUNDS = 5
_REPEATS = 5  # values of the same shapes, at most


@dataclass(frozen=True, kw_only=True)
class Input:
    """An input of a model.

    Attributes:
        type: as ONNX Runtime says it: `tensor(float)`.
        shape: a number, or a name or None for a free dimension.
        bound: what its values, as indices, stay below; None if that is not known.
    """

    name: str
    type: str
    shape: tuple[int | str | None, ...]
    bound: int | None = None


class CannotFeedError(Exception):
    """No value of this type can be made up."""


def candidates(inputs: Sequence[Input], seed: int) -> Iterator[Feeds]:
    """Make up values for all inputs of a model, again and again, each time of other shapes or with other values.

    Args:
        inputs: of the model.
        seed: the same one makes up the same values.

    Raises:
        CannotFeedError: an input is no tensor, or one of a type that NumPy lacks.
    """
    seen: dict[tuple[Shape, ...], int] = {}
    plans = itertools.product(range(_ROUNDS), _SIZES, (False, True))
    for number, (_, (batch, rest), inner) in enumerate(plans):
        shapes = _shapes(inputs, batch, rest, inner=inner)
        if any(math.prod(shape) > _MOST for shape in shapes.values()):
            continue
        key = tuple(shapes.values())
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= _REPEATS:
            random = np.random.default_rng((seed, number))
            yield {item.name: _values(item, shapes[item.name], random) for item in inputs}


def _shapes(inputs: Sequence[Input], batch: int, rest: int, *, inner: bool) -> Mapping[str, Shape]:
    """Choose a shape for each input. A free dimension with a name gets the same size wherever the name is used.

    Args:
        inputs: of the model.
        batch: size of the batch: of the first dimension where that is free, or of the first free one if `inner`.
        rest: size of all other free dimensions.
        inner: whether the batch may stand further in.
    """
    named: dict[str, int] = {}
    shapes = {}
    for item in inputs:
        shape: list[int] = []
        place = next((axis for axis, size in enumerate(item.shape) if not _fixed(size)), 0) if inner else 0
        for axis, size in enumerate(item.shape):
            if isinstance(size, int) and _fixed(size):
                shape.append(size)
                continue
            wanted = batch if axis == place else rest
            shape.append(named.setdefault(size, wanted) if isinstance(size, str) and size else wanted)
        shapes[item.name] = tuple(shape)
    return shapes


def _fixed(size: int | str | None) -> bool:
    return isinstance(size, int) and size >= 0


def _values(item: Input, shape: Shape, random: np.random.Generator) -> NDArray[Any]:
    kind = item.type.removeprefix("tensor(").removesuffix(")")
    if kind in _FLOATS:
        if item.bound is not None:  # indices that the model casts
            return random.integers(0, item.bound, shape).astype(_FLOATS[kind])
        return random.uniform(-1, 1, shape).astype(_FLOATS[kind])
    if kind in _INTEGERS:
        if item.bound is not None:
            return random.integers(0, item.bound, shape).astype(kind)
        if not shape:  # a setting
            return np.array(random.choice(_SETTINGS if np.iinfo(kind).bits > 16 else _SETTINGS[-3:]), kind)
        low, high = _BYTES.get(kind, (0, 2))
        return random.integers(low, high, shape).astype(kind)
    if kind == "bool":
        return random.integers(0, 2, shape).astype(bool)
    if kind == "string":
        return np.asarray(np.array(_WORDS, object)[random.integers(0, len(_WORDS), shape)], object)
    raise CannotFeedError(f"the input {item.name} is of type {item.type}")
