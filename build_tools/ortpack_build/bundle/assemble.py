"""Assembles a bundle: a folder that is ready to run, made of loose native libraries, with `runtime.json`.

An extension has its libraries beside those of the runtime that it extends, where ONNX Runtime looks for them; a
plugin has none, they are in its vendor's wheel.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from ortpack_build import sizes
from ortpack_build.base.errors import BinaryError, UsageError
from ortpack_build.base.hashing import sha256_of
from ortpack_build.base.native_library import inspect
from ortpack_build.bundle.requirements import requirements
from ortpack_build.bundle.runtime_json import FOLDER, NAME, Extends, File, Plugin, RuntimeJson, dump
from ortpack_build.catalog.spec import Prebuilt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import UnsetType

    from ortpack_build.bundle.runtime_json import Verification
    from ortpack_build.catalog.spec import Spec
    from ortpack_build.origin.parts import Parts


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A runtime's folder, `<root>/ortpack_runtimes/<name>/` or that of a package of its own, and its licences."""

    spec: Spec
    folder: Path
    runtime: RuntimeJson
    licenses: Mapping[str, Path]
    elsewhere: Mapping[str, Path] = field(default_factory=dict)  # of an extension: path in the wheel → file


def assemble(spec: Spec, parts: Parts, root: Path) -> Bundle:
    """Put the parts together below `root`.

    Raises:
        BinaryError: a library is unreadable, for another platform, or needs one that nothing provides.
        OSError: writing failed.
    """
    folder = root / place(spec)
    folder.mkdir(parents=True)
    # There is nothing to import, but tools that check wheels take a folder without a module for a mistake.
    modules = parts.modules or {
        "__init__.py": f'"""{spec.summary}: native files that the ortpack loader opens."""\n'.encode()
    }
    for name, text in modules.items():
        (folder / name).write_bytes(text)
    if parts.sizes is not None:
        (folder / sizes.NAME).write_bytes(sizes.dump(parts.sizes))
    home = folder if spec.extends is None else root / FOLDER / spec.extends.runtime
    home.mkdir(exist_ok=True)
    carried = {} if spec.plugin is not None else parts.libraries
    for name, file in carried.items():
        shutil.copyfile(file, home / name)
    if spec.plugin is not None:
        _check_exports(spec, parts)
    runtime = RuntimeJson(
        kind=UNSET if spec.kind == "runtime" else spec.kind,
        name=spec.name,
        variant=spec.variant,
        target=spec.target,
        version=spec.version if spec.plugin else UNSET,
        ort_version=spec.ort_version or UNSET,
        api_version=spec.api_version,
        linkage=spec.linkage,
        library=spec.library if spec.kind == "runtime" else UNSET,
        files={file.name: _file(file) for file in sorted(folder.iterdir())},
        providers=spec.providers,
        devices={device.name: device.providers for device in spec.devices},
        priority=spec.priority,
        model_formats=spec.model_formats,
        reduced=spec.reduced,
        platform=spec.platform,
        requires=requirements(spec, [parts.libraries[name] for name in sorted(parts.libraries)], parts.wheel_members),
        needs=spec.needs or UNSET,
        requires_dist=tuple(package.requirement for package in spec.packages) or UNSET,
        extra=spec.variant if spec.packages or spec.depends else UNSET,
        extends=_extends(spec, carried),
        plugin=_plugin(spec),
        provenance={"origin": parts.provenance["origin"], "spec": spec.digest, **parts.provenance},
        minimal=spec.minimal,
    )
    (folder / NAME).write_bytes(dump(runtime))
    elsewhere = {f"{FOLDER}/{spec.extends.runtime}/{name}": home / name for name in carried} if spec.extends else {}
    return Bundle(spec=spec, folder=folder, runtime=runtime, licenses=parts.licenses, elsewhere=elsewhere)


def place(spec: Spec) -> str:
    """Return the runtime's folder in a wheel and below site-packages."""
    return spec.package.replace(".", "/") if spec.package else f"{FOLDER}/{spec.name}"


def with_verification(bundle: Bundle, verification: Verification) -> Bundle:
    """Write into the bundle's runtime.json what came of a proof, and return the bundle.

    Raises:
        OSError: writing failed.
    """
    runtime = msgspec.structs.replace(bundle.runtime, verification=verification)
    (bundle.folder / NAME).write_bytes(dump(runtime))
    return replace(bundle, runtime=runtime)


def check_place(folder: Path) -> None:
    """Check that `place_files` may write there.

    Raises:
        UsageError: something else is there.
    """
    if folder.exists() and not (folder / NAME).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already, and holds no runtime.", hint="Name a package of its own.")


def place_files(bundle: Bundle, more: Mapping[str, Path], folder: Path) -> None:
    """Put the runtime, its licences and `more` (name → file) into `folder`, at once, in place of an older one there.

    Raises:
        OSError: writing failed; nothing half-written is left.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        shutil.copytree(bundle.folder, new)
        (new / "licenses").mkdir()
        for place, file in {**more, **{f"licenses/{name}": file for name, file in bundle.licenses.items()}}.items():
            shutil.copyfile(file, new / place)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)


def _file(file: Path) -> File:
    return File(sha256=sha256_of(file), size=file.stat().st_size)


def _extends(spec: Spec, carried: Mapping[str, Path]) -> Extends | UnsetType:
    if spec.extends is None:
        return UNSET
    files = {name: _file(file) for name, file in sorted(carried.items())}
    return Extends(runtime=spec.extends.runtime, ort_versions=f"=={spec.version}", files=files)


def _plugin(spec: Spec) -> Plugin | UnsetType:
    if spec.plugin is None or not isinstance(spec.source, Prebuilt):
        return UNSET
    return Plugin(
        registration=spec.plugin.registration,
        ort_versions=spec.plugin.ort_versions,
        distribution=spec.source.distribution,
        version=spec.version,
        path=spec.plugin.path,
    )


def _check_exports(spec: Spec, parts: Parts) -> None:
    """Check that the vendor's library can be registered; `verify` can't, since the wheel does not hold it."""
    for file in spec.files:
        missing = set(file.exports) - inspect(parts.libraries[file.name], spec.machine).exports
        if missing:
            raise BinaryError(f"{file.name} does not export {', '.join(sorted(missing))}, so it is no plugin.")
