"""Makes a minimal runtime: models are converted and examined, their kernels chosen, linked, proven and packed."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from ortpack_build import proof
from ortpack_build.base.errors import OpConfigError, UsageError, storage_error
from ortpack_build.base.hashing import sha256_of
from ortpack_build.bundle import assemble as bundle
from ortpack_build.bundle.runtime_json import Verification
from ortpack_build.catalog.spec import Minimal, UsedModel, source_origin
from ortpack_build.kernels.select import described, select
from ortpack_build.link import binding_sources, link_library
from ortpack_build.ops import config, convert, full_runtime, models, needs
from ortpack_build.products import kit as kit_product
from ortpack_build.products.wheel import packed
from ortpack_build.proof import emulated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ortpack_build.catalog.model import Catalog
    from ortpack_build.kernels.index import KernelId
    from ortpack_build.kernels.select import Selection
    from ortpack_build.kit import Kit
    from ortpack_build.ops.full_runtime import FullRuntime
    from ortpack_build.ops.needs import Examined
    from ortpack_build.ops.opset import Need, OpSet
    from ortpack_build.products.wheel import Settings
    from ortpack_build.proof.emulated import EmulatedWorker

VARIANT = "minimal"
_NAME = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]")  # of a distribution


@dataclass(frozen=True, kw_only=True)
class MinimalRequest:
    """A minimal runtime as the user asks for it.

    Attributes:
        name: of the distribution.
        models: what it must run, in ONNX or ORT format.
        configs: operator configs to add.
        custom_ops: libraries that bring operators of the user's.
        inputs: arrays to prove it with.
        prove: whether the models are run on it before it is handed over.
        reduce_types: compile kernels anew for the types that are needed.
        files: dotted name of a Python package that it is written as, in place of a wheel.
    """

    name: str
    models: tuple[Path, ...]
    configs: tuple[Path, ...] = ()
    custom_ops: tuple[Path, ...] = ()
    inputs: tuple[Path, ...] = ()
    prove: bool = True
    reduce_types: bool = False
    files: str | None = None


@dataclass(frozen=True, kw_only=True)
class Made:
    """A minimal runtime that was made: the wheel, or the folder of the package, and its converted models."""

    path: Path
    models: tuple[Path, ...]


def check_name(name: str, catalog: Catalog) -> None:
    """Check that a distribution may be called so.

    Raises:
        UsageError: that is no name, or it is taken.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name of a distribution.",
            hint="Letters, digits, and . _ - between them, e.g. mylib-ort.",
        )
    normal = canonicalize_name(name)
    if normal in {"ortpack", "onnxruntime"} or normal.startswith("ortpack-") or normal in catalog.variants:
        raise UsageError(f"The name {name} belongs to somebody else.", hint="Name it after your package: mylib-ort.")


def build(request: MinimalRequest, kit: kit_product.KitRequest, catalog: Catalog, settings: Settings) -> Made:
    """Make the wheel or the files; they appear when the runtime is proven, and the converted models with them.

    Args:
        request: what is asked for.
        kit: the kit that the runtime is linked from.
        catalog: the manifests.
        settings: where the wheel goes, and with what.

    Raises:
        BuildError: any of its kinds; nothing is left in the output folder then.
    """
    job = _resolve(request, kit, catalog, settings)
    worker = _emulated_worker(job, catalog)
    with tempfile.TemporaryDirectory(prefix="ortpack-minimal-", ignore_cleanup_errors=True) as scratch:
        work = Path(scratch)
        converted = _converted(job, work)
        examined = _examined(job, converted)
        ready = kit_product.prepare_link(job.kit, reduce_types=request.reduce_types)
        found = select(ready.kit.kernels, examined.ops)
        complain(found, examined, {taken: given for given, taken in converted.taken.items()}, ready.kit)
        types = examined.ops if request.reduce_types else None
        linked = link_library(ready, found.kernels, work, types=types)
        spec = linked.spec(
            catalog, catalog.fallback, _minimal(job, converted, examined.ops, found.kernels, linked.types)
        )
        try:
            assembled = bundle.assemble(spec, linked.parts(), work / "bundle")
        except OSError as error:
            raise storage_error("A temporary file", work, error) from error
        verification = _proven(job, converted, assembled, worker)
        return _placed(job, converted, bundle.with_verification(assembled, verification))


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A request together with the data that answers it.

    Attributes:
        request: what the user asks for.
        kit: the kit that the runtime is linked from.
        arch: the processor of the target.
        home: the folder of the wheel, or of the package.
        settings: where the wheel goes, and with what.
        full: gives the full runtime of the kit's release for this machine; it is fetched when it is first needed.
    """

    request: MinimalRequest
    kit: kit_product.KitJob
    arch: str
    home: Path
    settings: Settings
    full: Callable[[], FullRuntime]


def _resolve(request: MinimalRequest, kit: kit_product.KitRequest, catalog: Catalog, settings: Settings) -> _Job:
    """Read what a request depends on, and refuse its mistakes: nothing is fetched or compiled yet."""
    home = settings.out
    if request.files:
        binding_sources.check_name(request.files)
        home = settings.out / request.files.replace(".", "/")
        bundle.check_place(home)
    else:
        check_name(request.name, catalog)
    if kit.file is not None and not kit.file.is_file():
        raise UsageError(f"There is no file {kit.file}.")
    source_origin(catalog, catalog.fallback, kit.target)
    if not request.models and not request.configs:
        raise UsageError(
            "Nothing says what the runtime must run.", hint="Name models with --model, configs with --ops."
        )
    for path in (*request.models, *request.configs, *request.inputs, *request.custom_ops):
        if not path.is_file():
            raise UsageError(f"There is no file {path}.")
    if twice := [path for path in request.models if request.models.count(path) > 1]:
        raise UsageError(f"The model {twice[0]} is named twice.")
    context = settings.context
    kit_job = kit_product.resolve(kit, context)
    return _Job(
        request=request,
        kit=kit_job,
        arch=catalog.targets[kit.target].arch,
        home=home,
        settings=settings,
        full=cache(lambda: full_runtime.obtain(catalog, context, kit_job.ort)),
    )


def _emulated_worker(job: _Job, catalog: Catalog) -> EmulatedWorker | None:
    """Find the emulated machine that the runtime is proven on; return None if none is needed."""
    request, kit = job.request, job.kit.request
    target = catalog.targets[kit.target]
    if not request.prove or not request.models or kit.host == target.name:
        return None
    if request.custom_ops:
        raise UsageError(
            f"{request.custom_ops[0]} is a library of this machine: a runtime for {target.name} can't be tried with "
            "it.",
            hint="--no-verify makes it without proof, which its runtime.json then says.",
        )
    return emulated.prepare(target, kit.host, job.settings.context, package=kit.package)


@dataclass(frozen=True, kw_only=True)
class _Converted:
    """The models of a request in the form that the runtime loads.

    Attributes:
        taken: model as the user named it → the file that the runtime loads: the same, or what it was converted to.
        places: model that was converted → where the result goes when the runtime is proven.
    """

    taken: Mapping[Path, Path]
    places: Mapping[Path, Path]

    def of(self, model: Path) -> Path | None:
        """Return the file that a model was converted to; None if it was not."""
        return self.taken[model] if model in self.places else None


def _converted(job: _Job, work: Path) -> _Converted:
    """Convert the ONNX models, where the kit loads ORT-format models only."""
    request, context = job.request, job.settings.context
    of_ort = job.kit.request.flavour == "ort"
    of_onnx = [path for path in request.models if of_ort and models.format_of(path) == "onnx"]
    places = convert.places(of_onnx, job.home)
    made = needs.convert_all(
        of_onnx,
        work / "models",
        job.full,
        context,
        arch=job.arch,
        custom_ops=request.custom_ops,
    )
    taken = {path: path for path in request.models} | dict(zip(of_onnx, made, strict=True))
    return _Converted(taken=taken, places=places)


def _examined(job: _Job, converted: _Converted) -> Examined:
    request, context = job.request, job.settings.context
    query = needs.OperatorQuery(
        models=tuple(converted.taken.values()),
        configs=request.configs,
        flavour=job.kit.request.flavour,
        arch=job.arch,
        custom_ops=request.custom_ops,
        ort=job.kit.ort,
    )
    return needs.examine(query, job.full, context)


def _minimal(
    job: _Job, converted: _Converted, ops: OpSet, kernels: Sequence[KernelId], types: tuple[str, ...]
) -> Minimal:
    """Say what the runtime was reduced to, for its runtime.json."""
    made_of = {path: converted.of(path) for path in job.request.models}
    return Minimal(
        distribution=job.request.name,
        ops=tuple(config.write(ops).splitlines()),
        kernels=tuple(dict.fromkeys(described(kernel) for kernel in kernels)),
        models=tuple(
            UsedModel(name=path.name, sha256=sha256_of(path), converted=sha256_of(file) if file else None)
            for path, file in made_of.items()
        ),
        types=types,
    )


def _proven(job: _Job, converted: _Converted, assembled: bundle.Bundle, worker: EmulatedWorker | None) -> Verification:
    """Run the models on the runtime, unless that is not wanted, or there are none."""
    request = job.request
    if not request.prove or not request.models:
        return Verification(verified=False)
    return proof.prove(
        proof.ReducedRuntime(path=assembled.folder, package=job.kit.request.package, worker=worker),
        [proof.Case(original=given, converted=taken) for given, taken in converted.taken.items()],
        job.full(),
        job.settings.context.report,
        inputs=request.inputs,
        custom_ops=request.custom_ops,
    )


def _placed(job: _Job, converted: _Converted, assembled: bundle.Bundle) -> Made:
    """Put the package, or the wheel, and the converted models where the user wants them."""
    files = {place.name: converted.taken[model] for model, place in converted.places.items()}
    path = job.home
    if job.request.files:
        try:
            bundle.place_files(assembled, files, job.home)
        except OSError as error:
            raise storage_error("The package", job.home, error) from error
    else:
        path = packed(assembled, job.settings).path
        for name, file in files.items():
            convert.put(file, job.home / name)
    return Made(path=path, models=tuple(converted.places.values()))


def complain(found: Selection, examined: Examined, names: Mapping[Path, Path], kit: Kit) -> None:
    """Refuse models and configs with an operator that no kernel of the kit serves.

    Operators that only rules added, since optimizers may insert them on other CPUs, may lack a kernel.

    Args:
        found: the kernels of the kit.
        examined: who needs what.
        names: model as it was examined → as the user named it.
        kit: for the message.

    Raises:
        OpConfigError: names the model and the node, or the config, and the operator with its opset.
    """
    problems = []
    for need in found.missing:
        if who := _who(need, examined, names):
            problems.append(f"{who} needs {need.domain}:{need.name} of opset {need.opset}")
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        about = kit.about
        raise OpConfigError(
            f"{problems[0]}, for which the {about.flavour} kit of ONNX Runtime {about.ort_version} has no kernel{more}."
        )


def _who(need: Need, examined: Examined, names: Mapping[Path, Path]) -> str:
    """Name who needs an operator: a node of a model, or a config; return nothing if only a rule does."""
    for path, nodes in examined.nodes.items():
        if need in nodes:
            return f"{names.get(path, path)}: the node {nodes[need] or '(unnamed)'}"
    return next((str(path) for path, ops in examined.configs.items() if need in ops.needs), "")
