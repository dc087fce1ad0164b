"""The package's public names stand in `__init__.py`: once for type checkers, once for Python."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ortpack

SOURCE = Path(__file__).parents[3] / "src" / "ortpack"


def test_type_checkers_and_python_are_told_the_same_names() -> None:
    tree = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8"))
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {
        (node.module, alias.name)
        for node in guarded.body
        if isinstance(node, ast.ImportFrom) and node.module != "ortpack"  # `errors` is a module
        for alias in node.names
    }
    known = {(f"ortpack.{module}", name) for module, names in ortpack._MODULES.items() for name in names}
    assert told == known
    assert set(ortpack.__all__) == {name for _, name in known}


@pytest.mark.parametrize("name", ortpack.__all__)
def test_a_public_name_is_defined_and_explained_where_the_table_says(name: str) -> None:
    module = SOURCE / f"{ortpack._WHERE[name]}.py"
    if not module.is_file():  # native code
        pytest.skip("its types are checked elsewhere")
    tree = ast.parse(module.read_text(encoding="utf-8"))
    found = [node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name]
    assert found, f"{module.name} does not define {name}"
    assert ast.get_docstring(found[0])
