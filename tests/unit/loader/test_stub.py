"""The types of the native module are those that nanobind's stubgen finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nanobind.stubgen", exc_type=ImportError)


def test_the_types_are_current() -> None:
    script = Path(__file__).parents[3] / "cmake" / "stub.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nrun `nox -s stub`"
