"""A library of custom operators, compiled here, in every release of ONNX Runtime."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ortpack
from support import graphs
from support.graphs import f32

if TYPE_CHECKING:
    from collections.abc import Callable

    Opener = Callable[..., ortpack.InferenceSession]

HEADERS = Path(__file__).parents[3] / "cmake" / "fetch_headers.py"

pytestmark = pytest.mark.skipif(shutil.which("cc") is None or sys.platform == "win32", reason="needs a C compiler")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("custom-op")
    command = [sys.executable, str(HEADERS), f"--out={folder}"]
    include = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    built = folder / "libtwice.so"
    source = Path(__file__).with_name("custom_op.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", f"-I{include}", str(source), "-o", str(built)], check=True)
    return built


def _model() -> bytes:
    return graphs.model(
        [graphs.node("Twice", ["x"], ["y"], domain="test.domain")],
        [graphs.tensor("x")],
        [graphs.tensor("y")],
        domains={"test.domain": 1},
    )


def test_custom_operators(session: Opener, library: Path) -> None:
    options = ortpack.SessionOptions()
    options.register_custom_ops_library(library)
    for _ in range(2):  # the options serve more than one session
        opened = session(_model(), options)
        assert opened.run(None, {"x": f32(1, 2.5)})[0].tolist() == [2, 5]


def test_the_same_model_without_the_library(session: Opener) -> None:
    with pytest.raises(ortpack.errors.OrtError, match="Twice"):
        session(_model())


def test_a_library_without_operators(session: Opener) -> None:
    options = ortpack.SessionOptions()
    options.register_custom_ops_library(str(next(Path(sys.prefix).rglob("_binding.abi3.so"), __file__)))
    with pytest.raises(ortpack.errors.OrtError):
        session(_model(), options)
