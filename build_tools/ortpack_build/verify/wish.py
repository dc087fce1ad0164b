"""What the user asks of a verification, besides the checks that every wheel has to pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user asks of a verification, besides the checks that every wheel has to pass.

    Attributes:
        compare: fetch the official library to compare the wheel's with, should the cache lack it. A library from source
            is compared in any case where the cache has the official one.
        run: run a model with the wheel, where that is possible.
        emulate: run it in a root of its target, below an emulator, whether or not this machine could run it itself.
        model: an .onnx or .ort file, fed with zeros (free dimensions are 1); None: a tiny one.
        loader: a wheel of the loader, a folder with one, or its source tree; None: pip's index has it.
    """

    compare: bool = False
    run: bool = True
    emulate: bool = False
    model: Path | None = None
    loader: Path | None = None
