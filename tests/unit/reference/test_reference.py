"""What is generated of the data files' models: schemas and pages, which are current, and say all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tomllib
from msgspec import inspect

from ortpack_build.base.data_file import read
from ortpack_build.base.errors import ManifestError
from ortpack_build.catalog import manifests
from ortpack_build.reference import pages, schemas
from ortpack_build.reference.data_files import DATA_FILES, DataFile

ROOT = Path(__file__).parents[3]
VARIANTS = ROOT / "variants"
PAGES = pages.pages(manifests.load())
KINDS = pytest.mark.parametrize("kind", DATA_FILES, ids=lambda kind: kind.name)


@pytest.mark.parametrize("name", schemas.files())
def test_schemas_are_current(name: str) -> None:
    """If not: `ortpack-build schema --write`."""
    assert (VARIANTS / name).read_text(encoding="utf-8") == schemas.files()[name]


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_current(name: str) -> None:
    """If not: `ortpack-build docs --write`."""
    assert (ROOT / "docs" / PAGES[name].file).read_text(encoding="utf-8") == PAGES[name].text


def test_nothing_generated_is_left_over() -> None:
    assert {path.name for path in (VARIANTS / "schemas").iterdir()} == {f"{kind.name}.json" for kind in DATA_FILES}
    assert {f"reference/{path.name}" for path in (ROOT / "docs" / "reference").iterdir()} <= {
        page.file for page in PAGES.values()
    }


def _kind_of(path: Path) -> DataFile:
    """The kind whose pattern a file fits; the first, of variants, fits only what no other does."""
    name = path.relative_to(VARIANTS)
    return next(
        kind for kind in reversed(DATA_FILES) if name.match(kind.file) and len(name.parts) == kind.file.count("/") + 1
    )


@pytest.mark.parametrize("path", sorted(VARIANTS.rglob("*.toml")), ids=lambda path: path.stem)
def test_every_data_file_names_its_schema_and_has_a_model(path: Path) -> None:
    kind = _kind_of(path)
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    assert first.startswith("#:schema ")
    schema = (path.parent / first.removeprefix("#:schema ")).resolve()
    assert schema == VARIANTS / "schemas" / f"{kind.name}.json"
    part = tomllib.loads(path.read_text(encoding="utf-8")).get("kind") == "part"
    assert read(path, kind.models[-1 if part else 0])


@KINDS
def test_every_key_says_what_it_is(kind: DataFile) -> None:
    for struct in pages._structs(kind.models):
        assert struct.cls.__doc__, struct.cls
        silent = [field.encode_name for field in struct.fields if not pages._what(field.type)]
        assert not silent, (struct.cls.__name__, silent)
    assert json.loads(schemas.of(kind))["$defs"]


@KINDS
def test_a_mistake_names_file_key_and_what_to_do(kind: DataFile, tmp_path: Path) -> None:
    file = tmp_path / "data.toml"
    text = (VARIANTS / kind.example_file).read_text(encoding="utf-8")
    for old, new, message in (
        ("schema = 1", "schema = 2", "schema: 2 is unknown. Allowed: 1"),
        ("schema = 1", "schema = 1\nschemas = 1", "schemas: unknown key. Did you mean schema?"),
        ("schema = 1", "", "top level: schema missing"),
        ("schema = 1", "schema = ", "not valid TOML"),
    ):
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(ManifestError) as caught:
            read(file, kind.models[0])
        assert str(caught.value).startswith(f"{file}: ")
        assert message in str(caught.value)


def test_types_are_told_in_words() -> None:
    told = {field.encode_name: pages._type(field.type) for field in pages._structs(DATA_FILES[0].models)[0].fields}
    assert told["providers"] == "array of text"
    assert told["devices"] == "table: text → array of text"
    assert told["prebuilt"] == "[PrebuiltOrigin](#prebuiltorigin)"
    assert told["reduced"] == "boolean"
    assert pages._type(inspect.type_info(tuple[int, float])) == "array (integer, number)"
