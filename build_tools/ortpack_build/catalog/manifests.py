"""Reads the manifests of `variants/`: what is built, for which platforms, from what."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, TypeVar

from ortpack_build.base.data_file import read, shipped_folder
from ortpack_build.base.errors import ManifestError
from ortpack_build.catalog.manifest_checks import check_packages, check_part, check_targets, check_variant
from ortpack_build.catalog.model import (
    Catalog,
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
    from collections.abc import Iterable
    from pathlib import Path

_SHARED = ("targets.toml", "policies.toml", "providers.toml", "packages.toml")


def load(folder: Path | None = None) -> Catalog:
    """The shipped manifests, with those of `folder` added; a file of the same name takes the shipped one's place.

    Raises:
        ManifestError: a file can't be read or has a mistake.
    """
    files = {path.name: path for path in sorted(shipped_folder().glob("*.toml"))}
    if folder is not None:
        if not folder.is_dir():
            raise ManifestError(f"There is no folder {folder}.", hint="--variants wants a folder with manifests.")
        files |= {path.name: path for path in sorted(folder.glob("*.toml"))}
    targets = _unique(files["targets.toml"], "targets", read(files["targets.toml"], TargetsFile).targets)
    policies = _unique(files["policies.toml"], "policies", read(files["policies.toml"], PoliciesFile).policies)
    packages = _unique(files["packages.toml"], "packages", read(files["packages.toml"], PackagesFile).packages)
    providers = read(files["providers.toml"], ProvidersFile).providers
    check_targets(files["targets.toml"], targets, policies)
    check_packages(files["packages.toml"], packages)
    own = [path for path in files.values() if path.name not in _SHARED]
    parts = {path: read(path, PartFile) for path in own if _kind(path) == "part"}
    variants = {path: read(path, Variant) for path in own if path not in parts}
    wholes = {path.stem: variant for path, variant in variants.items()}
    for path, part in parts.items():
        check_part(path, part, wholes, targets)
        variants[path] = part.of(wholes[part.part.variant])
    catalog = Catalog(
        variants={variant.name: variant for variant in variants.values()},
        targets=targets,
        policies=policies,
        packages=packages,
    )
    # Extensions last: a mistake in what they extend is to be said of the file that it is in.
    for path, variant in sorted(variants.items(), key=lambda item: item[1].kind == "extension"):
        check_variant(path, variant, catalog, providers)
    return catalog


def _kind(path: Path) -> object:
    """What a file says of its kind; its mistakes are for `read` to say."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")).get("kind")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None


_N = TypeVar("_N", Target, Policy, Package)


def _unique(path: Path, key: str, lines: Iterable[_N]) -> dict[str, _N]:
    found: dict[str, _N] = {}
    for index, line in enumerate(lines):
        if line.name in found:
            raise ManifestError(f"{path}: {key}[{index}].name: {line.name} is there twice.")
        found[line.name] = line
    return found
