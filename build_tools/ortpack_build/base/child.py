"""A child process whose output is read line by line while it runs."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def follow(
    command: Sequence[str],
    on_line: Callable[[str], None],
    *,
    environ: Mapping[str, str] | None = None,
    held: Sequence[int] = (),
) -> int:
    """Run a command to its end; its exit code.

    Should `on_line` raise, or this process be interrupted, the child is ended first.

    Args:
        command: program and arguments.
        on_line: called with each line of what it writes to standard output and error.
        environ: of the process; this process's own if None.
        held: file descriptors that it keeps open.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=environ,
        pass_fds=held,
    ) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            for line in process.stdout:
                on_line(line)
        except BaseException:
            process.terminate()
            raise
    return process.returncode
