"""Runs other programs: to their end, line by line, or to be asked a question.

Whatever they write is read as UTF-8, and bytes that are none become replacement characters.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ortpack_build.base.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

WORKER_TIMEOUT = 3600  # seconds, for one model
# What a worker answers with: the last line of its output that begins so, and JSON behind it. The workers themselves
# (ops/_optimize.py, proof/worker.py, the script of verify/run_installed.py) spell it out: they run where this package
# can't be imported.
_RESULT = "RESULT "


class OverdueError(ToolError):
    """A program that was ended because it took too long."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a program ended.

    Attributes:
        code: its exit code; negative if a signal ended it.
        output, errors: what it wrote.
    """

    code: int
    output: str
    errors: str


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


def run(
    command: Sequence[str | Path],
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    given: str | None = None,
    timeout: float | None = None,
    log: Path | None = None,
    held: Sequence[int] = (),
) -> Finished:
    """Run a command to its end.

    Args:
        command: program and arguments.
        environ: of the process; this process's own if None.
        cwd: folder that it runs in; the current one if None.
        given: what it reads from standard input, which is empty if None.
        timeout: seconds until it is ended; none if None.
        log: file that takes all that it writes; `output` and `errors` are empty then. Should this process be killed,
            the program still has somewhere to write to, and goes on.
        held: file descriptors that it keeps open.

    Raises:
        ToolError: it can't be started.
        OverdueError: it was ended after `timeout`.
        OSError: `log` can't be written.
    """
    with ExitStack() as stack:
        target: Any = stack.enter_context(log.open("wb")) if log else subprocess.PIPE
        try:
            done = subprocess.run(
                command,
                env=None if environ is None else dict(environ),
                cwd=cwd,
                input=given,
                stdin=subprocess.DEVNULL if given is None else None,
                stdout=target,
                stderr=target,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                check=False,
                pass_fds=held,
            )
        except subprocess.TimeoutExpired as error:
            raise OverdueError(f"{command[0]} did not end in {timeout:.0f} s.") from error
        except OSError as error:
            raise ToolError(f"{command[0]} did not run: {error.strerror or error}.") from error
    return Finished(code=done.returncode, output=done.stdout or "", errors=done.stderr or "")


def follow(
    command: Sequence[str],
    on_line: Callable[[str], None],
    *,
    environ: Mapping[str, str] | None = None,
    held: Sequence[int] = (),
) -> int:
    """Run a command to its end and read along; its exit code.

    Should `on_line` raise, or this process be interrupted, the program is ended first.

    Args:
        command: program and arguments.
        on_line: called with each line of what it writes to standard output and error.
        environ: of the process; this process's own if None.
        held: file descriptors that it keeps open.

    Raises:
        ToolError: it can't be started.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=None if environ is None else dict(environ),
            pass_fds=held,
        )
    except OSError as error:
        raise ToolError(f"{command[0]} did not run: {error.strerror or error}.") from error
    with process:
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            for line in process.stdout:
                on_line(line)
        except BaseException:
            process.terminate()
            raise
    return process.returncode


def ask(*program: str, request: Mapping[str, Any], python: Sequence[str] = (sys.executable, "-P")) -> Reply:
    """Run a worker: a Python process of its own, so that a model that brings it down brings nothing else down.

    It reads the request, in JSON, from its standard input, and answers with a line `RESULT {…}`. No variable that
    configures ortpack reaches it.

    Args:
        program: the worker, as arguments for Python.
        request: for it.
        python: the command of an interpreter, which must not look for modules in the worker's folder first (-P).

    Raises:
        ToolError: the interpreter can't be started.
        OverdueError: the worker had no result after WORKER_TIMEOUT seconds.
    """
    done = run(
        [*python, *program],
        given=json.dumps(request),
        timeout=WORKER_TIMEOUT,
        environ={key: value for key, value in os.environ.items() if not key.startswith("ORTPACK_")},
    )
    answer = result(done.output)
    if answer is not None:
        answer = {key: " ".join(value.split()) if isinstance(value, str) else value for key, value in answer.items()}
    lines = done.errors.strip().splitlines() or [f"exit code {done.code}"]
    return Reply(answer=answer, code=done.code, last=lines[-1])


def result(output: str) -> dict[str, Any] | None:
    """Find a worker's answer in all that it wrote to standard output; None if it gave none."""
    said = next((line for line in reversed(output.splitlines()) if line.startswith(_RESULT)), None)
    if said is None:
        return None
    answer: dict[str, Any] = json.loads(said.removeprefix(_RESULT))
    return answer
