"""Converts ONNX models to ORT-format models with the full runtime of the release that will run them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.errors import ModelError, UsageError, storage_error
from ortpack_build.ops import closure, models
from ortpack_build.ops.full_runtime import Job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ortpack_build.ops.closure import Goal
    from ortpack_build.ops.full_runtime import FullRuntime

SUFFIX = ".ort"
_ARM = ("arm", "aarch64")
_ALL = 99


def job(out: Path, arch: str) -> Job:
    """Order every optimization but the NCHWc layout, which would bake the block size of this machine's CPU in."""
    int8 = "1" if arch.startswith(_ARM) else "0"
    config = {"optimization.disable_specified_optimizers": "NchwcTransformer", "session.qdqisint8allowed": int8}
    return Job(level=_ALL, out=out, config=config)


def places(paths: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Name the file that each model is converted to.

    Raises:
        UsageError: two have the same name, or one would be overwritten by its own result.
    """
    goals: dict[Path, Path] = {}
    for path in paths:
        goal = out / f"{path.stem}{SUFFIX}"
        if goal in goals.values():
            raise UsageError(f"Two models would become {goal}.", hint="Rename one, or convert them into two folders.")
        if goal.exists() and path.exists() and goal.samefile(path):
            raise UsageError(f"{path} would be overwritten.", hint="Name another folder with --out.")
        goals[path] = goal
    return goals


def convert(path: Path, into: Path, full: FullRuntime, goal: Goal) -> None:
    """Convert one ONNX model to the file `into`, in an existing folder; the file appears whole or not at all.

    Raises:
        ModelError: it is no ONNX model, or ONNX Runtime refuses it.
        StorageError: the file can't be written.
    """
    model = models.read(path, types=False)
    if model.format == "ort":
        raise ModelError(f"{path} is an ORT-format model already.", hint="Convert the .onnx model that it was made of.")
    closure.check(model, goal)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{into.name}-", dir=into.parent) as scratch:
            made = Path(scratch) / into.name
            full.run(path, [job(made, goal.arch)], custom_ops=goal.custom_ops)
            models.read(made)
            made.replace(into)
    except OSError as error:
        raise storage_error("The converted model", into, error) from error


def put(file: Path, place: Path) -> None:
    """Copy a converted model in one step, so that nobody reads half of it and two commands at once do no harm.

    Raises:
        StorageError: it can't be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as scratch:
            part = Path(scratch) / place.name
            shutil.copyfile(file, part)
            part.replace(place)
    except OSError as error:
        raise storage_error("The converted model", place, error) from error
