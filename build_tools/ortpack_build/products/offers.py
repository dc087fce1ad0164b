"""What can be made: every variant, target and release, of official binaries or from source, and what stands against it.

`ortpack-build list` prints it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ortpack_build.base.errors import ToolError, UsageError, nearest
from ortpack_build.catalog import host, spec
from ortpack_build.kit import settings as kit_settings
from ortpack_build.link import binding_sources
from ortpack_build.machines import devices, emulation
from ortpack_build.origin import source as origin_source
from ortpack_build.origin.source import apt
from ortpack_build.verify import run_under_wine

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from ortpack_build.catalog.host import Host
    from ortpack_build.catalog.model import Catalog, Need, Target, Variant
    from ortpack_build.catalog.spec import Platform
    from ortpack_build.origin.source import Sources

Origin = Literal["prebuilt", "source"]
ORIGINS: tuple[Origin, ...] = ("prebuilt", "source")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A runtime that can be made.

    Attributes:
        variant, target, ort: which; `ort` is the release, of a plugin its own.
        origin: official binaries, or compiled.
        flavour: of what is compiled.
        tag: of the wheel.
        superseded: whether a newer release is offered that was compiled and tested, or is official.
        builds_here: whether this machine can make it.
        why_not_built: why it can't.
        runs_here: whether this machine can run it as its own.
        why_not: why it can't.
        emulator: the program that runs it here although it is for another machine.
        lacks: what this machine would need to make it, to run it, or to have its devices, a sentence each.
        sources: where its sources can come from.
        proven: whether it was compiled and tested by this project.
        spec: hash of the spec of an official one.
    """

    variant: str
    target: str
    ort: str
    origin: Origin
    flavour: str | None = None
    tag: str
    superseded: bool
    builds_here: bool = True
    why_not_built: str | None = None
    runs_here: bool
    why_not: str | None
    emulator: str | None
    lacks: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    proven: bool = True
    spec: str | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which offers are asked for; what is empty leaves none out.

    Attributes:
        variants, targets: names.
        origins: "prebuilt" or "source".
        flavours: of what is compiled.
        superseded: whether those that a newer release took the place of are asked for, too.
    """

    variants: Collection[str] = ()
    targets: Collection[str] = ()
    origins: Collection[str] = ()
    flavours: Collection[str] = ()
    superseded: bool = False

    def check(self, catalog: Catalog) -> None:
        """Check that there is what is asked for.

        Raises:
            UsageError: there is no such variant or target; says which is nearest.
        """
        for what, names, known in (
            ("variant", self.variants, catalog.variants),
            ("target", self.targets, catalog.targets),
        ):
            for name in names:
                if name not in known:
                    raise UsageError(f"There is no {what} {name!r}.", hint=nearest(name, known))

    def takes(self, offer: Offer) -> bool:
        """Whether an offer is asked for."""
        return (
            (not self.variants or offer.variant in self.variants)
            and (not self.targets or offer.target in self.targets)
            and (not self.origins or offer.origin in self.origins)
            and (not self.flavours or offer.flavour in self.flavours)
            and (self.superseded or not offer.superseded)
        )


def offers(catalog: Catalog, wanted: Wanted, environ: Mapping[str, str]) -> list[Offer]:
    """List the offers that are asked for, those of official binaries first.

    Raises:
        UsageError: there is no such variant or target.
        ManifestError: a file of kits or sources has a mistake.
    """
    wanted.check(catalog)
    here = _Here(catalog=catalog, machine=host.detect(), environ=environ)
    everything = [*_prebuilt(catalog, here), *_compiled(catalog, here)]
    return [offer for offer in everything if wanted.takes(offer)]


class _Here:
    """This machine, and what it can do for each target."""

    def __init__(self, *, catalog: Catalog, machine: Host, environ: Mapping[str, str]) -> None:
        self.targets = catalog.targets
        self.machine = machine
        self.environ = environ
        self.own = machine.target(catalog.targets)
        self.name = self.own or f"{machine.os} {machine.arch}"
        self._runners = {target.name: self._runner(target) for target in catalog.targets.values()}
        needs = {name: _needs(catalog, variant, machine.os) for name, variant in catalog.variants.items()}
        self._unmet = devices.unmet(needs, binding_sources.sources_folder())

    def why_not(self, target: Target, platform: Platform) -> str | None:
        """Why binaries for a target and platform can't run here as this machine's own."""
        return self.machine.why_not(target, platform, self.targets)

    def emulator(self, target: Target, why_not: str | None) -> str | None:
        """The program that runs binaries of a target that do not run by themselves, if there is one here."""
        return None if why_not is None else self._runners[target.name][0]

    def lacks(self, variant: Variant, target: Target, why_not: str | None) -> Iterator[str]:
        """What would have to be here for a wheel to be run, and to find its devices."""
        if why_not is None and variant.name in self._unmet:
            yield self._unmet[variant.name]
        if why_not is not None and (missing := self._runners[target.name][1]):
            yield missing

    def _runner(self, target: Target) -> tuple[str | None, str | None]:
        """What runs programs of another machine here, or what is missing for that."""
        data = emulation.load()
        if target.emulator is None or self.machine.os != "linux":  # the emulators are Linux programs
            return None, None
        if target.name in data.loaders and target.arch == self.machine.arch:
            return "its own loader", None
        if not data.needs_root(target):
            found = run_under_wine.find(target, self.environ)
            return (target.emulator, None) if found else (None, f"there is no {target.emulator} to run it")
        try:
            return emulation.emulator(target, data, environ=self.environ).name, None
        except ToolError as error:
            return None, f"there is no {target.emulator} to run it. {error.hint}".strip()


def _needs(catalog: Catalog, variant: Variant, system: str) -> Sequence[Need]:
    """What a variant needs of a machine; an extension also needs what its base needs."""
    base = catalog.variants[variant.extends.variant].needs if variant.extends else ()
    return [need for need in (*base, *variant.needs) if not need.os or system in need.os]


def _prebuilt(catalog: Catalog, here: _Here) -> Iterator[Offer]:
    for variant in catalog.variants.values():
        for target in catalog.targets.values():
            for rank, release in enumerate(spec.releases(catalog, variant, target.name)):
                resolved = spec.resolve(catalog, variant.name, target.name, release)
                why_not = here.why_not(target, resolved.platform)
                yield Offer(
                    variant=variant.name,
                    target=target.name,
                    ort=release,
                    origin="prebuilt",
                    tag=resolved.tag,
                    superseded=rank > 0,
                    runs_here=why_not is None,
                    why_not=why_not,
                    emulator=here.emulator(target, why_not),
                    lacks=tuple(here.lacks(variant, target, why_not)),
                    spec=resolved.digest,
                )


def _compiled(catalog: Catalog, here: _Here) -> Iterator[Offer]:
    kits = kit_settings.load(catalog.own)
    hosts = {tool.host for tool in kits.tools}
    releases = [origin_source.load(release, catalog.own) for release in origin_source.releases(catalog.own)]
    for variant in (variant for variant in catalog.variants.values() if variant.source):
        for target in (target for target in catalog.targets.values() if target.name in kits.targets):
            tag = kits.targets[target.name].wheel_tag
            why_not = here.why_not(target, spec.platform(target, tag))
            for rank, release in enumerate(releases):
                newer = releases[:rank]
                for flavour in kits.flavours:
                    yield Offer(
                        variant=variant.name,
                        target=target.name,
                        ort=release.ort,
                        origin="source",
                        flavour=flavour,
                        tag=tag,
                        superseded=any(one.proven for one in newer),
                        builds_here=here.own in hosts,
                        why_not_built=None if here.own in hosts else f"there are no compilers for {here.name}",
                        runs_here=why_not is None,
                        why_not=why_not,
                        emulator=here.emulator(target, why_not),
                        lacks=(*_lacks_sources(release), *here.lacks(variant, target, why_not)),
                        sources=_usable(release),
                        proven=release.proven,
                    )


def _usable(release: Sources) -> tuple[str, ...]:
    """Where a release's sources can come from: where every archive is pinned."""
    return tuple(name for name in release.order if not release.suppliers[name].unpinned)


def _lacks_sources(release: Sources) -> Iterator[str]:
    """Say what would have to be here for the sources to be had, if that is so for wherever they can come from."""
    usable = [release.suppliers[name] for name in _usable(release)]
    if usable and all(origin.suite for origin in usable) and (problem := apt.problem()):
        yield str(problem).rstrip(".")
