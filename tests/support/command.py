"""The command `ortpack-build`, run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys


def run(*arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it with `environ` added to the environment; its output is text."""
    return subprocess.run(
        [sys.executable, "-m", "ortpack_build", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | environ,
    )
