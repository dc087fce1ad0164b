"""Reads the manifests of `variants/`: what is built, for which platforms, from what."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, TypeVar

from ortpack_build.base.data_file import Model, data_folders, read
from ortpack_build.base.errors import ManifestError
from ortpack_build.catalog.manifest_checks import (
    check_fallback,
    check_packages,
    check_part,
    check_targets,
    check_variant,
)
from ortpack_build.catalog.model import (
    Catalog,
    DefaultsFile,
    Package,
    PackagesFile,
    PartFile,
    PoliciesFile,
    Policy,
    ProvidersFile,
    Target,
    TargetsFile,
    Variant,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_F = TypeVar("_F", bound=Model)
_N = TypeVar("_N", Target, Policy, Package)
_SHARED = ("targets.toml", "policies.toml", "providers.toml", "packages.toml", "defaults.toml")


def load(own: Path | None = None) -> Catalog:
    """Read the shipped manifests, and add those of the user's own folder.

    A variant's file takes the place of a shipped one of the same name. What the files that all variants share list is
    added to what the shipped ones do; an entry takes the place of a shipped one of the same name.

    Raises:
        ManifestError: a file can't be read or has a mistake.
    """
    if own is not None and not own.is_dir():
        raise ManifestError(f"There is no folder {own}.", hint="--variants wants a folder with manifests.")
    folders = data_folders(own)
    policies: dict[str, Policy] = {}
    for path, policies_file in _each(folders, "policies.toml", PoliciesFile):
        policies |= _unique(path, "policies", policies_file.policies)
    targets: dict[str, Target] = {}
    for path, targets_file in _each(folders, "targets.toml", TargetsFile):
        found = _unique(path, "targets", targets_file.targets)
        check_targets(path, found, policies)
        targets |= found
    packages: dict[str, Package] = {}
    for path, packages_file in _each(folders, "packages.toml", PackagesFile):
        listed = _unique(path, "packages", packages_file.packages)
        check_packages(path, listed)
        packages |= listed
    providers = [name for _, file in _each(folders, "providers.toml", ProvidersFile) for name in file.providers]
    variants = _variants(folders, targets)
    defaults_path, defaults = list(_each(folders, "defaults.toml", DefaultsFile))[-1]
    catalog = Catalog(
        variants={variant.name: variant for variant in variants.values()},
        targets=targets,
        policies=policies,
        packages=packages,
        fallback=defaults.fallback,
        own=own,
    )
    # Extensions last: a mistake in what they extend is to be said of the file that it is in.
    for path, variant in sorted(variants.items(), key=lambda item: item[1].kind == "extension"):
        check_variant(path, variant, catalog, providers)
    check_fallback(defaults_path, catalog)
    return catalog


def _each(folders: Iterable[Path], name: str, model: type[_F]) -> Iterable[tuple[Path, _F]]:
    """Read each file of this name that there is, the shipped one first."""
    for path in (folder / name for folder in folders):
        if path.exists():
            yield path, read(path, model)


def _variants(folders: Iterable[Path], targets: Mapping[str, Target]) -> dict[Path, Variant]:
    """Read the variants, by the file that describes them; parts of others come last."""
    files = {path.name: path for folder in folders for path in sorted(folder.glob("*.toml"))}
    paths = [path for name, path in files.items() if name not in _SHARED]
    parts = {path: read(path, PartFile) for path in paths if _kind(path) == "part"}
    variants = {path: read(path, Variant) for path in paths if path not in parts}
    wholes = {path.stem: variant for path, variant in variants.items()}
    for path, part in parts.items():
        check_part(path, part, wholes, targets)
        variants[path] = part.of(wholes[part.part.variant])
    return variants


def _kind(path: Path) -> object:
    """Look up the kind of variant that a file describes; None if it can't be read, which `read` reports later."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")).get("kind")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None


def _unique(path: Path, key: str, entries: Iterable[_N]) -> dict[str, _N]:
    found: dict[str, _N] = {}
    for index, entry in enumerate(entries):
        if entry.name in found:
            raise ManifestError(f"{path}: {key}[{index}].name: {entry.name} is there twice.")
        found[entry.name] = entry
    return found
