"""What the modules of the command line share."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from ortpack_build.base.cache import Cache
from ortpack_build.base.errors import UsageError
from ortpack_build.catalog import host, spec

if TYPE_CHECKING:
    from ortpack_build.base.report import Reporter
    from ortpack_build.catalog.model import Catalog

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


def add_spec_options(parser: argparse.ArgumentParser, *, many: bool = False) -> None:
    """Add VARIANT, --target and --ort to a sub-command."""
    parser.add_argument("variant", metavar="VARIANT", help="e.g. cpu; `wheel minimal` makes one for some models")
    parser.add_argument(
        "--target",
        action="append",
        metavar="T",
        help="platform to build for (default: this machine's)" + ("; may be repeated, or `all`" if many else ""),
    )
    parser.add_argument("--ort", metavar="V", help="ONNX Runtime release (default: the newest that is pinned)")


def wanted_targets(options: argparse.Namespace, catalog: Catalog) -> list[str]:
    """The targets asked for, each once."""
    asked: list[str] = options.target or []
    if "all" in asked:
        variant = catalog.variants.get(options.variant)
        made = [
            name
            for name in catalog.targets
            if variant and has_release(spec.releases(catalog, variant, name), options.ort)
        ]
        return made or list(catalog.targets)
    if asked:
        return list(dict.fromkeys(asked))
    own = host.detect().target(catalog.targets)
    if own is None:
        machine = host.detect()
        raise UsageError(
            f"There is no target for this machine ({machine.os} {machine.arch} {machine.libc or ''}".rstrip() + ").",
            hint=f"Name one with --target: {', '.join(catalog.targets)}.",
        )
    return [own]


def has_release(releases: Sequence[str], wanted: str | None) -> bool:
    """Whether the wanted release is one of them; any is, if none is wanted."""
    return bool(releases) if wanted is None else wanted in releases


def print_json(value: object) -> None:
    """Print a value as JSON, for people and programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
