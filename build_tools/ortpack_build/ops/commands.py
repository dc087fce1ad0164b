"""The commands `ops` and `convert`, apart from the command line."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ortpack_build import __version__
from ortpack_build.errors import OpConfigError, UsageError, storage_error
from ortpack_build.ops import closure, config, convert, models, vocabulary
from ortpack_build.ops.opset import union

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ortpack_build.ops.full_runtime import FullRuntime
    from ortpack_build.ops.opset import OpSet
    from ortpack_build.ops.usage import Use
    from ortpack_build.report import Reporter

Flavour = Literal["onnx", "ort"]
FLAVOURS: tuple[Flavour, ...] = ("onnx", "ort")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What operators are asked for.

    Attributes:
        models: ONNX or ORT format.
        configs: operator configs to add.
        flavour: of the runtime that is to run the models: `onnx` optimizes them itself, `ort` takes them converted.
        arch: of the target.
        custom_ops: libraries that bring operators of the user's.
    """

    models: tuple[Path, ...] = ()
    configs: tuple[Path, ...] = ()
    flavour: Flavour
    arch: str
    custom_ops: tuple[Path, ...] = ()

    @property
    def goal(self) -> closure.Goal:
        known = vocabulary.shipped(any_custom=bool(self.custom_ops))
        return closure.Goal(arch=self.arch, vocabulary=known, custom_ops=self.custom_ops)


@dataclass(frozen=True, kw_only=True)
class Examined:
    """The operators that are needed, and who is sure to need them.

    Attributes:
        ops: for all models and configs.
        uses: model → its nodes as the runtime has them; optimizers may have put in some.
        configs: config → what it asks for.
    """

    ops: OpSet
    uses: Mapping[Path, Sequence[Use]]
    configs: Mapping[Path, OpSet]


def needed(request: Request, full: Callable[[], FullRuntime], report: Reporter) -> OpSet:
    """The operators that a runtime needs for these models and configs; raises as `examine`."""
    return examine(request, full, report).ops


def examine(request: Request, full: Callable[[], FullRuntime], report: Reporter) -> Examined:
    """The operators that a runtime needs for these models and configs.

    Args:
        request: what is asked for.
        full: gives the full runtime, when there is a model to optimize or convert.
        report: told what is going on.

    Raises:
        OpConfigError: a config has a mistake, or nothing is needed at all.
        ModelError: a model can't be read, or ONNX Runtime refuses it.
        ToolError: the loader or the `onnx` package is missing.
    """
    _check_files(request.custom_ops)
    goal = request.goal
    configs = {path: closure.of_runtime(config.read(path, goal.vocabulary), goal) for path in request.configs}
    sets = list(configs.values())
    uses: dict[Path, Sequence[Use]] = {}
    for path in request.models:
        with report.step(f"Operators of {path.name}") as step:
            found, uses[path] = _of_model(path, request.flavour, full, goal, report)
            step.detail(f"{len(found.needs)} operators")
        sets.append(found)
    result = union(sets)
    if not result:
        where = ", ".join(str(path) for path in (*request.configs, *request.models)) or "nothing"
        raise OpConfigError(f"{where}: no operator is needed.", hint="A runtime without operators runs no model.")
    return Examined(ops=result, uses=uses, configs=configs)


def text(result: OpSet, request: Request, ort: str | None) -> str:
    """The config, with where it comes from."""
    sources = [f"- {path.name}" for path in sorted({*request.models, *request.configs}, key=lambda path: path.name)]
    release = f", ONNX Runtime {ort}" if ort else ""
    head = f"For the {request.flavour} flavour on {request.arch}{release}, by ortpack-build {__version__}, from:"
    return config.write(result, comments=[head, *sources])


def convert_all(
    paths: Sequence[Path],
    out: Path,
    full: Callable[[], FullRuntime],
    report: Reporter,
    *,
    arch: str,
    custom_ops: tuple[Path, ...] = (),
) -> list[Path]:
    """Convert ONNX models to ORT-format models in `out`.

    Raises:
        UsageError: two would get the same name.
        ModelError, ToolError, StorageError: as `convert.convert`.
    """
    _check_files(custom_ops)
    places = convert.places(paths, out)
    for path in places:
        models.format_of(path)
    goal = Request(flavour="ort", arch=arch, custom_ops=custom_ops).goal
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error("The folder for models", out, error) from error
    for path, into in places.items():
        with report.step(f"Converting {path.name}") as step:
            convert.convert(path, into, full(), goal)
            step.detail(f"{into.stat().st_size / 1e6:.2f} MB")
    return list(places.values())


def _of_model(
    path: Path, flavour: Flavour, full: Callable[[], FullRuntime], goal: closure.Goal, report: Reporter
) -> tuple[OpSet, Sequence[Use]]:
    model = models.read(path)
    with tempfile.TemporaryDirectory(prefix="ortpack-ops-", ignore_cleanup_errors=True) as scratch:
        if flavour == "onnx" and model.format == "onnx":
            seen = closure.observed(model, full(), goal, Path(scratch), warn=report.warning)
            return closure.completed(model, seen, full(), goal), seen
        if model.format == "onnx":
            converted = Path(scratch) / f"{path.stem}{convert.SUFFIX}"
            convert.convert(path, converted, full(), goal)
            model = models.read(converted)
        else:
            closure.check(model, goal)
        return closure.of_runtime(model.ops, goal), model.uses


def _check_files(paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.is_file():
            raise UsageError(f"There is no file {path}.")
