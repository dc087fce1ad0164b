"""What Arm machines gain: the official libraries have the kernels that variants/arm64.toml promises, and no others."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import lief
import numpy as np
import pytest

from ortpack_build.catalog import manifests

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PART = manifests.load().variants["arm64"].part
assert PART is not None


def _code(wheel: Path) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """The instructions of the wheel's ONNX Runtime."""
    with zipfile.ZipFile(wheel) as file:
        names = [name for name in file.namelist() if "onnxruntime." in name and "_shared" not in name]
        (library,) = (name for name in names if name.endswith((".dll", ".dylib")) or ".so." in name)
        parsed = lief.parse(list(file.read(library)))
    assert parsed is not None
    (text,) = (bytes(section.content) for section in parsed.sections if section.name in (".text", "__text"))
    return np.frombuffer(text[: len(text) // 4 * 4], "<u4")


@pytest.mark.parametrize("target", PART.targets)
def test_kernels_that_are_taken_at_run_time(target: str, wheels: Mapping[str, Path]) -> None:
    assert PART is not None
    code = _code(wheels[target])
    found = {
        line.name: sum(int(np.count_nonzero((code & mask) == value)) for value, mask in line.encoding)
        for line in PART.kernels
    }
    # One or two words may be data between functions that look like such an instruction.
    assert {name for name, count in found.items() if count > 8} == {
        line.name for line in PART.kernels if target in line.targets
    }, found
