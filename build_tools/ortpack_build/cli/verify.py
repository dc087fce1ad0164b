"""The command `verify`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import UnsetType

from ortpack_build.base.errors import UsageError, VerificationError, storage_error
from ortpack_build.catalog import host, manifests, spec
from ortpack_build.cli import kit as cli_kit
from ortpack_build.cli import options as cli_options
from ortpack_build.cli.options import Command, add_cache, print_json
from ortpack_build.kit import settings as kit_settings
from ortpack_build.machines import emulation
from ortpack_build.verify import (
    Row,
    Subject,
    Verdict,
    compare,
    holds,
    run_from_c,
    run_installed,
    run_under_wine,
    verify,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ortpack_build.base.context import Context
    from ortpack_build.base.report import Reporter
    from ortpack_build.catalog.model import Catalog, Target


def add_commands(command: Command) -> None:
    """Add it to the command line."""
    text = "Check a wheel: hashes, metadata, what its libraries need and export, and, where it can, by running a model."
    check = command("verify", _verify, text)
    check.add_argument("wheel", type=Path, metavar="WHEEL")
    check.add_argument("--model", type=Path, metavar="M", help="a model to run, fed with zeros (default: a tiny one)")
    check.add_argument(
        "--loader",
        type=Path,
        metavar="WHEEL_OR_DIR",
        help="the loader to run it with: wheel, folder with one, or source tree (default: ortpack from pip's index)",
    )
    check.add_argument("--no-run", action="store_true", help="only look at the wheel, don't install and run it")
    check.add_argument(
        "--compare",
        action="store_true",
        help="hold its library against the official one, and fetch that if need be (a wheel from source always is, if "
        "the cache has the official one)",
    )
    check.add_argument(
        "--emulate", action="store_true", help="install and run it in a root of its target, below an emulator"
    )
    check.add_argument("--json", action="store_true", help="print JSON")
    add_cache(check)


def _verify(options: argparse.Namespace, report: Reporter) -> int:
    for path in (options.wheel, options.model):
        if path is not None and not path.is_file():
            raise UsageError(f"There is no file {path}.")
    catalog = manifests.load(options.variants)
    with tempfile.TemporaryDirectory(prefix="ortpack-verify-", ignore_cleanup_errors=True) as folder:
        libraries, trial_folder, official = (Path(folder) / name for name in ("libraries", "trial", "official"))
        for made in (libraries, trial_folder, official):
            made.mkdir()
        try:
            with report.step(f"Checking {options.wheel.name}"):
                rows = verify(options.wheel, catalog, libraries)
            rows += _compared(options, catalog, rows, official, report)
            rows += _trial(options, catalog, rows, trial_folder, report)
        except OSError as error:
            raise storage_error("A temporary file", Path(folder), error) from error
    if options.json:
        lines = [{"check": row.check, "verdict": str(row.verdict), "detail": row.detail} for row in rows]
        print_json({"wheel": str(options.wheel), "holds": holds(rows), "checks": lines})
    else:
        report.table(("check", "verdict", "detail"), [(row.check, row.verdict, row.detail) for row in rows])
    if not holds(rows):
        failed = ", ".join(row.check for row in rows if row.verdict is Verdict.FAIL)
        raise VerificationError(f"{options.wheel.name} does not hold what it promises: {failed}.")
    return 0


def _compared(
    options: argparse.Namespace, catalog: Catalog, rows: Sequence[Row], folder: Path, report: Reporter
) -> Sequence[Row]:
    """The rows of a comparison with the official library, for what is made from source or where it is asked for."""
    if not holds(rows):
        return []
    subject = Subject(options.wheel, catalog, folder)
    if not options.compare and not isinstance(subject.spec.source, spec.Compiled):
        return []
    cache = cli_options.cache(options, report)
    return compare(subject, folder, cache, report, may_fetch=options.compare)


def _wants_a_root(target: Target) -> bool:
    """Whether programs of a target are run in a root; below wine they are run without, and without being asked."""
    return target.emulator is None or target.name in emulation.load().roots


def _trial(
    options: argparse.Namespace, catalog: Catalog, rows: Sequence[Row], folder: Path, report: Reporter
) -> Sequence[Row]:
    """The rows of installing and running, or one that says why that was left out."""
    why_not = "not asked for" if options.no_run else None
    if why_not is None and not holds(rows):
        why_not = "a check failed, so nothing of it is run"
    if why_not is None:
        subject = Subject(options.wheel, catalog, folder)
        runtime = subject.runtime
        if not isinstance(runtime.kind, UnsetType):
            why_not = f"a wheel of kind {runtime.kind} runs with another one beside it"
    machine = None
    if why_not is None and options.emulate and _wants_a_root(catalog.targets[runtime.target]):
        context = cli_kit.context(options, report)
        target = catalog.targets[runtime.target]
        machine = emulation.machine(target, context.cache, report, environ=context.environ)
        if machine.root.python is None and not subject.package:
            return [_without_python(options, machine, subject, context)]
        if machine.root.python is None:
            why_not = f"an extension module, and there is no Python for {target.name}"
    elif why_not is None:
        why_not = host.detect().why_not(catalog.targets[runtime.target], runtime.platform, catalog.targets)
        if why_not is not None and subject.tag.os == "windows" and not subject.package:
            return [_under_wine(options, catalog, subject, why_not, report)]
    if why_not is not None:
        return [Row(check="run", verdict=Verdict.SKIP, detail=why_not)]
    loader = None if subject.package else run_installed.loader_requirement(options.loader)
    with report.step("Installing and running it in a new environment"):
        # What it needs of the machine may be missing here, but its CPU provider needs nothing.
        device = None if isinstance(runtime.needs, UnsetType) else "cpu"
        return run_installed.run(
            options.wheel,
            runtime.name,
            loader=loader,
            model=options.model,
            scratch=folder,
            device=device,
            machine=machine,
        )


def _without_python(options: argparse.Namespace, machine: emulation.Machine, subject: Subject, context: Context) -> Row:
    """The row of running a library where nothing can be installed."""
    kits, own = kit_settings.load(), host.detect().target(manifests.load(options.variants).targets)
    line = kits.target(subject.runtime.target)
    program = run_from_c.compiled(line.zig_target, kits.tool("zig", own or ""), context.cache, context.report)
    runner = run_from_c.Runner(start=machine.command(program), below=machine.emulator.name)
    with context.report.step(f"Running its library below {runner.below}"):
        return run_from_c.trial(subject, runner, model=options.model, scratch=subject.scratch / "native")


def _under_wine(options: argparse.Namespace, catalog: Catalog, subject: Subject, why_not: str, report: Reporter) -> Row:
    """The row of running a Windows library on another system."""
    emulator = catalog.targets[subject.runtime.target].emulator
    own = host.detect().target(catalog.targets)
    tool = next((line for line in kit_settings.load().tools if (line.name, line.host) == ("zig", own)), None)
    if emulator is None or tool is None:
        return Row(check="run", verdict=Verdict.SKIP, detail=why_not)
    program = run_under_wine.find(emulator)
    if program is None:
        detail = f"not run: no {emulator} ({why_not})"
        return Row(check="run", verdict=Verdict.SKIP, detail=detail)
    cache = cli_options.cache(options, report)
    with report.step("Running its library below wine"):
        return run_under_wine.trial(
            subject, emulator=program, model=options.model, tool=tool, cache=cache, report=report
        )
