"""Makes reference pages, `docs/reference/<name>.md`: the keys of each kind of data file, with their types."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect

from ortpack_build.base.data_file import shipped_folder
from ortpack_build.reference import variants_page
from ortpack_build.reference.data_files import DATA_FILES
from ortpack_build.verify.checks_page import checks_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ortpack_build.catalog.model import Catalog
    from ortpack_build.reference.data_files import DataFile


@dataclass(frozen=True, kw_only=True)
class Page:
    """A generated page; `file` is its path below `docs/`."""

    file: str
    text: str


_INDEX = """\
All that differs between variants, targets and releases is data: TOML files in `variants/`. A folder of your own, given
with `--variants`, adds to them: variants, targets, policies, packages and providers one by one, what `kits/kits.toml`
says key by key, and releases with their components under `sources/`. Editors that know `#:schema` complete and check
them by the JSON schemas in `variants/schemas/`.
"""
_CHECKS = """\
Each row of the report is one of these. A check that finds a problem fails, one that needs another which did not pass is
skipped, and a wheel that fails anywhere is neither installed nor run.
"""
_SCALARS = {
    inspect.StrType: "text",
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.BoolType: "boolean",
}


def pages(catalog: Catalog) -> dict[str, Page]:
    """Make every generated page, by the name that `ortpack-build docs` knows it by."""
    return {
        "variants": Page(file="variants.md", text=variants_page.page(catalog)),
        "checks": Page(file="reference/checks.md", text=checks()),
        "reference": Page(file="reference/README.md", text=index()),
        **{kind.name: Page(file=f"reference/{kind.name}.md", text=page(kind)) for kind in DATA_FILES},
    }


def index() -> str:
    """Make the page that lists the others."""
    rows = [f"| [{kind.name}]({kind.name}.md) | `{kind.file}` | {_summary(kind.models)} |" for kind in DATA_FILES]
    table = ["| page | file | what it is |", "| --- | --- | --- |", *rows]
    return "\n".join([_generated("reference"), "# Data files", "", _INDEX, *table, ""])


def checks() -> str:
    """Make the page about what `verify` checks."""
    command = "<!-- Written by `ortpack-build docs checks --write`; change the table in verify/checks.py instead. -->"
    return "\n".join([command, "# What `ortpack-build verify` checks", "", _CHECKS, checks_table()])


def page(kind: DataFile) -> str:
    """Make the page of one kind of data file."""
    schema = f"[{kind.name}.json](../../variants/schemas/{kind.name}.json)"
    lines = [_generated(kind.name), f"# {kind.name}", "", f"Keys of `variants/{kind.file}`; schema: {schema}.", ""]
    for struct in _structs(kind.models):
        whole = struct.cls in kind.models
        title = "The file" if whole and len(kind.models) == 1 else struct.cls.__name__
        lines += [f"## {title}", "", _description(struct.cls), ""]
        lines += ["| key | type | default | what it is |", "| --- | --- | --- | --- |"]
        lines += [_row(field) for field in struct.fields]
        lines.append("")
    lines += ["## Example", "", f"From `variants/{kind.example_file}`:", "", "```toml", *_example(kind), "```", ""]
    return "\n".join(lines)


def _generated(name: str) -> str:
    return f"<!-- Written by `ortpack-build docs {name} --write`; change the model of the data file instead. -->"


def _summary(models: Sequence[type]) -> str:
    return _description(models[0]).partition("\n")[0].partition(": ")[2]


def _description(model: type) -> str:
    """Take a class's docstring, without the part that says again what the fields are."""
    return cleandoc(model.__doc__ or "").partition("\n\nAttributes:")[0].replace("<", "&lt;")


def _structs(models: Iterable[type]) -> list[inspect.StructType]:
    """List the models and every class that their values hold, each once, in the order of reading."""
    found: dict[type, inspect.StructType] = {}

    def visit(kind: inspect.Type) -> None:
        if isinstance(kind, inspect.StructType):
            if kind.cls in found:
                return
            found[kind.cls] = kind
            for field in kind.fields:
                visit(field.type)
        for inner in _inner(kind):
            visit(inner)

    for model in models:
        visit(inspect.type_info(model))
    return list(found.values())


def _inner(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    if isinstance(kind, inspect.Metadata):
        return (kind.type,)
    if isinstance(kind, inspect.VarTupleType):
        return (kind.item_type,)
    if isinstance(kind, inspect.TupleType):
        return kind.item_types
    if isinstance(kind, inspect.DictType):
        return (kind.key_type, kind.value_type)
    return kind.types if isinstance(kind, inspect.UnionType) else ()


def _row(field: inspect.Field) -> str:
    default = "required" if field.required else _default(field)
    return f"| `{field.encode_name}` | {_type(field.type)} | {default} | {_cell(_what(field.type))} |"


def _default(field: inspect.Field) -> str:
    value: Any = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if value is None or value in ((), {}, ""):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _type(kind: inspect.Type) -> str:
    """Say a type in words; names of classes are links to their sections."""
    if isinstance(kind, inspect.Metadata):
        return _type(kind.type)
    if isinstance(kind, inspect.StructType):
        return f"[{kind.cls.__name__}](#{kind.cls.__name__.lower()})"
    if isinstance(kind, inspect.LiteralType):
        return " or ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, inspect.VarTupleType):
        return f"array of {_type(kind.item_type)}"
    if isinstance(kind, inspect.TupleType):
        return f"array ({', '.join(map(_type, kind.item_types))})"
    if isinstance(kind, inspect.DictType):
        return f"table: {_type(kind.key_type)} → {_type(kind.value_type)}"
    if isinstance(kind, inspect.UnionType):
        return " or ".join(_type(member) for member in kind.types if not isinstance(member, inspect.NoneType))
    words = _SCALARS[type(kind)]
    least = getattr(kind, "ge", None)
    return words if least is None else f"{words}, {least} or more"


def _what(kind: inspect.Type) -> str:
    """Find what a field is said to be: its own description, or that of its type."""
    if isinstance(kind, inspect.Metadata):
        return str((kind.extra_json_schema or {}).get("description") or _what(kind.type))
    if isinstance(kind, inspect.UnionType):
        return next(filter(None, map(_what, kind.types)), "")
    return "Version of the file's form" if isinstance(kind, inspect.LiteralType) and tuple(kind.values) == (1,) else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _example(kind: DataFile) -> list[str]:
    text = (shipped_folder() / kind.example_file).read_text(encoding="utf-8").split("\n")
    start = text.index(kind.example_line)
    end = next((index for index in range(start, len(text)) if not text[index]), len(text))
    return text[start:end]
