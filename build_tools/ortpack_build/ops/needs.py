"""Finds the operators that a runtime needs for models and configs, and converts models: what `ops` and `convert` do."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from ortpack_build import __version__
from ortpack_build.base.errors import ModelError, OpConfigError, UsageError, storage_error
from ortpack_build.ops import closure, config, convert, models, ort_model, vocabulary
from ortpack_build.ops.opset import Need, union
from ortpack_build.ops.results_cache import Found, ModelResults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ortpack_build.base.context import Context
    from ortpack_build.base.report import Reporter, Step
    from ortpack_build.ops.full_runtime import FullRuntime
    from ortpack_build.ops.opset import OpSet
    from ortpack_build.ops.usage import Use

T = TypeVar("T")
_SHOWN = 4  # names in the title of a step
Flavour = Literal["onnx", "ort"]
FLAVOURS: tuple[Flavour, ...] = ("onnx", "ort")


@dataclass(frozen=True, kw_only=True)
class OperatorQuery:
    """A question: which operators does a runtime need for these models and configs?

    Attributes:
        models: ONNX or ORT format.
        configs: operator configs to add.
        flavour: of the runtime that is to run the models: `onnx` optimizes them itself, `ort` takes them converted.
        arch: of the target.
        custom_ops: libraries that bring operators of the user's.
        ort: release of the runtime; None where that does not matter.
    """

    models: tuple[Path, ...] = ()
    configs: tuple[Path, ...] = ()
    flavour: Flavour
    arch: str
    custom_ops: tuple[Path, ...] = ()
    ort: str | None = None

    @property
    def goal(self) -> closure.Goal:
        known = vocabulary.shipped(any_custom=bool(self.custom_ops))
        return closure.Goal(arch=self.arch, vocabulary=known, custom_ops=self.custom_ops)


@dataclass(frozen=True, kw_only=True)
class Examined:
    """The answer: the operators that are needed, and which model or config is certain to need each.

    Attributes:
        ops: for all models and configs.
        nodes: for each model, the operators of its nodes as the runtime will see them, each with the name of one node.
            Nodes that optimizers insert are among them.
        configs: for each config, the operators that it lists.
    """

    ops: OpSet
    nodes: Mapping[Path, Mapping[Need, str]]
    configs: Mapping[Path, OpSet]


def needed(request: OperatorQuery, full: Callable[[], FullRuntime], context: Context) -> OpSet:
    """Return the operators that a runtime needs; arguments and errors are those of `examine`."""
    return examine(request, full, context).ops


def examine(request: OperatorQuery, full: Callable[[], FullRuntime], context: Context) -> Examined:
    """Find the operators that a runtime needs for models and configs.

    Args:
        request: the question.
        full: returns the full runtime; called only if a model has to be optimized or converted.
        context: of the stages; its cache keeps results, so that a model is examined once, its reporter says what was
            made for, or by, another release.

    Raises:
        OpConfigError: a config has a mistake, or nothing is needed at all.
        ModelError: a model can't be read, or ONNX Runtime refuses it, or is too new for it.
        ToolError: the loader or the `onnx` package is missing.
    """
    _check_files(request.custom_ops)
    _check_releases(request, context.report)
    goal = request.goal
    configs = {path: closure.of_runtime(config.read(path, goal.vocabulary), goal) for path in request.configs}
    sets = list(configs.values())
    of_onnx = [path for path in request.models if models.format_of(path) == "onnx"]
    results = ModelResults(cache=context.cache, goal=goal, full=full() if of_onnx else None)

    def of_model(path: Path) -> Found:
        return results.operators(
            path, request.flavour, lambda: _of_model(path, request.flavour, results, context.report)
        )

    found: dict[Path, Found] = {}
    if request.models:
        with context.report.step(f"Operators of {_names(request.models)}") as step:
            found = dict(zip(request.models, _each(of_model, request.models, step), strict=True))
            step.detail(f"{len(union(one.ops for one in found.values()).needs)} operators")
    sets += [one.ops for one in found.values()]
    result = union(sets)
    if not result:
        where = ", ".join(str(path) for path in (*request.configs, *request.models)) or "nothing"
        raise OpConfigError(f"{where}: no operator is needed.", hint="A runtime without operators runs no model.")
    return Examined(ops=result, nodes={path: dict(one.nodes) for path, one in found.items()}, configs=configs)


def text(result: OpSet, request: OperatorQuery) -> str:
    """Write an op-config whose head names the models, configs and release that it comes from."""
    sources = [f"- {path.name}" for path in sorted({*request.models, *request.configs}, key=lambda path: path.name)]
    head = config.head(request.flavour, request.arch, request.ort, __version__)
    return config.write(result, comments=[head, *sources])


def convert_all(
    paths: Sequence[Path],
    out: Path,
    full: Callable[[], FullRuntime],
    context: Context,
    *,
    arch: str,
    custom_ops: tuple[Path, ...] = (),
) -> list[Path]:
    """Convert ONNX models to ORT-format models in the folder `out`, or copy earlier results out of the cache.

    Raises:
        UsageError: two would get the same name.
        ModelError, ToolError, StorageError: as `convert.convert`.
    """
    _check_files(custom_ops)
    places = convert.places(paths, out)
    for path in places:
        models.format_of(path)
    goal = OperatorQuery(flavour="ort", arch=arch, custom_ops=custom_ops).goal
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error("The folder for models", out, error) from error
    if not places:
        return []
    runtime = full()
    results = ModelResults(cache=context.cache, goal=goal, full=runtime)

    def convert_one(path: Path) -> int:
        results.converted(path, places[path], lambda file: convert.convert(path, file, runtime, goal))
        return places[path].stat().st_size

    with context.report.step(f"Converting {_names(paths)}") as step:
        step.detail(f"{sum(_each(convert_one, paths, step)) / 1e6:.2f} MB")
    return list(places.values())


def _names(paths: Sequence[Path]) -> str:
    shown = ", ".join(path.name for path in paths[:_SHOWN])
    return f"{shown} and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else shown


def _each(work: Callable[[Path], T], paths: Sequence[Path], step: Step) -> list[T]:
    """Do the work for several models at once; results come in order, and of several errors the first is raised."""
    results = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(work, paths):
            results.append(result)
            step.advance(len(results), len(paths))
    return results


def _of_model(path: Path, flavour: Flavour, results: ModelResults, report: Reporter) -> Found:
    goal, full = results.goal, results.full
    model = models.read(path, types=full is None or flavour == "onnx")  # what is converted has all types
    with tempfile.TemporaryDirectory(prefix="ortpack-ops-", ignore_cleanup_errors=True) as scratch:
        if full is None or model.format == "ort":
            closure.check(model, goal)
        elif flavour == "onnx":
            seen = closure.observed(model, full, goal, Path(scratch), warn=report.warning)
            return Found(ops=closure.completed(model, seen, full, goal), nodes=_nodes(seen))
        else:
            converted = Path(scratch) / f"{path.stem}{convert.SUFFIX}"
            results.converted(path, converted, lambda file: convert.convert(path, file, full, goal))
            model = models.read(converted)
        return Found(ops=closure.of_runtime(model.ops, goal), nodes=_nodes(model.uses))


def _nodes(uses: Sequence[Use]) -> tuple[tuple[Need, str], ...]:
    found = {Need(use.operator.domain, use.opset, use.operator.name): use.node for use in reversed(uses)}
    return tuple(sorted(found.items()))


def _check_releases(request: OperatorQuery, report: Reporter) -> None:
    """Say which configs and ORT-format models are of another release; refuse a model that the runtime can't read.

    Raises:
        ModelError: the format of a model is too old for a minimal build.
    """
    for path in request.configs:
        made_for = config.release_of(path)
        if request.ort is not None and made_for not in (None, request.ort):
            report.warning(
                f"{path} was written for ONNX Runtime {made_for}, this is for {request.ort}: an operator that only the "
                f"optimizers of {request.ort} put in may be missing. `ortpack-build ops` with the models makes it anew."
            )
    for path in request.models:
        version = ort_model.version_of(path.read_bytes()) if models.format_of(path) == "ort" else None
        if version in (None, ort_model.NEWEST):
            continue
        made_by = f"{path} was converted by ONNX Runtime {ort_model.VERSIONS[version]} (format {version})"
        if request.flavour == "ort" and version not in ort_model.MINIMAL:
            raise ModelError(
                f"{made_by}, which no minimal build reads.",
                hint="Convert the .onnx model that it was made of: ortpack-build convert.",
            )
        report.warning(
            f"{made_by}: it loads, without what newer releases optimize. `ortpack-build convert` makes it anew."
        )


def _check_files(paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.is_file():
            raise UsageError(f"There is no file {path}.")
