"""A package that carries ONNX Runtime itself, described without the `runtime.json` beside it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from ortpack import _embedded

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_module_needs_no_file_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in applications that PyInstaller or cx_Freeze made: they carry modules only."""

    class Library:
        version, api_version = "1.21.0", 21

        def available_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    binding = ModuleType("ortpack._binding")
    binding.__dict__.update(Library=Library, __file__=str(tmp_path / "_binding.so"), set_telemetry=lambda _on: None)
    monkeypatch.setitem(sys.modules, "ortpack._binding", binding)
    monkeypatch.setattr("ortpack._binding", binding, raising=False)
    monkeypatch.setattr(_embedded, "__file__", str(tmp_path / "_runtime.pyc"))
    monkeypatch.setattr(_embedded, "_own", _embedded._own.__wrapped__)
    (found,) = _embedded.runtimes()
    assert (found.name, found.ort_version, found.linkage) == ("ortpack", "1.21.0", "static")
    assert found.file == str(tmp_path / "_binding.so")
    assert found.devices == {"cpu": ("CPUExecutionProvider",)}
    assert "is part of this package" in str(_embedded.explain())
