"""Makes the JSON schemas of the data files, by which editors complete and check them (`#:schema` at a file's top)."""

from __future__ import annotations

import json
from inspect import cleandoc
from typing import TYPE_CHECKING

import msgspec

from ortpack_build.catalog.model import PackagesFile, PartFile, PoliciesFile, ProvidersFile, TargetsFile, Variant
from ortpack_build.reference.data_files import DATA_FILES

if TYPE_CHECKING:
    from ortpack_build.base.data_file import Model
    from ortpack_build.reference.data_files import DataFile

MANIFESTS = "schema.json"
_MANIFESTS = (Variant, PartFile, TargetsFile, PoliciesFile, ProvidersFile, PackagesFile)


def manifests() -> str:
    """Make the text of `variants/schema.json`, by which any manifest is right."""
    return _text("Manifests of ortpack-build; written by `ortpack-build schema`", _MANIFESTS)


def of(kind: DataFile) -> str:
    """Make the text of `variants/schemas/<name>.json`."""
    return _text(f"{kind.file} of ortpack-build; written by `ortpack-build schema {kind.name} --write`", kind.models)


def files() -> dict[str, str]:
    """Make every schema: path below `variants/` → text."""
    return {MANIFESTS: manifests()} | {f"schemas/{kind.name}.json": of(kind) for kind in DATA_FILES}


def _text(title: str, models: tuple[type[Model], ...]) -> str:
    references, components = msgspec.json.schema_components(models, ref_template="#/$defs/{name}")
    for component in components.values():  # as Python 3.13 has texts of classes, on every Python
        if "description" in component:
            component["description"] = cleandoc(component["description"])
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "anyOf": list(references),
        "$defs": components,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
