"""What the modules of the command line share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from ortpack_build.base.cache import Cache

if TYPE_CHECKING:
    from ortpack_build.base.report import Reporter

Command = Callable[[str, object, str], argparse.ArgumentParser]
"""Makes a sub-command of a name, a function to run and a help text."""


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Add --cache to a sub-command."""
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(os.environ.get("ORTPACK_BUILD_CACHE") or user_cache_path("ortpack-build", appauthor=False)),
        metavar="DIR",
        help="where fetched and made things are kept (default: $ORTPACK_BUILD_CACHE or %(default)s)",
    )


def cache(options: argparse.Namespace, report: Reporter) -> Cache:
    """The cache of --cache."""
    # Absolute: compilers run in other folders.
    return Cache(
        root=options.cache.absolute(), on_wait=lambda name: report.note(f"Waiting for another build of {name}")
    )
