"""Links a library of chosen kernels from a kit: shared or an extension module, with types reduced where asked for."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build import kit as kit_stage
from ortpack_build.base.native_library import inspect
from ortpack_build.base.tags import version_key
from ortpack_build.catalog.spec import Compiled, compiled
from ortpack_build.link import binding_sources
from ortpack_build.link.extension_module import link_static
from ortpack_build.link.linker import run
from ortpack_build.link.shared import link_shared
from ortpack_build.origin.parts import Parts
from ortpack_build.toolchain import set_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ortpack_build.base.context import Context
    from ortpack_build.catalog.model import Catalog
    from ortpack_build.catalog.spec import Minimal, Spec
    from ortpack_build.kernels.index import KernelId
    from ortpack_build.kit import Kit, KitBuild, Reduced
    from ortpack_build.link.binding_sources import Binding, PythonHeaders
    from ortpack_build.link.linker import Library
    from ortpack_build.ops.opset import OpSet
    from ortpack_build.sizes import Sizes
    from ortpack_build.toolchain import Toolchain, Workplace


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """The Python package that a library becomes an extension module of.

    Attributes:
        package: its dotted name.
        python: the headers that the binding is compiled with.
    """

    package: str
    python: PythonHeaders


@dataclass(frozen=True, kw_only=True)
class LinkJob:
    """All that a library is linked with but the kernels, fetched and compiled.

    Attributes:
        kit: what to link from.
        toolchain: the one that the kit was made with.
        jobs: how many compilers run at once.
        context: of the stages.
        embedding: for an extension module; None for a shared library.
        build: what compiles files of the kit anew, for fewer types; None if types are not to be reduced.
    """

    kit: Kit
    toolchain: Toolchain
    jobs: int
    context: Context
    embedding: Embedding | None = None
    build: KitBuild | None = None


@dataclass(frozen=True, kw_only=True)
class Linked:
    """A linked library, and what is needed to make a wheel of it.

    Attributes:
        library: the file.
        kit: what it was linked from.
        tag: platform tag of a wheel with it.
        licenses: file name → text that goes with it.
        package: the Python package that it is an extension module of; None for a shared library.
        sizes: what its bytes are; None if the linker did not say.
        modules: Python modules beside it, file name → content.
        binding: what an extension module was compiled with, name → version.
        types: what its kernels were reduced to, a line for each input or output.
    """

    library: Path
    kit: Kit
    tag: str
    licenses: Mapping[str, Path]
    package: str | None = None
    sizes: Sizes | None = None
    modules: Mapping[str, bytes] = field(default_factory=dict)
    binding: Mapping[str, str] = field(default_factory=dict)
    types: tuple[str, ...] = ()

    def spec(self, catalog: Catalog, variant: str, minimal: Minimal | None = None) -> Spec:
        """Return the spec of a variant with this library.

        Args:
            catalog: the manifests.
            variant: its name.
            minimal: what the runtime is reduced to, if it is.

        Raises:
            UsageError: the variant is unknown, or not made from source for this target.
        """
        about = self.kit.about
        return compiled(
            catalog,
            variant,
            about.target,
            ort=about.ort_version,
            source=Compiled(kit=about.key, flavour=about.flavour, toolchain=about.toolchain),
            library=self.library.name,
            tag=self.tag,
            formats=about.model_formats,
            package=self.package,
            minimal=minimal,
        )

    def parts(self) -> Parts:
        """Return the parts that a bundle is assembled of."""
        about = self.kit.about
        kit = {
            "key": about.key,
            "flavour": about.flavour,
            "exceptions": about.exceptions,
            "toolchain": about.toolchain,
            "sources": {"origin": about.origin, "key": about.sources},
        }
        return Parts(
            libraries={self.library.name: self.library},
            licenses=self.licenses,
            provenance={"origin": "source", "kit": kit} | ({"binding": dict(self.binding)} if self.binding else {}),
            modules=self.modules,
            sizes=self.sizes,
        )


def link_library(job: LinkJob, kernels: Sequence[KernelId], into: Path, *, types: OpSet | None = None) -> Linked:
    """Link a library with the given kernels.

    Args:
        job: what to link with.
        kernels: those of the kit's that the library registers.
        into: an existing folder; the library is left in it.
        types: if given, kernels are compiled anew for the types that it says; needs a job with `build`.

    Raises:
        ToolError: a compiler or the linker failed.
        BuildError: of any other kind.
    """
    kit = job.kit
    job.context.cache.root.mkdir(parents=True, exist_ok=True)
    reduced: Reduced | None = None
    with tempfile.TemporaryDirectory(dir=into, prefix="link-") as scratch:
        site = _prepared(job, Path(scratch))
        library = _with_all_types(job, site, kernels)
        if types is not None:
            library, reduced = _with_reduced_types(job, site, kernels, types, library)
        target = into / library.path.name
        library.path.rename(target)
    licenses = {path.name: path for path in sorted((kit.path / "licenses").iterdir())}
    binding = site.binding
    return Linked(
        library=target,
        kit=kit,
        tag=kit.about.tag or _glibc_tag(target, kit.about.target),
        licenses={**licenses, **(binding.licenses if binding else {})},
        package=job.embedding.package if job.embedding else None,
        sizes=library.sizes,
        modules=binding_sources.modules() if binding else {},
        binding=binding.stated if binding else {},
        types=reduced.about.types if reduced else (),
    )


@dataclass(frozen=True, kw_only=True)
class _Site:
    """Where a library is linked, and for an extension module the binding's sources, laid out there."""

    place: Workplace
    binding: Binding | None


def _prepared(job: LinkJob, folder: Path) -> _Site:
    """Lay out the folder: the compilers, and the binding's sources where they are needed."""
    context = job.context
    place = set_up(job.toolchain, folder, context, job.jobs)
    binding = None
    if job.embedding is not None:
        target, python = job.kit.about.target, job.embedding.python
        binding = binding_sources.prepare(target, python, folder, context)
    return _Site(place=place, binding=binding)


def _linked_once(job: LinkJob, site: _Site, kit: Kit, kernels: Sequence[KernelId]) -> Library:
    if job.embedding is None or site.binding is None:
        return link_shared(kit, kernels, site.place)
    return link_static(kit, kernels, site.place, site.binding, package=job.embedding.package, cache=job.context.cache)


def _with_all_types(job: LinkJob, site: _Site, kernels: Sequence[KernelId]) -> Library:
    """Link the library with the kernels as the kit has them."""
    with job.context.report.step(f"Linking {len(kernels)} kernels") as step:
        library = _linked_once(job, site, job.kit, kernels)
        step.detail(f"{_size(library) / 1e6:.1f} MB")
    return library


def _with_reduced_types(
    job: LinkJob, site: _Site, kernels: Sequence[KernelId], types: OpSet, whole: Library
) -> tuple[Library, Reduced]:
    """Link the library again, in the place of `whole`, with kernels that serve the needed types only."""
    assert job.build is not None  # noqa: S101 - who asks for types makes a job that can reduce them
    before = _size(whole)
    with job.context.report.step("Reducing types") as step:
        reduced = kit_stage.reduce_types(job.build, job.kit, kernels, types, job.context, step)
        if not reduced.about.objects:
            step.detail("no kernel that is linked can do with fewer")
            return whole, reduced
        kit, archives = kit_stage.exchanged(job.kit, reduced, site.place.folder)
        for archive in archives:
            run([str(site.place.compilers.ranlib), str(archive)], site.place.environ, "Linking")
        library = _linked_once(job, site, kit, kernels)
        step.detail(_saving(before, _size(library), reduced))
    return library, reduced


def _size(library: Library) -> int:
    return library.path.stat().st_size


def _saving(before: int, after: int, reduced: Reduced) -> str:
    about = reduced.about
    files = f"{len(about.objects)} file{'s' if len(about.objects) > 1 else ''}"
    how = f"compiled in {about.seconds:.0f} s" if reduced.new else "of the cache"
    return f"{before / 1e6:.2f} -> {after / 1e6:.2f} MB, {before - after:,} bytes less, {files} {how}"


def _glibc_tag(library: Path, target: str) -> str:
    """Return the manylinux tag of what a compiler of the machine linked, by the newest symbol of glibc in it."""
    arch = target.partition("-")[2]
    versions = [name.removeprefix("GLIBC_") for name in inspect(library).symbol_versions if "GLIBC_" in name]
    newest = max((version_key(version)[:2] for version in versions), default=(2, 17))
    return f"manylinux_{max(newest, (2, 17))[0]}_{max(newest, (2, 17))[1]}_{arch}"
