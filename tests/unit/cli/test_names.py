"""Names of files that users give reach them as they are, whatever markup they look like."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ortpack_build.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Sequence

_MODEL = Path(__file__).parents[2] / "support" / "small_models" / "network.ort"
NAME = "a:x:[red]b.onnx"


@pytest.mark.parametrize("color", ["", "1"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["ops", "{file}", "--flavour", "ort"],
        ["explain", "{file}.not"],
        ["verify", "{file}.not"],
        ["minimal", "--name", "a", "--model", "{file}.not"],
        ["convert", "{file}", "--out", "{file}"],
    ],
)
def test_a_name(
    arguments: Sequence[str],
    color: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if color:
        monkeypatch.setenv("FORCE_COLOR", color)
    file = tmp_path / NAME
    shutil.copy(_MODEL, file)
    main([argument.format(file=file) for argument in arguments])
    assert NAME in capsys.readouterr().err
