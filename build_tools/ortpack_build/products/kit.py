"""Makes a kit for a user: the request is resolved once, then the kit is unpacked, found in the cache, or compiled."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build import kit as kit_stage
from ortpack_build.base.errors import ToolError, UsageError, nearest
from ortpack_build.kit import KitBuild, KitInputs, Programs
from ortpack_build.kit import settings as kit_settings
from ortpack_build.link import Embedding, LinkJob, binding_sources
from ortpack_build.origin import source as origin_source
from ortpack_build.toolchain import Toolchain, Zig, find, pinned_programs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ortpack_build.base.context import Context
    from ortpack_build.kit import Kit
    from ortpack_build.kit.settings import Flavour, Kits
    from ortpack_build.origin.source import Sources, SourceTree

_ZIG = "zig"


@dataclass(frozen=True, kw_only=True)
class KitRequest:
    """A kit as the user asks for it.

    Attributes:
        target: name of the target.
        host: name of the target that this machine is, which compiles; None if it is none.
        flavour: "onnx" or "ort".
        exceptions: whether errors are exceptions, or end the process.
        ort: the release; None for the newest that was tried.
        supplier: who gives the sources, or "auto".
        tree: an onnxruntime tree of the user's.
        modified: whether `tree` may differ from the release.
        toolchain: "zig", or a compiler of kits.toml.
        launcher: "auto" for ccache or sccache if there is one, "none", or a program.
        jobs: how many compilers run at once.
        file: a packed kit to use; of ONNX Runtime, nothing is compiled then.
        package: dotted name of the Python package to link it into; None for a shared library.
        baseline: oldest libc that it works with; None for the target's own.
    """

    target: str
    host: str | None
    flavour: Flavour
    ort: str | None = None
    supplier: str = "auto"
    tree: Path | None = None
    modified: bool = False
    toolchain: str = _ZIG
    launcher: str = "auto"
    jobs: int = 1
    file: Path | None = None
    package: str | None = None
    baseline: str | None = None
    exceptions: bool = True


@dataclass(frozen=True, kw_only=True)
class KitJob:
    """A request for a kit together with the data that answers it; all later stages work from this.

    Attributes:
        request: what the user asks for.
        context: of the stages.
        kits: the settings of kits.toml, with the baseline of the request.
        ort: the release of ONNX Runtime.
        pinned: the release's sources; None for a packed kit, which needs none.
    """

    request: KitRequest
    context: Context
    kits: Kits
    ort: str
    pinned: Sources | None


def resolve(request: KitRequest, context: Context) -> KitJob:
    """Read all that a request depends on, and refuse its mistakes: nothing is fetched or compiled yet.

    Raises:
        UsageError: a name is unknown, or what is asked for does not go together.
        ManifestError: a data file has a mistake.
    """
    kits = kit_settings.load(context.variants)
    kits.target(request.target)
    if not request.exceptions:
        kits.without_exceptions(request.flavour)
    if request.baseline is not None:
        kits = kits.with_baseline(request.target, request.baseline)
    _check_toolchain(request, kits)
    if request.package is not None:
        binding_sources.check_name(request.package)
    ort = request.ort or origin_source.default_release(context.variants)
    pinned = origin_source.load(ort, context.variants) if request.file is None else None
    return KitJob(request=request, context=context, kits=kits, ort=ort, pinned=pinned)


def _check_toolchain(request: KitRequest, kits: Kits) -> None:
    if request.toolchain == _ZIG:
        return
    if request.toolchain not in kits.compilers:
        names = (_ZIG, *kits.compilers)
        raise UsageError(f"There is no toolchain {request.toolchain!r}.", hint=nearest(request.toolchain, names))
    if request.target != request.host:
        raise UsageError(
            f"{request.toolchain} of this machine compiles for {request.host or 'itself'}, not for {request.target}.",
            hint="Use --toolchain zig.",
        )


def sources(
    context: Context,
    *,
    ort: str | None = None,
    supplier: str = "auto",
    tree: Path | None = None,
    modified: bool = False,
) -> SourceTree:
    """Return the source tree that a kit would be made of; the arguments are as `KitRequest` has them.

    Raises:
        BuildError: of any kind.
    """
    pinned = origin_source.load(ort or origin_source.default_release(context.variants), context.variants)
    return origin_source.obtain(pinned, context, supplier=supplier, path=tree, modified=modified)


def kit(job: KitJob) -> Kit:
    """Return the kit: unpacked from its file, found in the cache, or compiled.

    Raises:
        BuildError: of any kind.
    """
    return _unpacked(job) or kit_stage.make(kit_build(job, toolchain(job)), job.context)


def _unpacked(job: KitJob) -> Kit | None:
    """Unpack the kit of the request's file; return None if it names none."""
    request = job.request
    if request.file is None:
        return None
    given = kit_stage.unpack(request.file, job.context.cache)
    kit_stage.expect(given, target=request.target, flavour=request.flavour, ort=job.ort, exceptions=request.exceptions)
    return given


def prepare_link(job: KitJob, *, reduce_types: bool = False) -> LinkJob:
    """Get the kit and all else that libraries are linked with.

    Args:
        job: the kit, and whether a library is an extension module.
        reduce_types: whether the kernels of a library are to be compiled anew for fewer types.

    Raises:
        UsageError: the kit was made with another toolchain than the request names.
        BuildError: of any other kind.
    """
    request, context = job.request, job.context
    given = _unpacked(job)
    if given is not None and (name := given.about.toolchain["name"]) != request.toolchain:
        raise UsageError(f"The kit was made with {name}; link it with --toolchain {name}.")
    embedding = None
    if request.package is not None:  # headers that can't be had are said before anything is compiled
        python = binding_sources.python_headers(request.target, request.host, context)
        embedding = Embedding(package=request.package, python=python)
    compilers = toolchain(job)
    if given is not None and given.about.toolchain != dict(compilers.identity):
        raise UsageError(f"The kit was made with {given.about.toolchain}, but here is {dict(compilers.identity)}.")
    if given is not None and not reduce_types:
        made, build = given, None
    else:
        build = kit_build(job, compilers)
        made = given or kit_stage.make(build, context)
    return LinkJob(
        kit=made,
        toolchain=compilers,
        jobs=request.jobs,
        context=context,
        embedding=embedding,
        build=build if reduce_types else None,
    )


def kit_build(job: KitJob, compilers: Toolchain) -> KitBuild:
    """Fetch what a kit is compiled of, and the programs that compile it.

    `inputs.key` of the result says whether the cache has the kit.

    Args:
        job: the kit.
        compilers: the job's toolchain, asked for first: one that is missing is said before the rest is fetched.

    Raises:
        BuildError: of any kind.
    """
    request, context, kits = job.request, job.context, job.kits
    tools = {name: kits.tool(name, request.host) for name in ("cmake", "ninja", "protoc")}
    found = {name: pinned_programs.obtain(tool, context) for name, tool in tools.items()}
    programs = Programs(**found, launcher=_launcher(request.launcher, context.environ))
    pinned = job.pinned or origin_source.load(job.ort, context.variants)
    tree = origin_source.obtain(
        pinned, context, supplier=request.supplier, path=request.tree, modified=request.modified
    )
    inputs = KitInputs(
        target=request.target,
        flavour=request.flavour,
        exceptions=request.exceptions,
        kits=kits,
        pinned=pinned,
        tree=tree,
        toolchain=compilers,
        tools={name: tools[name].version for name in ("cmake", "protoc")},
    )
    return KitBuild(inputs=inputs, programs=programs, jobs=request.jobs)


def toolchain(job: KitJob) -> Toolchain:
    """Find or fetch the toolchain that the request names.

    Raises:
        UsageError: zig has no libc of the baseline.
        ToolError: the compiler is missing or too old.
        FetchError: zig can't be had.
    """
    request, context, kits = job.request, job.context, job.kits
    if request.toolchain != _ZIG:
        return find(request.toolchain, kits.compilers[request.toolchain], environ=context.environ)
    found = zig(kits, request.target, request.host, context)
    if request.baseline is not None:  # the baselines of kits.toml are known to work
        found.check(context.cache.root / "toolchain")
    return found


def zig(kits: Kits, target: str, host: str | None, context: Context) -> Zig:
    """Return zig as the toolchain for a target, fetched if the cache lacks it.

    Args:
        kits: the settings of kits.toml.
        target, host: names of targets; the host is the machine that compiles.
        context: of the stages.

    Raises:
        UsageError: kits are not made for the target, or no zig is pinned for the host.
        FetchError: zig can't be had.
    """
    tool, entry = kits.tool(_ZIG, host), kits.target(target)
    return Zig(
        program=pinned_programs.obtain(tool, context),
        version=tool.version,
        target=entry.zig_target,
        wheel_tag=entry.wheel_tag,
        cross=target != host,
        system=entry.system,
        processor=entry.processor,
        arguments=kits.processor(target).arguments,
        flags=kits.zig.flags,
        link=kits.zig.link,
    )


def _launcher(wanted: str, environ: Mapping[str, str]) -> Path | None:
    """Find the compiler cache that is put before the compilers; return None for none."""
    if wanted == "none":
        return None
    names = ("ccache", "sccache") if wanted == "auto" else (wanted,)
    found = next(filter(None, (shutil.which(name, path=environ.get("PATH", os.defpath)) for name in names)), None)
    if found is None and wanted != "auto":
        raise ToolError(f"The launcher {wanted} is not on this machine.", hint="Install it, or use --launcher none.")
    return Path(found) if found else None
