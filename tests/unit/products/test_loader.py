"""What is packed into the loader's wheel for other targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortpack_build.products import loader

if TYPE_CHECKING:
    from pathlib import Path


def test_the_wheel_carries_the_hook_of_pyinstaller_and_its_entry_point(tmp_path: Path) -> None:
    (tmp_path / "module").write_bytes(b"\x7fELF")
    name, files = loader._contents(loader.own_tree(), tmp_path / "module", {}, (), "cp310-abi3-linux_x86_64")
    assert {"ortpack/_pyinstaller/__init__.py", "ortpack/_pyinstaller/hook-ortpack.py"} <= files.keys()
    entries = files[f"{name}.dist-info/entry_points.txt"].decode()
    assert entries == "[pyinstaller40]\nhook-dirs = ortpack._pyinstaller:get_hook_dirs\n"
    assert not any("__pycache__" in file or file.endswith(".so.pyc") for file in files)
