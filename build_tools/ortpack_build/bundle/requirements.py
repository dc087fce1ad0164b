"""Finds the libraries that a runtime needs from outside, and where each comes from."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from msgspec import UNSET

from ortpack_build.base.errors import BinaryError
from ortpack_build.base.native_library import inspect, whence
from ortpack_build.bundle.runtime_json import Requirement
from ortpack_build.catalog.spec import Prebuilt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ortpack_build.base.binary_facts import BinaryFacts
    from ortpack_build.catalog.spec import Spec

PIP = "pip"
RUNTIME = "runtime"  # the runtime that is extended


def requirements(spec: Spec, libraries: Iterable[Path], wheel_members: Sequence[str] = ()) -> tuple[Requirement, ...]:
    """List what these libraries need: libraries of the machine by name, then those that pip installs, in load order.

    Args:
        spec: what is made.
        libraries: the files.
        wheel_members: every member of the official wheel, in which a plugin's library stays.

    Raises:
        BinaryError: a library is for another platform, or needs one that nothing provides.
    """
    files = list(libraries)
    facts = {}
    for file in files:
        found = inspect(file, spec.machine)
        if (found.os, found.machine) != (spec.platform.os, spec.machine):
            raise BinaryError(f"{file.name} is for {found.os} {found.machine}, not for {spec.target}.")
        facts[file.name] = found
    return stated(spec, facts, wheel_members)


def stated(spec: Spec, facts: dict[str, BinaryFacts], wheel_members: Sequence[str] = ()) -> tuple[Requirement, ...]:
    """Do the same for libraries that were read already.

    Raises:
        BinaryError: one needs a library that nothing provides.
    """
    needed: dict[str, list[str]] = {}
    for name, found in facts.items():
        for library in found.needed:
            needed.setdefault(library, []).append(name)
    fixed, from_pip = {}, {}
    for library, by in needed.items():
        origin = source_of(spec, library, facts, wheel_members)
        if origin is None:
            raise BinaryError(
                f"{by[0]} needs {library}, which nothing provides on {spec.target}.",
                hint="If the system is sure to have it, add it to policies.toml; if pip installs it, to packages.toml.",
            )
        if isinstance(origin, Requirement):
            from_pip[library.lower()] = origin
        elif origin != "bundle":
            fixed[library] = Requirement(library=library, origin=origin)
    ordered = [_from_package(spec, path, needed) for path in _paths(spec)]
    known = {requirement.library.lower() for requirement in ordered}
    vendors = [from_pip[name] for name in sorted(from_pip) if name not in known]
    return (*(fixed[name] for name in sorted(fixed)), *ordered, *vendors)


def source_of(
    spec: Spec, library: str, own: Iterable[str], wheel_members: Sequence[str] = ()
) -> str | Requirement | None:
    """Tell where a library comes from: a word, a requirement if pip installs it, or None if nothing provides it."""
    os = spec.platform.os
    if any(_same(path.rpartition("/")[2], library, os) for _, path in _paths(spec)):
        return next(
            _from_package(spec, item, {}) for item in _paths(spec) if _same(item[1].rpartition("/")[2], library, os)
        )
    if spec.extends is not None and any(_same(name, library, os) for name in spec.extends.files):
        return RUNTIME
    if spec.plugin is not None and isinstance(spec.source, Prebuilt):
        folder = PurePosixPath(spec.plugin.path).parent
        names = [PurePosixPath(name).name for name in wheel_members if PurePosixPath(name).parent == folder]
        if any(_same(name, library, os) for name in names):
            return "bundle"  # the vendor's library finds it in its own folder
        # The wheel ships `libx.so.1.2`; the vendor's package creates the link `libx.so.1` when it is imported. We do
        # not import it, so the loader has to open the file by its long name.
        longer = next((name for name in names if name.startswith(f"{library}.")), None)
        if longer is not None:
            path = str(folder / longer)
            return Requirement(library=library, origin=PIP, distribution=spec.source.distribution, path=path)
    return whence(library, spec.system.libraries, own, os)


def _paths(spec: Spec) -> list[tuple[str, str]]:
    """List distribution and path of every library that pip installs, in the order of loading."""
    return [(package.name, path) for package in spec.packages for path in package.libraries]


def _from_package(spec: Spec, item: tuple[str, str], needed: dict[str, list[str]]) -> Requirement:
    distribution, path = item
    name = path.rpartition("/")[2]
    by = [file for library, files in needed.items() if _same(name, library, spec.platform.os) for file in files]
    return Requirement(
        library=name,
        origin=PIP,
        distribution=distribution,
        path=path,
        by=tuple(sorted(by)) or UNSET,
        optional=UNSET if by else True,
    )


def _same(name: str, other: str, os: str) -> bool:
    return name.lower() == other.lower() if os == "windows" else name == other
