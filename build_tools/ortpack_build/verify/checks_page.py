"""The table of all that `verify` reports, as Markdown: docs/reference/checks.md is made of it."""

from __future__ import annotations

from ortpack_build.verify.against_official import OFFICIAL
from ortpack_build.verify.checks import CHECKS
from ortpack_build.verify.row import RUN
from ortpack_build.verify.run_installed import INSTALL

# What follows the checks, where it is asked for or possible.
_AFTER = (
    (
        OFFICIAL,
        "The library has every protection that the official one of the same release has. They are compared with "
        "`--compare`, and for a library from source wherever the cache has the official one.",
        "all of the above",
    ),
    (
        INSTALL,
        "pip installs the wheel, beside the loader if it needs one, in a new environment: on this machine, or with "
        "`--emulate` in a root of its target.",
        "all of the above",
    ),
    (
        RUN,
        "A model runs and, if it is the tiny one, gives the right sum: in that environment, or, where nothing can be "
        "installed, by a program that opens the library from C below an emulator or wine.",
        f"{INSTALL}, if it is installed",
    ),
)


def checks_table() -> str:
    """A Markdown table of all that `verify` reports, in the report's order: its name, what must hold, what it needs."""
    rows = [(check.name, check.title, ", ".join(check.needs) or "nothing") for check in CHECKS]
    lines = [f"| `{name}` | {title} | {needs} |" for name, title, needs in (*rows, *_AFTER)]
    return "\n".join(["| row | what must hold | what it needs |", "| --- | --- | --- |", *lines]) + "\n"
