"""Libraries for musl, linked from kits that the cache has, and run by its own loader: from C, as there is no Python."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.base.errors import ToolError
from ortpack_build.base.report import Reporter
from ortpack_build.catalog import host, manifests
from ortpack_build.verify import run_from_c
from support.command import run
from support.models import feeds, model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Minimal

pytestmark = [
    pytest.mark.emulate,
    pytest.mark.kit,
    pytest.mark.timeout(1800),
    pytest.mark.parametrize("target", ["musllinux-x86_64", "musllinux-aarch64"]),
]


def test_silero_vad_gives_what_it_gives_here(
    target: str, minimal: Callable[[str], Minimal], cache: Path, tmp_path: Path
) -> None:
    """Within 1e-4 of the official package on this machine; and an error is an exception that ORT catches."""
    made, targets = minimal(target), manifests.load().targets
    context = Context(cache=Cache(root=cache), report=Reporter(), environ=os.environ)
    program = run_from_c.below_emulator(targets[target], host.detect().target(targets), context)
    library, converted = made.library(tmp_path), made.model("silero_vad")
    given = {
        name: run_from_c.Tensor(shape=value.shape, data=value.tobytes()) for name, value in feeds("silero_vad").items()
    }
    outcome = program.run(library, converted, [given], scratch=tmp_path)
    assert outcome.version == "1.21.0"
    session = onnxruntime.InferenceSession(model("silero_vad"), providers=["CPUExecutionProvider"])
    expected = session.run(None, feeds("silero_vad"))
    for value, wanted in zip(outcome.runs[0].values(), expected, strict=True):
        got = np.frombuffer(value.data, np.float32).reshape(value.shape)
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4)
    # With an input of one sample, an exception is thrown and caught below `Run`.
    with pytest.raises(ToolError, match=r"Run: .*Conv"):
        program.run(library, converted, [{}], scratch=tmp_path)


def test_verify_runs_it_there(target: str, minimal: Callable[[str], Minimal], cache: Path) -> None:
    made = minimal(target)
    done = run("verify", "--json", "--emulate", made.wheel, "--model", made.model("network"), "--cache", cache)
    assert done.returncode == 0, done.stdout
    row = json.loads(done.stdout)["checks"][-1]
    assert row["verdict"] == "pass"
    assert row["detail"].startswith(f"below {made.machine.emulator.name}, ORT 1.21.0: network.ort gave ")
