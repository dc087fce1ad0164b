"""A bundle: a folder that is ready to run, made of loose native libraries, with `runtime.json`."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from ortpack_build.binary import inspect, whence
from ortpack_build.errors import BinaryError
from ortpack_build.hashing import sha256_of
from ortpack_build.runtime_json import FOLDER, NAME, File, Requirement, RuntimeJson, dump

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ortpack_build.runtime_json import Verification
    from ortpack_build.spec import Spec


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What an origin gives: loose files, before they are a runtime."""

    libraries: Mapping[str, Path]  # file name in the runtime → file
    licenses: Mapping[str, Path]  # file name → file
    provenance: Mapping[str, Any]  # for runtime.json: "origin", and what is known of it


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A runtime's folder, `<root>/ortpack_runtimes/<name>/`, and the licence texts that go with it."""

    spec: Spec
    folder: Path
    runtime: RuntimeJson
    licenses: Mapping[str, Path]


def assemble(spec: Spec, parts: Parts, root: Path) -> Bundle:
    """Put the parts together below `root`.

    Raises:
        BinaryError: a library is unreadable, for another platform, or needs one that nothing provides.
        OSError: writing failed.
    """
    folder = root / FOLDER / spec.name
    folder.mkdir(parents=True)
    for name, file in parts.libraries.items():
        shutil.copyfile(file, folder / name)
    # Nothing to import, but tools that check wheels take a folder without a module for a mistake.
    (folder / "__init__.py").write_bytes(
        f'"""{spec.summary}: native files that the ortpack loader opens."""\n'.encode()
    )
    names = sorted(file.name for file in folder.iterdir())
    runtime = RuntimeJson(
        name=spec.name,
        variant=spec.variant,
        target=spec.target,
        ort_version=spec.ort_version,
        api_version=spec.api_version,
        linkage=spec.linkage,
        library=spec.library,
        files={name: File(sha256=sha256_of(folder / name), size=(folder / name).stat().st_size) for name in names},
        providers=spec.providers,
        devices={device.name: device.providers for device in spec.devices},
        priority=spec.priority,
        model_formats=spec.model_formats,
        reduced=spec.reduced,
        platform=spec.platform,
        requires=requirements(spec, [folder / name for name in sorted(parts.libraries)]),
        provenance={"origin": parts.provenance["origin"], "spec": spec.digest, **parts.provenance},
        minimal=spec.minimal,
    )
    (folder / NAME).write_bytes(dump(runtime))
    return Bundle(spec=spec, folder=folder, runtime=runtime, licenses=parts.licenses)


def vouched(bundle: Bundle, verification: Verification) -> Bundle:
    """The bundle, saying what came of a proof.

    Raises:
        OSError: writing failed.
    """
    runtime = msgspec.structs.replace(bundle.runtime, verification=verification)
    (bundle.folder / NAME).write_bytes(dump(runtime))
    return replace(bundle, runtime=runtime)


def requirements(spec: Spec, libraries: Iterable[Path]) -> tuple[Requirement, ...]:
    """The dynamic libraries that these need from outside, each with where it comes from.

    Raises:
        BinaryError: a library is for another platform, or needs one that nothing provides.
    """
    files = list(libraries)
    found = {}
    for file in files:
        facts = inspect(file, spec.platform.arch)
        if (facts.os, facts.arch) != (spec.platform.os, spec.platform.arch):
            raise BinaryError(f"{file.name} is for {facts.os} {facts.arch}, not for {spec.target}.")
        for name in facts.needed:
            origin = whence(name, spec.system.libraries, [other.name for other in files], facts.os)
            if origin is None:
                raise BinaryError(
                    f"{file.name} needs {name}, which nothing provides on {spec.target}.",
                    hint="If the system is sure to have it, add it to policies.toml.",
                )
            if origin != "bundle":
                found[name] = Requirement(library=name, origin=origin)
    return tuple(found[name] for name in sorted(found))
