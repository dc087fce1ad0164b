"""The options that several commands have, each in one place, and what the commands read out of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_cache_path

from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.base.errors import UsageError
from ortpack_build.catalog import host, spec
from ortpack_build.cli.parser import Needs, Rule
from ortpack_build.products.wheel import Settings, epoch

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence

    from ortpack_build.base.report import Reporter
    from ortpack_build.catalog.model import Catalog, Target
    from ortpack_build.cli.parser import Command

FLAVOURS = ("onnx", "ort")
ALL = "all"  # as a target: each that there is
WITH_TREE = Needs(others=("--tree",), because="it is about a tree of yours")


def add_variants(command: Command) -> None:
    """Add --variants."""
    command.option(
        "--variants",
        type=Path,
        metavar="DIR",
        help="a folder with data files of your own, added to the shipped ones",
    )


def add_cache(command: Command) -> None:
    """Add --cache."""
    command.option(
        "--cache",
        type=Path,
        default=lambda: Path(
            os.environ.get("ORTPACK_BUILD_CACHE") or user_cache_path("ortpack-build", appauthor=False)
        ),
        metavar="DIR",
        help="where fetched and made things are kept (default: $ORTPACK_BUILD_CACHE or {default})",
    )


def add_out(command: Command, what: str = "wheels go") -> None:
    """Add --out, the folder where something is put."""
    command.option("--out", type=Path, default=Path("dist"), metavar="DIR", help=f"where {what} (default: {{default}})")


def add_jobs(
    command: Command, what: str = "compilers at once", *, rules: Iterable[Rule] = (), group: str | None = None
) -> None:
    """Add --jobs."""
    command.option(
        "--jobs",
        type=int,
        default=lambda: os.cpu_count() or 1,
        metavar="N",
        rules=rules,
        group=group,
        help=f"{what} (default: {{default}})",
    )


def add_json(command: Command, *, rules: Iterable[Rule] = (), text: str = "print JSON") -> None:
    """Add --json."""
    command.option("--json", action="store_true", default=False, rules=rules, help=text)


def add_target(command: Command, what: str = "build for", *, many: bool = False) -> None:
    """Add --target, which may be repeated if the command does `many`."""
    repeated: dict[str, Any] = {"action": "append"} if many else {}
    more = f"; may be repeated, or `{ALL}`" if many else ""
    command.option(
        "--target", metavar="T", help=f"platform to {what} (default: this machine's){more}", default=None, **repeated
    )


def add_ort(command: Command, default: str) -> None:
    """Add --ort; `default` says in words which release it is if it is not given."""
    command.option("--ort", metavar="V", help=f"ONNX Runtime release (default: {default})")


def add_build_number(command: Command, *rules: Rule) -> None:
    """Add --build-number."""
    command.option(
        "--build-number", metavar="N", rules=rules, help="build number of the wheel, when a release is packed again"
    )


def add_flavour(command: Command, *, rules: Iterable[Rule] = (), group: str | None = None) -> None:
    """Add --flavour."""
    command.option(
        "--flavour",
        choices=FLAVOURS,
        default="onnx",
        rules=rules,
        group=group,
        help="of the runtime: `onnx` loads .onnx models and optimizes them, `ort` is smaller and loads converted "
        "models only (default: {default})",
    )


def add_sources(command: Command, *, rules: Iterable[Rule] = (), group: str | None = None) -> None:
    """Add the options that say where sources come from."""
    command.option(
        "--sources",
        default="auto",
        metavar="S",
        rules=rules,
        group=group,
        help="where sources come from: auto, debian or upstream (default: {default})",
    )
    command.option("--tree", type=Path, metavar="DIR", rules=rules, group=group, help="an onnxruntime tree of your own")
    command.option(
        "--modified",
        action="store_true",
        default=False,
        rules=(*rules, WITH_TREE),
        group=group,
        help="let the tree of --tree differ from the release",
    )
    command.refuse("--source", "--source is called --tree now.")


def add_files(command: Command, flag: str, metavar: str, text: str, *, rules: Iterable[Rule] = ()) -> None:
    """Add an option that takes several files and may be repeated."""
    command.option(flag, action="append", nargs="+", default=(), type=Path, metavar=metavar, rules=rules, help=text)


def flat(groups: Sequence[Sequence[Path]]) -> tuple[Path, ...]:
    """The files of an option that takes several and may be repeated."""
    return tuple(path for group in groups for path in group)


def jobs(options: argparse.Namespace) -> int:
    """The number of --jobs.

    Raises:
        UsageError: it is less than one.
    """
    count: int = options.jobs
    if count < 1:
        raise UsageError(f"--jobs {count} is no number of jobs.", hint="It is 1 or more.")
    return count


def cache(options: argparse.Namespace, report: Reporter) -> Cache:
    """The cache of --cache."""
    # Absolute: compilers run in other folders.
    return Cache(
        root=options.cache.absolute(), on_wait=lambda name: report.note(f"Waiting for another build of {name}")
    )


def context(options: argparse.Namespace, report: Reporter) -> Context:
    """Cache, reporter, environment, and the folder of --variants where the command has it."""
    own = getattr(options, "variants", None)
    return Context(cache=cache(options, report), report=report, environ=dict(os.environ), variants=own)


def settings(options: argparse.Namespace, report: Reporter) -> Settings:
    """What a wheel is built with."""
    return Settings(
        out=options.out,
        context=context(options, report),
        epoch=epoch(os.environ),
        build_number=options.build_number,
    )


def target(asked: str | None, targets: Mapping[str, Target]) -> str:
    """The target that was asked for, or this machine's.

    Raises:
        UsageError: none was asked for, and this machine is of none.
    """
    if asked is not None:
        return asked
    machine = host.detect()
    own = machine.target(targets)
    if own is None:
        raise UsageError(
            f"There is no target for this machine ({machine.os} {machine.arch} {machine.libc or ''}".rstrip() + ").",
            hint=f"Name one with --target: {', '.join(targets)}.",
        )
    return own


def targets(options: argparse.Namespace, catalog: Catalog) -> list[str]:
    """The targets that were asked for, each once; of `all` those that the variant is made for.

    Raises:
        UsageError: none was asked for, and this machine is of none.
    """
    asked: list[str] = options.target or [target(None, catalog.targets)]
    if ALL not in asked:
        return list(dict.fromkeys(asked))
    variant = catalog.variants.get(options.variant)
    made = [
        name for name in catalog.targets if variant and _released(spec.releases(catalog, variant, name), options.ort)
    ]
    return made or list(catalog.targets)


def _released(releases: Sequence[str], wanted: str | None) -> bool:
    return bool(releases) if wanted is None else wanted in releases


def print_json(value: object) -> None:
    """Print a value as JSON, for people and programs."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
