"""Origin `source`: from pinned sources to a kit, and from a kit to the parts of a runtime."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build import kit as kit_stage
from ortpack_build.base.errors import ToolError, UsageError, nearest
from ortpack_build.base.native_library import inspect
from ortpack_build.base.tags import version_key
from ortpack_build.catalog.spec import Compiled
from ortpack_build.kit import settings as kit_settings
from ortpack_build.link import binding_sources as binding
from ortpack_build.link import link_shared, link_static
from ortpack_build.link.linker import run
from ortpack_build.origin import source as origin_source
from ortpack_build.origin.parts import Parts
from ortpack_build.toolchain import Toolchain, Zig, find, pinned_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ortpack_build.base.context import Context
    from ortpack_build.kernels.index import KernelId
    from ortpack_build.kit import Kit
    from ortpack_build.kit.settings import Flavour, Kits
    from ortpack_build.link import Library
    from ortpack_build.ops.opset import OpSet
    from ortpack_build.sizes import Sizes

_ZIG = "zig"


@dataclass(frozen=True, kw_only=True)
class KitRequest:
    """A kit as the user asks for it.

    Attributes:
        target, host: target names; the host is where it is compiled.
        flavour: "onnx" or "ort".
        exceptions: whether errors are exceptions, or end the process.
        ort: the release; None for the newest that was tried.
        origin: of the sources, or "auto".
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
    host: str
    flavour: Flavour
    ort: str | None = None
    origin: str = "auto"
    tree: Path | None = None
    modified: bool = False
    toolchain: str = _ZIG
    launcher: str = "auto"
    jobs: int = 1
    file: Path | None = None
    package: str | None = None
    baseline: str | None = None
    exceptions: bool = True


def sources(request: KitRequest, context: Context) -> origin_source.SourceTree:
    """The source tree that a kit is made of."""
    return origin_source.obtain(
        origin_source.load(_release(request)),
        origin=request.origin,
        path=request.tree,
        modified=request.modified,
        cache=context.cache,
        report=context.report,
    )


def kit(request: KitRequest, context: Context) -> Kit:
    """The kit, from a file, from the cache, or compiled.

    Raises:
        BuildError: of any kind.
    """
    return _kit(request, context, None)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What a kit is compiled of, and with."""

    order: kit_stage.KitInputs
    programs: kit_stage.Programs


def _plan(request: KitRequest, context: Context) -> _Plan:
    toolchain(request, _kits(request), context)  # a compiler that is missing is said before the rest is fetched
    programs = _programs(request, context)
    return _Plan(order=order(request, context), programs=programs)


def _kit(request: KitRequest, context: Context, plan: _Plan | None) -> Kit:
    """The kit of the request's file if it names one, else of the plan."""
    if request.file is not None:
        given = kit_stage.unpack(request.file, context.cache)
        kit_stage.expect(
            given,
            target=request.target,
            flavour=request.flavour,
            ort=_release(request),
            exceptions=request.exceptions,
        )
        return given
    plan = plan or _plan(request, context)
    return kit_stage.make(
        plan.order,
        plan.programs,
        jobs=request.jobs,
        cache=context.cache,
        report=context.report,
        environ=context.environ,
    )


def _programs(request: KitRequest, context: Context) -> kit_stage.Programs:
    kits = _kits(request)
    return kit_stage.Programs(
        cmake=pinned_programs.obtain(kits.tool("cmake", request.host), context.cache, context.report),
        ninja=pinned_programs.obtain(kits.tool("ninja", request.host), context.cache, context.report),
        protoc=pinned_programs.obtain(kits.tool("protoc", request.host), context.cache, context.report),
        launcher=_launcher(request.launcher, context.environ),
    )


def order(request: KitRequest, context: Context) -> kit_stage.KitInputs:
    """What is compiled for a request; its key says whether the cache has the kit.

    Raises:
        BuildError: of any kind.
    """
    kits = _kits(request)
    compilers = toolchain(request, kits, context)
    return kit_stage.KitInputs(
        target=request.target,
        flavour=request.flavour,
        exceptions=request.exceptions,
        kits=kits,
        pinned=origin_source.load(_release(request)),
        tree=sources(request, context),
        toolchain=compilers,
        tools={name: kits.tool(name, request.host).version for name in ("cmake", "protoc")},
    )


def toolchain(request: KitRequest, kits: Kits, context: Context) -> Toolchain:
    """The toolchain that a request names.

    Raises:
        UsageError: there is no such toolchain, or it can't compile for the target.
        ToolError: the compiler is missing or too old.
    """
    line = kits.target(request.target)
    if request.toolchain == _ZIG:
        tool = kits.tool(_ZIG, request.host)
        zig = Zig(
            program=pinned_programs.obtain(tool, context.cache, context.report),
            version=tool.version,
            target=line.zig_target,
            wheel_tag=line.wheel_tag,
            cross=request.target != request.host,
            system=line.system,
            processor=line.processor,
            arguments=kits.processor(request.target).arguments,
            flags=kits.zig.flags,
            link=kits.zig.link,
        )
        if request.baseline is not None:  # those of kits.toml are tested
            zig.check(context.cache.root / "toolchain")
        return zig
    if request.toolchain not in kits.compilers:
        names = (_ZIG, *kits.compilers)
        raise UsageError(f"There is no toolchain {request.toolchain!r}.", hint=nearest(request.toolchain, names))
    if request.target != request.host:
        raise UsageError(
            f"{request.toolchain} of this machine compiles for {request.host}, not for {request.target}.",
            hint="Use --toolchain zig.",
        )
    return find(request.toolchain, kits.compilers[request.toolchain], environ=context.environ)


def _kits(request: KitRequest) -> Kits:
    kits = kit_settings.load()
    kits.target(request.target)
    if not request.exceptions:
        kits.without_exceptions(request.flavour)  # said before anything is compiled
    return kits if request.baseline is None else kits.with_baseline(request.target, request.baseline)


def _release(request: KitRequest) -> str:
    return request.ort or origin_source.default_release()


def _launcher(wanted: str, environ: Mapping[str, str]) -> Path | None:
    if wanted == "none":
        return None
    names = ("ccache", "sccache") if wanted == "auto" else (wanted,)
    found = next(filter(None, (shutil.which(name, path=environ.get("PATH", os.defpath)) for name in names)), None)
    if found is None and wanted != "auto":
        raise ToolError(f"The launcher {wanted} is not on this machine.", hint="Install it, or use --launcher none.")
    return Path(found) if found else None


@dataclass(frozen=True, kw_only=True)
class Linked:
    """A library of a kit, the texts that go with it, and the platform tag of a wheel with it."""

    library: Path
    licenses: Mapping[str, Path]
    kit: Kit
    tag: str
    sizes: Sizes | None = None
    modules: Mapping[str, bytes] = field(default_factory=dict)  # Python modules beside the library
    binding: Mapping[str, str] = field(default_factory=dict)  # what an extension module was compiled with
    types: tuple[str, ...] = ()  # what its kernels were reduced to

    def spec_source(self) -> Compiled:
        """What a spec says of it."""
        about = self.kit.about
        return Compiled(kit=about.key, flavour=about.flavour, toolchain=about.toolchain)

    def parts(self) -> Parts:
        """What a bundle is made of."""
        about = self.kit.about
        kit_ = {
            "key": about.key,
            "flavour": about.flavour,
            "exceptions": about.exceptions,
            "toolchain": about.toolchain,
            "sources": {"origin": about.origin, "key": about.sources},
        }
        return Parts(
            libraries={self.library.name: self.library},
            licenses=self.licenses,
            provenance={"origin": "source", "kit": kit_} | ({"binding": dict(self.binding)} if self.binding else {}),
            modules=self.modules,
            sizes=self.sizes,
        )


def link(
    request: KitRequest,
    context: Context,
    into: Path,
    *,
    choose: Callable[[Kit], Sequence[KernelId]] = lambda made: made.kernels,
    types: OpSet | None = None,
) -> Linked:
    """A library, shared or an extension module, with the chosen kernels of the kit (all if nobody chooses), in `into`.

    Args:
        request: the kit, and whether it is an extension module.
        context: of the stages.
        into: an existing folder.
        choose: picks kernels.
        types: if given, kernels are compiled anew for the types that it says.

    Raises:
        BuildError: of any kind.
    """
    python: binding.PythonHeaders | None = None
    if request.package is not None:  # said before anything is compiled
        binding.check_name(request.package)
        _kits(request)
        python = binding.python_headers(request.target, request.host, context.cache, context.report)
    plan = None if types is None else _plan(request, context)
    made = _kit(request, context, plan)
    name = made.about.toolchain["name"]
    if name != request.toolchain:
        raise UsageError(f"The kit was made with {name}; link it with --toolchain {name}.")
    kernels = choose(made)
    chosen = toolchain(request, _kits(request), context)
    if dict(chosen.identity) != made.about.toolchain:
        raise UsageError(f"The kit was made with {made.about.toolchain}, but here is {dict(chosen.identity)}.")
    context.cache.root.mkdir(parents=True, exist_ok=True)
    sources_: binding.Binding | None = None
    with tempfile.TemporaryDirectory(dir=into, prefix="link-") as scratch:
        work = Path(scratch)
        compilers = chosen.install(work, root=work, shared=context.cache.root / "toolchain")
        environ = {**context.environ, **compilers.environ}
        if python is not None:
            sources_ = binding.prepare(request.target, python, work, context.cache, context.report)

        def made_of(kit_: Kit) -> Library:
            if request.package is None or sources_ is None:
                return link_shared(kit_, kernels, compilers, work=work, environ=environ)
            return link_static(
                kit_,
                kernels,
                compilers,
                sources_,
                package=request.package,
                jobs=request.jobs,
                cache=context.cache,
                work=work,
                environ=environ,
            )

        with context.report.step(f"Linking {len(kernels)} kernels") as step:
            library = made_of(made)
            step.detail(f"{library.path.stat().st_size / 1e6:.1f} MB")
        reduced: kit_stage.Reduced | None = None
        if types is not None and plan is not None:
            with context.report.step("Reducing types") as step:
                reduced = kit_stage.reduce_types(
                    plan.order,
                    plan.programs,
                    made,
                    kernels,
                    types,
                    jobs=request.jobs,
                    cache=context.cache,
                    report=context.report,
                    environ=context.environ,
                    step=step,
                )
                whole = library.path.stat().st_size
                if reduced.about.objects:
                    smaller, archives = kit_stage.exchanged(made, reduced, work)
                    for archive in archives:
                        run([str(compilers.ranlib), str(archive)], environ, "Linking")
                    library = made_of(smaller)
                step.detail(_saving(whole, library.path.stat().st_size, reduced))
        target = into / library.path.name
        library.path.rename(target)
    licenses = {path.name: path for path in sorted((made.path / "licenses").iterdir())}
    return Linked(
        library=target,
        licenses={**licenses, **(sources_.licenses if sources_ else {})},
        kit=made,
        tag=made.about.tag or _glibc_tag(target, request.target),
        sizes=library.sizes,
        modules=binding.modules() if sources_ else {},
        binding=sources_.stated if sources_ else {},
        types=reduced.about.types if reduced else (),
    )


def _saving(before: int, after: int, reduced: kit_stage.Reduced) -> str:
    about = reduced.about
    if not about.objects:
        return "no kernel that is linked can do with fewer"
    files = f"{len(about.objects)} file{'s' if len(about.objects) > 1 else ''}"
    how = f"compiled in {about.seconds:.0f} s" if reduced.new else "of the cache"
    return f"{before / 1e6:.2f} -> {after / 1e6:.2f} MB, {before - after:,} bytes less, {files} {how}"


def _glibc_tag(library: Path, target: str) -> str:
    """The manylinux tag of what a compiler of the machine linked: that of the newest symbol of glibc in it."""
    arch = target.partition("-")[2]
    versions = [name.removeprefix("GLIBC_") for name in inspect(library).symbol_versions if "GLIBC_" in name]
    newest = max((version_key(version)[:2] for version in versions), default=(2, 17))
    return f"manylinux_{max(newest, (2, 17))[0]}_{max(newest, (2, 17))[1]}_{arch}"
