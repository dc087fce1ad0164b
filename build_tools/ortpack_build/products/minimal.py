"""The wheel of a minimal runtime: models → operators → kernels → library → proof → wheel."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from ortpack_build import proof
from ortpack_build.base.errors import OpConfigError, UsageError, storage_error
from ortpack_build.base.hashing import sha256_of
from ortpack_build.bundle import assemble as bundle
from ortpack_build.bundle.runtime_json import Verification
from ortpack_build.catalog import host
from ortpack_build.catalog.spec import Minimal, UsedModel, compiled, source_origin
from ortpack_build.kernels.select import described, select
from ortpack_build.link import binding_sources
from ortpack_build.ops import config, convert, models, needs
from ortpack_build.products import kit as kit_product
from ortpack_build.products.wheel import packed
from ortpack_build.proof import emulated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ortpack_build.base.context import Context
    from ortpack_build.catalog.model import Catalog
    from ortpack_build.kernels.index import KernelId
    from ortpack_build.kernels.select import Selection
    from ortpack_build.kit import Kit
    from ortpack_build.ops.full_runtime import FullRuntime
    from ortpack_build.ops.needs import Examined
    from ortpack_build.ops.opset import Need
    from ortpack_build.products.wheel import Settings
    from ortpack_build.proof.emulated import Abroad

VARIANT = "minimal"
_BASE = "cpu"  # the variant that it is reduced from
_NAME = re.compile(r"[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]")  # of a distribution


@dataclass(frozen=True, kw_only=True)
class MinimalRequest:
    """What is asked for.

    Attributes:
        name: of the distribution.
        models: ONNX or ORT format.
        configs: operator configs to add.
        custom_ops: libraries that bring operators of the user's.
        inputs: arrays to prove it with.
        prove: whether to.
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
    """The wheel, or the folder of the package, and the converted models beside it or in it."""

    path: Path
    models: tuple[Path, ...]


def check_name(name: str, catalog: Catalog) -> None:
    """That a distribution may be called so.

    Raises:
        UsageError: it may not, or the name is taken.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name of a distribution.",
            hint="Letters, digits, and . _ - between them, e.g. mylib-ort.",
        )
    normal = canonicalize_name(name)
    if normal in {"ortpack", "onnxruntime"} or normal.startswith("ortpack-") or normal in catalog.variants:
        raise UsageError(f"The name {name} belongs to somebody else.", hint="Name it after your package: mylib-ort.")


def build(
    order: MinimalRequest,
    catalog: Catalog,
    request: kit_product.KitRequest,
    context: Context,
    settings: Settings,
    full: Callable[[], FullRuntime],
) -> Made:
    """Make the wheel or the files; they appear when the runtime is proven, and the converted models with them.

    Args:
        order: what is asked for.
        catalog: the manifests.
        request: the kit.
        context: of the stages.
        settings: where the wheel goes, and with what.
        full: gives the full runtime of the kit's release for this machine.

    Raises:
        BuildError: any of its kinds; nothing is left in the output folder then.
    """
    _check(order, catalog, request, settings)
    elsewhere = _abroad(order, catalog, request, context)
    report = settings.report
    arch = catalog.targets[request.target].arch
    with tempfile.TemporaryDirectory(prefix="ortpack-minimal-", ignore_cleanup_errors=True) as scratch:
        work = Path(scratch)
        given = [path for path in order.models if request.flavour == "ort" and models.format_of(path) == "onnx"]
        home = settings.out / order.files.replace(".", "/") if order.files else settings.out
        places = convert.places(given, home)
        cache = settings.cache
        made = needs.convert_all(
            given, work / "models", full, report, arch=arch, custom_ops=order.custom_ops, cache=cache
        )
        converted = dict(zip(given, made, strict=True))
        asked = needs.OperatorQuery(
            models=tuple(converted.get(path, path) for path in order.models),
            configs=order.configs,
            flavour=request.flavour,
            arch=arch,
            custom_ops=order.custom_ops,
        )
        examined = needs.examine(asked, full, report, cache=cache)
        names = {converted.get(path, path): path for path in order.models}
        kernels: list[KernelId] = []

        def choose(kit: Kit) -> Sequence[KernelId]:
            found = select(kit.kernels, examined.ops)
            complain(found, examined, names, kit)
            kernels.extend(found.kernels)
            return found.kernels

        types = examined.ops if order.reduce_types else None
        linked = kit_product.link(request, context, work, choose=choose, types=types)
        spec = compiled(
            catalog,
            _BASE,
            request.target,
            ort=linked.kit.about.ort_version,
            source=linked.spec_source(),
            library=linked.library.name,
            tag=linked.tag,
            formats=linked.kit.about.model_formats,
            package=request.package,
            minimal=Minimal(
                distribution=order.name,
                ops=tuple(config.write(examined.ops).splitlines()),
                kernels=tuple(dict.fromkeys(described(kernel) for kernel in kernels)),
                models=tuple(_used(path, converted.get(path)) for path in order.models),
                types=linked.types,
            ),
        )
        try:
            assembled = bundle.assemble(spec, linked.parts(), work / "bundle")
        except OSError as error:
            raise storage_error("A temporary file", work, error) from error
        verification = Verification(verified=False)
        if order.prove and order.models:
            cases = [proof.Case(given=path, taken=converted.get(path, path)) for path in order.models]
            verification = proof.prove(
                assembled.folder,
                cases,
                full(),
                report,
                inputs=order.inputs,
                custom_ops=order.custom_ops,
                package=request.package,
                abroad=elsewhere,
            )
        assembled = bundle.with_verification(assembled, verification)
        converted_to = {place.name: converted[path] for path, place in places.items()}
        if order.files:
            try:
                bundle.place_files(assembled, converted_to, home)
            except OSError as error:
                raise storage_error("The package", home, error) from error
            return Made(path=home, models=tuple(places.values()))
        result = packed(assembled, settings)
        for name, file in converted_to.items():
            convert.put(file, home / name)
    return Made(path=result.path, models=tuple(places.values()))


def _check(order: MinimalRequest, catalog: Catalog, request: kit_product.KitRequest, settings: Settings) -> None:
    """Mistakes, before anything is fetched or compiled."""
    if order.files:
        binding_sources.check_name(order.files)
        bundle.check_place(settings.out / order.files.replace(".", "/"))
    else:
        check_name(order.name, catalog)
    if request.file is not None and not request.file.is_file():
        raise UsageError(f"There is no file {request.file}.")
    source_origin(catalog, _BASE, request.target)
    if not order.models and not order.configs:
        raise UsageError(
            "Nothing says what the runtime must run.", hint="Name models with --model, configs with --ops."
        )
    for path in (*order.models, *order.configs, *order.inputs, *order.custom_ops):
        if not path.is_file():
            raise UsageError(f"There is no file {path}.")
    if twice := [path for path in order.models if order.models.count(path) > 1]:
        raise UsageError(f"The model {twice[0]} is named twice.")


def _abroad(
    order: MinimalRequest, catalog: Catalog, request: kit_product.KitRequest, context: Context
) -> Abroad | None:
    """What runs a runtime that has to be proven and that this machine can't run."""
    target = catalog.targets[request.target]
    if not order.prove or not order.models or host.detect().target(catalog.targets) == target.name:
        return None
    if order.custom_ops:
        raise UsageError(
            f"{order.custom_ops[0]} is a library of this machine: a runtime for {target.name} can't be tried with it.",
            hint="--no-verify makes it without proof, which its runtime.json then says.",
        )
    return emulated.find(target, request.host, context, package=request.package)


def complain(found: Selection, examined: Examined, names: Mapping[Path, Path], kit: Kit) -> None:
    """Refuse what nobody can run: an operator of a model or a config that no kernel serves.

    What only rules added, because other CPUs' optimizers may put it in, need not be there.

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
    for path, nodes in examined.nodes.items():
        if need in nodes:
            return f"{names.get(path, path)}: the node {nodes[need] or '(unnamed)'}"
    return next((str(path) for path, ops in examined.configs.items() if need in ops.needs), "")


def _used(path: Path, converted: Path | None) -> UsedModel:
    return UsedModel(name=path.name, sha256=sha256_of(path), converted=sha256_of(converted) if converted else None)
