"""What a Python that a test started said at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess


def last_line(process: subprocess.CompletedProcess[str]) -> str:
    """The message of the exception that ended the process; fails for any other end."""
    assert process.returncode == 1, process.stderr + process.stdout
    return process.stderr.strip().splitlines()[-1]
