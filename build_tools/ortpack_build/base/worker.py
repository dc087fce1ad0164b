"""A Python process of its own that takes a request and answers it: what a model brings down is only that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT = 3600  # seconds, for one model
_RESULT = "RESULT "


@dataclass(frozen=True, kw_only=True)
class Reply:
    """How a worker ended.

    Attributes:
        answer: what it said, each text on one line; None if it said nothing.
        code: its exit code; negative if a signal ended it.
        last: the last line of its errors, or its exit code.
    """

    answer: dict[str, Any] | None
    code: int
    last: str


def ask(*program: str, request: Mapping[str, Any], python: Sequence[str] = (sys.executable, "-P")) -> Reply:
    """Run a worker, as arguments for Python, with a request that it reads from its standard input.

    Args:
        program: the worker.
        request: for it.
        python: the command of an interpreter, which must not look for modules in the worker's folder first (-P).

    Raises:
        subprocess.TimeoutExpired: it had no result after TIMEOUT seconds.
    """
    done = subprocess.run(
        [*python, *program],
        check=False,
        input=json.dumps(request),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=TIMEOUT,
        env={key: value for key, value in os.environ.items() if not key.startswith("ORTPACK_")},
    )
    said = next((line for line in reversed(done.stdout.splitlines()) if line.startswith(_RESULT)), None)
    answer: dict[str, Any] | None = None
    if said is not None:
        found = json.loads(said.removeprefix(_RESULT))
        answer = {key: " ".join(value.split()) if isinstance(value, str) else value for key, value in found.items()}
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return Reply(answer=answer, code=done.returncode, last=lines[-1])
