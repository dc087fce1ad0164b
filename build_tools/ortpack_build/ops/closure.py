"""Closes the operators of a model over its optimizers: a runtime of the `onnx` flavour needs those that they insert."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ortpack_build.base.errors import ModelError
from ortpack_build.base.tags import version_key
from ortpack_build.ops import models, onnx_model, rules, usage
from ortpack_build.ops.full_runtime import Job
from ortpack_build.ops.opset import ONNX, Operator, OpSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from ortpack_build.ops.full_runtime import FullRuntime
    from ortpack_build.ops.models import Model
    from ortpack_build.ops.usage import Use
    from ortpack_build.ops.vocabulary import Vocabulary

_LEVELS = (0, 1, 2, 3, 99)
_LAYOUT_LEVEL, _LAYOUT_SINCE = 3, "1.22.0"  # that level is not known to older releases
_DISABLED = "optimization.disable_specified_optimizers"
_EXTERNAL = "session.optimized_model_external_initializers_file_name"
_INT8 = "session.qdqisint8allowed"  # Arm's default is 1, x86's 0
# The optimizers run with and without the NCHWc layout: with it, the nodes that a CPU without it gets are not seen.
_LAYOUTS = ("", "NchwcTransformer")
# Constant folding removes nodes whose kernels it needs itself, so the optimizers also run without it. Fusions that
# match a folded constant do not happen then: a third run optimizes a model in which only constants were folded before.
_FOLDING = "ConstantFolding"
_CONSTANT = Operator(ONNX, "Constant")
_QUANTIZED = {"DequantizeLinear", "QuantizeLinear"}


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Where models will run.

    Attributes:
        arch: of the target, as targets name it.
        vocabulary: the operators that ONNX Runtime has.
        custom_ops: libraries that bring operators of the user's.
    """

    arch: str
    vocabulary: Vocabulary
    custom_ops: tuple[Path, ...] = ()


def check(model: Model, goal: Goal) -> None:
    """Check that ONNX Runtime, or a library that the user names, has every operator of a model.

    Raises:
        ModelError: it lacks one; the message names operator and node.
    """
    for use in model.uses:
        domain, name = use.operator
        node = f"the node {use.node or '(unnamed)'}"
        if not goal.vocabulary.has_operator(domain, name):
            raise ModelError(f"{model.path}: {node} is of {domain}:{name} (opset {use.opset}), which nobody knows.")
        if not goal.vocabulary.builtin(domain) and not goal.custom_ops:
            raise ModelError(
                f"{model.path}: {node} is of {domain}:{name}, and ONNX Runtime has no domain {domain}.",
                hint="Name the library that brings its operators: --custom-ops LIBRARY. "
                "At run time, SessionOptions.register_custom_ops_library loads it.",
            )


def closed(
    model: Model, full: FullRuntime, goal: Goal, scratch: Path, *, warn: Callable[[str], None] = lambda _: None
) -> OpSet:
    """Return every operator that the runtime may have to run for a model, at any optimization level."""
    return completed(model, observed(model, full, goal, scratch, warn=warn), full, goal)


def observed(
    model: Model, full: FullRuntime, goal: Goal, scratch: Path, *, warn: Callable[[str], None] = lambda _: None
) -> list[Use]:
    """Optimize a model with the full runtime on this machine, in all ways, and return every node that appears.

    Args:
        model: in ONNX format; an ORT-format model is optimized already.
        full: runs the optimizers.
        goal: the target.
        scratch: an empty folder.
        warn: told which optimizations could not be observed.

    Raises:
        ModelError: ONNX Runtime refuses the model.
    """
    check(model, goal)
    plain = Job(level=0, out=scratch / "0.ort")
    # Neither way to write the folded model always works. In one file, it may exceed the 2 GB of a protobuf message, and
    # tensors that came from other files are lost. With tensors in another file, 1.21 damages subgraphs. So try both.
    config = {_DISABLED: ";".join(rules.shipped().level1)}
    foldings = [
        Job(level=1, out=scratch / f"folded{number}.onnx", format="ONNX", config=config | more)
        for number, more in enumerate(({}, {_EXTERNAL: "folded1.onnx.data"}))
    ]
    is_folded = True
    try:
        full.run(model.path, [plain, foldings[0]], custom_ops=goal.custom_ops)
    except ModelError:  # does the model fail, or only its folded form?
        is_folded = False
        full.run(model.path, [plain], custom_ops=goal.custom_ops)
    seen = list(models.read(plain.out).uses)
    quantized = any(use.operator.name in _QUANTIZED for use in seen)

    def optimized(path: Path, hidings: Iterable[str]) -> list[Use]:
        folder = scratch / f"of-{path.name}"
        folder.mkdir()
        jobs = list(_jobs(full, folder, hidings, quantized=quantized))
        full.run(path, jobs, custom_ops=goal.custom_ops)
        uses: list[Use] = []
        for job in jobs:
            uses += models.read(job.out).uses
            job.out.unlink()
        return uses

    def of_folded() -> list[Use]:
        """Optimize the model whose constants were folded and that is otherwise as it was."""
        reason = ""
        for job in foldings:
            try:
                if not (is_folded and job is foldings[0]):
                    full.run(model.path, [job], custom_ops=goal.custom_ops)
                return optimized(job.out, (_FOLDING,))
            except ModelError as error:
                reason = str(error)
        warn(f"{model.path}: what fusions of folded constants need could not be looked at ({reason})")
        return []

    with ThreadPoolExecutor(2) as pool:  # each waits for a process of its own
        ways = [pool.submit(optimized, model.path, ("", _FOLDING)), pool.submit(of_folded)]
        return seen + [use for way in ways for use in way.result()]


def completed(model: Model, seen: Sequence[Use], full: FullRuntime, goal: Goal) -> OpSet:
    """Add to the observed operators those that optimizers may insert on other CPUs, by the rules of closure.toml."""
    situation = rules.Situation(
        arch=goal.arch,
        ort=full.ort,
        types=_types([*model.uses, *seen]),
        since=lambda operator: onnx_model.since(operator, model.opsets),
    )
    return of_runtime(rules.close(usage.opset(seen), situation, rules.shipped()), goal)


def of_runtime(ops: OpSet, goal: Goal) -> OpSet:
    """Keep the operators that a runtime needs kernels for.

    Operators of the user's libraries bring their own. `Constant` needs none, as ONNX Runtime turns such nodes into
    initializers when it loads a model; upstream's tools list it all the same.
    """
    if ops.everything:
        return ops
    needs = {need for need in ops.needs if goal.vocabulary.builtin(need.domain) and need.operator != _CONSTANT}
    kept = {need.operator for need in needs}
    types = {operator: found for operator, found in ops.types if operator in kept}
    return OpSet.of(needs, types, allowed=ops.allowed)


def _jobs(full: FullRuntime, scratch: Path, hidings: Iterable[str], *, quantized: bool) -> Iterable[Job]:
    modern = version_key(full.ort) >= version_key(_LAYOUT_SINCE)
    levels = [level for level in _LEVELS if level and (level != _LAYOUT_LEVEL or modern)]
    choices = itertools.product(levels, hidings, _LAYOUTS, ("0", "1") if quantized else ("",))
    for number, (level, hiding, layout, int8) in enumerate(choices):
        if layout and level < _LAYOUT_LEVEL:
            continue
        config = {_DISABLED: ";".join(filter(None, (hiding, layout))), _INT8: int8}
        kept = {key: value for key, value in config.items() if value}
        yield Job(level=level, out=scratch / f"{number}.ort", config=kept)


def _types(uses: Iterable[Use]) -> frozenset[str]:
    values = (value for use in uses for value in (*use.inputs, *use.outputs) if value is not None)
    return frozenset(value.type for value in values if value.type is not None)
