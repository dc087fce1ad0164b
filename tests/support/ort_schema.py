"""Reads FlatBuffers schemas as far as their numbers go."""

from __future__ import annotations

import re
from enum import IntEnum

from ortpack_build.ops import ort_schema

TABLES: dict[str, type[IntEnum]] = {
    name: kind
    for name, kind in vars(ort_schema).items()
    if isinstance(kind, type) and issubclass(kind, IntEnum) and kind is not IntEnum
}  # those that are read, by name


def slots(schema: str) -> dict[str, dict[str, int]]:
    """Table → field → slot, enum → name → number, union → member → number; names in capitals."""
    text = re.sub(r"//.*", "", schema)
    blocks = re.findall(r"\b(table|enum|union) (\w+)[^{;]*\{([^}]*)\}", text)
    unions = {name for kind, name, _ in blocks if kind == "union"}
    found: dict[str, dict[str, int]] = {}
    for kind, name, body in blocks:
        if kind == "enum":
            found[name] = {key.upper(): int(value) for key, value in re.findall(r"(\w+)\s*=\s*(\d+)", body)}
            continue
        names: list[str] = []
        for field, type_ in re.findall(r"(\w+)\s*:\s*\[?(\w+)", body):
            names += [f"{field}_type", field] if type_ in unions else [field]
        found[name] = {field.upper(): slot for slot, field in enumerate(names, kind == "union")}
    return found
