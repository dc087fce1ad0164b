"""Checks what must hold of manifests beyond their form: names that exist, pins that fit, one library a system."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from ortpack_build.base.errors import ManifestError, nearest
from ortpack_build.base.tags import parse_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from ortpack_build.catalog.model import (
        Catalog,
        Package,
        PartFile,
        PinnedWheel,
        Policy,
        PrebuiltOrigin,
        Target,
        Variant,
    )


def check_targets(path: Path, targets: Mapping[str, Target], policies: Mapping[str, Policy]) -> None:
    """Raise ManifestError for a target whose policy there is not."""
    for index, target in enumerate(targets.values()):
        if target.policy not in policies:
            where = f"{path}: targets[{index}].policy"
            raise ManifestError(f"{where}: {target.policy!r} is unknown. {nearest(target.policy, policies)}")


def check_variant(path: Path, variant: Variant, catalog: Catalog, providers: Iterable[str]) -> None:
    """Raise ManifestError for the first mistake in a variant, with the file and the key path."""

    def fail(where: str, problem: str) -> None:
        raise ManifestError(f"{path}: {where}: {problem}")

    if variant.name != path.stem:
        fail("name", f"{variant.name!r} must be the file's name, {path.stem!r}.")
    _check_names(variant, catalog, providers, fail)
    for key, wanted in (("extends", "extension"), ("plugin", "plugin"), ("part", "part")):
        if (getattr(variant, key) is not None) != (variant.kind == wanted):
            fail(key, f"belongs into a manifest of kind = {wanted!r}, and this is kind = {variant.kind!r}.")
    if variant.kind == "extension":
        _check_extension(variant, catalog, fail)
    elif variant.prebuilt is not None:
        _check_prebuilt(variant, variant.prebuilt, catalog.targets, fail)


def _check_names(
    variant: Variant, catalog: Catalog, providers: Iterable[str], fail: Callable[[str, str], None]
) -> None:
    for index, provider in enumerate(variant.providers):
        if provider not in providers:
            fail(f"providers[{index}]", f"{provider!r} is unknown. {nearest(provider, providers)}")
    for device, names in variant.devices.items():
        for name in names:
            if name not in variant.providers:
                fail(f"devices.{device}", f"{name!r} is not among providers. {nearest(name, variant.providers)}")
    for index, package in enumerate(variant.packages):
        if package not in catalog.packages:
            fail(f"packages[{index}]", f"{package!r} is unknown. {nearest(package, catalog.packages)}")
    granted = {source for policy in catalog.policies.values() for source in policy.granted}
    for index, source in enumerate(variant.may_need):
        if source not in granted:
            fail(f"may_need[{index}]", f"{source!r} is unknown. {nearest(source, granted)}")


def _check_extension(variant: Variant, catalog: Catalog, fail: Callable[[str, str], None]) -> None:
    extends = variant.extends
    assert extends is not None  # noqa: S101 - checked by the caller
    base = catalog.variants.get(extends.variant)
    if base is None:
        fail("extends.variant", f"{extends.variant!r} is unknown. {nearest(extends.variant, catalog.variants)}")
    elif base.kind != "runtime" or base.prebuilt is None:
        fail("extends.variant", f"{extends.variant!r} is no runtime from official binaries.")
    elif variant.prebuilt is not None:
        fail("prebuilt", f"an extension is made of the wheels of {extends.variant}.")
    else:
        made = {wheel.target for wheel in base.prebuilt.wheels}
        for index, target in enumerate(extends.targets):
            if target not in made:
                fail(
                    f"extends.targets[{index}]",
                    f"{extends.variant} is not made for {target!r}. {nearest(target, made)}",
                )
        for index, file in enumerate(extends.files):
            _check_member(file.member, f"extends.files[{index}]", fail)
            if file.role == "library":
                fail(f"extends.files[{index}].role", f"the library is that of {extends.variant}.")


def _check_prebuilt(
    variant: Variant, origin: PrebuiltOrigin, targets: Mapping[str, Target], fail: Callable[[str, str], None]
) -> None:
    seen: set[tuple[str, str]] = set()
    for index, wheel in enumerate(origin.wheels):
        where = f"prebuilt.wheels[{index}]"
        key, other = ("version", "ort") if variant.kind == "plugin" else ("ort", "version")
        if getattr(wheel, key) is None or getattr(wheel, other) is not None:
            fail(where, f"a {variant.kind} has {key} here, and not {other}.")
        target = targets.get(wheel.target)
        if target is None:
            fail(f"{where}.target", f"{wheel.target!r} is unknown. {nearest(wheel.target, targets)}")
            continue
        if (wheel.release, wheel.target) in seen:
            fail(f"{where}.target", f"{wheel.target} is there twice for {wheel.release}.")
        seen.add((wheel.release, wheel.target))
        _check_wheel(wheel, origin, target, where, fail)
        libraries = [file for file in origin.files if file.os == target.os and file.role == "library"]
        if len(libraries) != 1:
            fail("prebuilt.files", f'{len(libraries)} files have role = "library" for {target.os}; one is expected.')
    for index, file in enumerate(origin.files):
        _check_member(file.member, f"prebuilt.files[{index}]", fail)
    if not origin.licenses and variant.kind == "runtime":
        fail("prebuilt.licenses", "what is taken out has to go with its licence.")


def _check_wheel(
    wheel: PinnedWheel, origin: PrebuiltOrigin, target: Target, where: str, fail: Callable[[str, str], None]
) -> None:
    try:
        name, version, _, _ = parse_wheel_filename(wheel.file)
    except InvalidWheelFilename as error:
        fail(f"{where}.file", f"{error}.")
        return
    if str(version) != wheel.release or name != origin.distribution:
        fail(f"{where}.file", f"{wheel.file} is not {origin.distribution} {wheel.release}.")
    tag = parse_tag(wheel.tag)
    if tag is None or (tag.os, tag.libc, tag.arch) != (target.os, target.libc, target.arch):
        fail(f"{where}.tag", f"{wheel.tag!r} is no tag for {target.name}.")


def _check_member(member: str, where: str, fail: Callable[[str, str], None]) -> None:
    if "{" in member.replace("{ort}", "") or not PurePosixPath(member).name:
        fail(f"{where}.member", f"{member!r}: only {{ort}} may stand in braces.")


def check_part(path: Path, file: PartFile, wholes: Mapping[str, Variant], targets: Mapping[str, Target]) -> None:
    """Raise ManifestError for the first mistake in a part."""
    part = file.part

    def fail(where: str, problem: str) -> None:
        raise ManifestError(f"{path}: {where}: {problem}")

    if file.name != path.stem:
        fail("name", f"{file.name!r} must be the file's name, {path.stem!r}.")
    whole = wholes.get(part.variant)
    if whole is None:
        fail("part.variant", f"{part.variant!r} is unknown. {nearest(part.variant, wholes)}")
    elif whole.kind != "runtime" or whole.prebuilt is None:
        fail("part.variant", f"{part.variant!r} is no runtime from official binaries.")
    for index, target in enumerate(part.targets):
        if target not in targets:
            fail(f"part.targets[{index}]", f"{target!r} is unknown. {nearest(target, targets)}")
    for index, entry in enumerate(part.kernels):
        for target in entry.targets:
            if target not in part.targets:
                fail(f"part.kernels[{index}].targets", f"{target!r} is no target. {nearest(target, part.targets)}")


def check_packages(path: Path, packages: Mapping[str, Package]) -> None:
    """Raise ManifestError for version specifiers that make no sense."""
    for index, package in enumerate(packages.values()):
        try:
            SpecifierSet(package.versions)
        except InvalidSpecifier as error:
            raise ManifestError(f"{path}: packages[{index}].versions: {error}.") from error


def check_fallback(path: Path, catalog: Catalog) -> None:
    """Raise ManifestError for a variant that can't be what others fall back to."""
    variant = catalog.variants.get(catalog.fallback)
    if variant is None:
        hint = nearest(catalog.fallback, catalog.variants)
        raise ManifestError(f"{path}: fallback: {catalog.fallback!r} is unknown. {hint}")
    if variant.kind != "runtime" or variant.prebuilt is None or variant.source is None:
        raise ManifestError(
            f"{path}: fallback: {variant.name!r} is no runtime with official binaries that can be compiled, too."
        )
