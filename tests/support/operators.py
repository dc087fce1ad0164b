"""Writes `variants/ops/operators.toml`: `python -m support.operators > variants/ops/operators.toml`.

The names of all operators that the official package knows, by domain; it needs `onnxruntime`.
"""

from __future__ import annotations

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as native

# Layouts that the optimizers make have no schema of their own in that list on every machine.
_LAYOUTS = {
    "com.microsoft.nchwc": {
        "AveragePool",
        "Conv",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "MaxPool",
        "ReorderInput",
        "ReorderOutput",
        "Upsample",
    }
}


def operators() -> dict[str, list[str]]:
    """Domain → its operators, both sorted."""
    found: dict[str, set[str]] = {domain: set(names) for domain, names in _LAYOUTS.items()}
    for schema in native.get_all_operator_schema():
        found.setdefault(schema.domain or "ai.onnx", set()).add(schema.name)
    return {domain: sorted(found[domain]) for domain in sorted(found)}


def text() -> str:
    """The file."""
    lines = [
        "#:schema ../schemas/operators.json",
        "# The operators that ONNX Runtime knows, to tell a wrong name in an operator config from a right one.",
        "# Generated: python -m support.operators (in tests/, with the official package installed).",
        "schema = 1",
        f'ort = "{onnxruntime.__version__}"',
        "",
        "[operators]",
    ]
    for domain, names in operators().items():
        lines += [f'"{domain}" = [', *(f'    "{name}",' for name in names), "]"]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    print(text(), end="")
