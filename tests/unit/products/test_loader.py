"""What is packed into the loader's wheel for other targets."""

from __future__ import annotations

from pathlib import Path

import pytest

from ortpack_build.base.errors import UsageError
from ortpack_build.products import loader

ROOT = Path(__file__).parents[3]


def test_the_wheel_carries_the_hook_of_pyinstaller_and_its_entry_point(tmp_path: Path) -> None:
    (tmp_path / "module").write_bytes(b"\x7fELF")
    name, files = loader._contents(ROOT, tmp_path / "module", {}, (), "cp310-abi3-linux_x86_64")
    assert {"ortpack/_pyinstaller/__init__.py", "ortpack/_pyinstaller/hook-ortpack.py"} <= files.keys()
    entries = files[f"{name}.dist-info/entry_points.txt"].decode()
    assert entries == "[pyinstaller40]\nhook-dirs = ortpack._pyinstaller:get_hook_dirs\n"
    assert not any("__pycache__" in file or file.endswith(".so.pyc") for file in files)


def test_the_checkout_that_the_user_stands_in_is_compiled() -> None:
    assert loader.default_tree(ROOT) == ROOT


def test_a_folder_that_is_no_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "__file__", str(tmp_path / "a" / "b" / "c" / "loader.py"))
    with pytest.raises(UsageError, match="is a checkout"):
        loader.default_tree(tmp_path)
