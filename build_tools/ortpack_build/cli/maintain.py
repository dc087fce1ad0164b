"""The commands about all variants at once: `wheels`, `extras`, `served`, `docs` and `schema`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.base.data_file import shipped_folder
from ortpack_build.base.errors import ManifestError, UsageError, nearest, storage_error
from ortpack_build.catalog import extras, manifests, served_devices
from ortpack_build.cli import options as common
from ortpack_build.cli.parser import Example, Needs
from ortpack_build.products import wheels as wheel_set
from ortpack_build.products.wheel import Settings, build, epoch
from ortpack_build.reference import pages, schemas
from ortpack_build.reference.data_files import data_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ortpack_build.base.report import Reporter
    from ortpack_build.bundle.wheel import Wheel
    from ortpack_build.catalog.spec import Spec
    from ortpack_build.cli.parser import Commands
    from ortpack_build.products.wheels import SizeRow


def add_commands(commands: Commands) -> None:
    """Add them to the command line."""
    _add_wheels(commands)

    text = "Check the extras of the loader's pyproject.toml against the manifests, or with --write put them right."
    sub = commands.add(
        "extras",
        _extras,
        text,
        [
            Example(line="ortpack-build extras pyproject.toml"),
            Example(line="ortpack-build extras pyproject.toml --write"),
        ],
    )
    sub.argument("file", type=Path, metavar="PYPROJECT", help="the loader's pyproject.toml")
    common.add_variants(sub)
    sub.option("--write", action="store_true", default=False, help="write them")

    text = "Check the loader's table of devices and variants against the manifests, or with --write put it right."
    sub = commands.add(
        "served",
        _served,
        text,
        [
            Example(line="ortpack-build served src/ortpack/_served.py"),
            Example(line="ortpack-build served src/ortpack/_served.py --write"),
        ],
    )
    sub.argument("file", type=Path, metavar="FILE", help="the loader's src/ortpack/_served.py")
    common.add_variants(sub)
    sub.option("--write", action="store_true", default=False, help="write it")
    _add_generated(commands)


def _add_generated(commands: Commands) -> None:
    text = "Print a generated page of docs/, or with --write put it there, or all of them."
    docs = commands.add(
        "docs",
        _docs,
        text,
        [
            Example(line="ortpack-build docs"),
            Example(line="ortpack-build docs kits"),
            Example(line="ortpack-build docs variants --write --folder docs"),
        ],
    )
    docs.argument("name", nargs="?", metavar="NAME", help="the page: variants (the default), reference, kits, …")
    common.add_variants(docs)
    docs.option("--write", action="store_true", default=False, help="write it; without NAME every page")
    docs.option(
        "--folder",
        type=Path,
        default=Path("docs"),
        metavar="DIR",
        rules=(Needs(others=("--write",), because="a page that is printed goes nowhere"),),
        help="where (default: {default})",
    )

    text = (
        "Print the JSON schema of a kind of data file, of all manifests if none is named; or with --write put it, or "
        "all of them, into the folder of the data."
    )
    schema = commands.add(
        "schema",
        _schema,
        text,
        [
            Example(line="ortpack-build schema"),
            Example(line="ortpack-build schema kits"),
            Example(line="ortpack-build schema --write --variants manifests"),
        ],
    )
    schema.argument("name", nargs="?", metavar="NAME", help="the kind, e.g. kits")
    schema.option("--write", action="store_true", default=False, help="write into the folder of the data")
    written = Needs(others=("--write",), because="a schema is the same for all manifests")
    schema.option(
        "--variants", type=Path, metavar="DIR", rules=(written,), help="that folder (default: the checkout's)"
    )


def _add_wheels(commands: Commands) -> None:
    text = (
        "Build the wheels of many variants, in parallel, from the newest official release of each. Prints a table of "
        "their sizes beside those of the official files."
    )
    wheels = commands.add(
        "wheels",
        _wheels,
        text,
        [
            Example(line="ortpack-build wheels arm64 --target linux-aarch64"),
            Example(line="ortpack-build wheels cpu openvino --out wheels --json", costly="fetches official wheels"),
            Example(line="ortpack-build wheels --all", costly="fetches all official wheels"),
        ],
    )
    wheels.argument("names", nargs="*", metavar="VARIANT", help="e.g. cpu openvino")
    common.add_variants(wheels)
    wheels.option("--all", action="store_true", default=False, dest="every", help="every variant")
    wheels.option(
        "--target", action="append", default=None, metavar="T", help="only for this platform; may be repeated"
    )
    common.add_out(wheels)
    common.add_jobs(wheels, "wheels at once")
    common.add_json(wheels)
    common.add_cache(wheels)
    wheels.refuse("--origin", "`wheels` takes official binaries and nothing else: leave --origin out.")


def write(path: Path, text: str, report: Reporter) -> None:
    """Write a generated file.

    Raises:
        StorageError: it can't be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise storage_error("The file", path, error) from error
    report.note(f"Wrote {path}")


def _wheels(options: argparse.Namespace, report: Reporter) -> int:
    catalog = manifests.load(options.variants)
    if bool(options.names) == options.every:
        raise UsageError("Name the variants, or say --all.", hint=f"There are {', '.join(catalog.variants)}.")
    jobs = common.jobs(options)
    cache = Cache(root=options.cache, on_wait=lambda _name: None)  # of two that share an official wheel
    settings = Settings(
        out=options.out,
        context=Context(cache=cache, report=report, environ=dict(os.environ), variants=options.variants),
        epoch=epoch(os.environ),
    )
    specs = wheel_set.choose(catalog, list(dict.fromkeys(options.names)) or list(catalog.variants), options.target)
    if not specs:
        raise UsageError(f"None of {', '.join(options.names or catalog.variants)} is made for that target.")

    def one(spec: Spec, reporter: Reporter) -> Wheel:
        return build(spec, replace(settings, context=replace(settings.context, report=reporter)))

    outcomes = wheel_set.make(specs, one, report, jobs=jobs)
    rows = wheel_set.sizes(catalog, outcomes)
    made = [outcome.wheel.path for outcome in outcomes if outcome.wheel is not None]
    if options.json:
        lines = [{**asdict(row), "ratio": row.ratio} for row in rows]
        print(json.dumps({"wheels": [str(path) for path in made], "sizes": lines}, indent=2))
    else:
        report.table(("variant", "release", "wheels", "MB", "official", "wheels", "MB", "ratio"), _cells(rows))
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if failed:
        first = failed[0].error
        assert first is not None  # noqa: S101 - that is how they were chosen
        names = ", ".join(f"{outcome.spec.variant} for {outcome.spec.target}" for outcome in failed)
        raise type(first)(f"{len(failed)} of {len(outcomes)} wheels could not be made: {names}.")
    return 0


def _cells(rows: Sequence[SizeRow]) -> list[list[str]]:
    return [
        [
            row.variant,
            row.version,
            str(row.wheels),
            f"{row.size / 1e6:.2f}",
            row.official,
            str(row.official_wheels or ""),
            f"{row.official_size / 1e6:.1f}" if row.official_size else "",
            f"{row.ratio:.3f}" if row.ratio is not None else "",
        ]
        for row in rows
    ]


def _extras(options: argparse.Namespace, report: Reporter) -> int:
    catalog = manifests.load(options.variants)
    text = _read(options.file)
    _bring_up_to_date(options, text, extras.replaced(text, extras.extras(catalog)), "extras", report)
    return 0


def _served(options: argparse.Namespace, report: Reporter) -> int:
    catalog = manifests.load(options.variants)
    text = "" if options.write else _read(options.file)
    _bring_up_to_date(options, text, served_devices.module(catalog), "served", report)
    return 0


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} can't be read: {error}.") from error


def _bring_up_to_date(options: argparse.Namespace, text: str, current: str, command: str, report: Reporter) -> None:
    """Write what a file should be, or raise ManifestError if it is not."""
    if options.write:
        write(options.file, current, report)
    elif current != text:
        raise ManifestError(
            f"{options.file} is not what the manifests say.",
            hint=f"`ortpack-build {command} {options.file} --write` puts it right.",
        )


def _docs(options: argparse.Namespace, report: Reporter) -> int:
    found = pages.pages(manifests.load(options.variants))
    if options.name is not None and options.name not in found:
        raise UsageError(f"There is no generated page {options.name!r}.", hint=nearest(options.name, found))
    if not options.write:
        print(found[options.name or "variants"].text, end="")
        return 0
    if not options.folder.is_dir():
        raise UsageError(f"There is no folder {options.folder}.", hint="Name the folder of the pages with --folder.")
    for page in [found[options.name]] if options.name else found.values():
        _write_below(options.folder, page.file, page.text, report)
    return 0


def _schema(options: argparse.Namespace, report: Reporter) -> int:
    folder = options.variants or shipped_folder()
    if not options.write:
        print(schemas.of(data_file(options.name)) if options.name else schemas.manifests(), end="")
        return 0
    if options.name:
        _write_below(folder, f"schemas/{options.name}.json", schemas.of(data_file(options.name)), report)
        return 0
    for name, text in schemas.files().items():
        _write_below(folder, name, text, report)
    return 0


def _write_below(folder: Path, name: str, text: str, report: Reporter) -> None:
    """Write a generated file below a folder that is there; that one has no more than one folder of its own."""
    if "/" in name and folder.is_dir():
        try:
            (folder / name).parent.mkdir(exist_ok=True)
        except OSError as error:
            raise storage_error("The folder", (folder / name).parent, error) from error
    write(folder / name, text, report)
