"""The command `ortpack-build`: the only place that reads the environment and writes to the terminal.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UnsetType

from ortpack_build import __version__
from ortpack_build.base.errors import BuildError, UsageError, VerificationError, storage_error
from ortpack_build.base.report import Reporter
from ortpack_build.catalog import host, manifests, spec
from ortpack_build.cli import explain, maintain
from ortpack_build.cli import kit as cli_kit
from ortpack_build.cli import minimal as cli_minimal
from ortpack_build.cli import ops as cli_ops
from ortpack_build.cli import options as cli_common
from ortpack_build.cli import targets as cli_cross
from ortpack_build.kit import settings as kit_settings
from ortpack_build.machines import emulation
from ortpack_build.products import minimal as minimal_product
from ortpack_build.products.wheel import Settings, build, build_from_source, epoch
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
    from collections.abc import Mapping, Sequence

    from ortpack_build.base.context import Context
    from ortpack_build.catalog.manifests import Catalog, Target

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is that of the error's class."""
    options = _parser().parse_args(arguments)
    report = Reporter()
    try:
        code: int = options.run(options, report)
        sys.stdout.flush()
    except BuildError as error:
        report.error(error.paragraph())
        return error.exit_code
    except KeyboardInterrupt:
        report.error("Interrupted. Nothing half-written was kept; the same command starts again.")
        return _INTERRUPTED
    except BrokenPipeError:  # e.g. `ortpack-build list | head -1`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the last flush fails loudly
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ortpack-build",
        description="Build verified wheels of ONNX Runtime from manifests. Results go to standard output, "
        "everything else to standard error.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text[0].lower() + text[1:].rstrip("."), description=text)
        sub.set_defaults(run=run)
        sub.add_argument(
            "--variants", type=Path, metavar="DIR", help="a folder with manifests of your own, added to the shipped"
        )
        return sub

    listing = command("list", _list, "List variants, targets and origins, and what this machine can build and run.")
    listing.add_argument("--json", action="store_true", help="print JSON")

    show = command("show", _show, "Print the resolved spec of a variant as JSON, with its content hash.")
    _add_spec_options(show)

    wheel = command("wheel", _wheel, "Build the wheel of a variant. The last lines printed are the wheels' paths.")
    _add_spec_options(wheel, many=True)
    wheel.add_argument("--out", type=Path, default=Path("dist"), metavar="DIR", help="where wheels go (default: dist)")
    wheel.add_argument(
        "--origin",
        choices=("prebuilt", "source"),
        default="prebuilt",
        help="take official binaries apart, or compile ONNX Runtime (default: prebuilt)",
    )
    cli_kit.add_wheel_options(wheel)
    cli_minimal.add_options(wheel)
    wheel.add_argument("--build-number", metavar="N", help="build number of the wheel, when a release is packed again")
    cli_common.add_cache(wheel)

    maintain.add_commands(command)
    cli_kit.add_commands(command)
    cli_ops.add_commands(command)
    explain.add_commands(command)
    cli_cross.add_commands(command)

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
    cli_common.add_cache(check)

    text = "Print the JSON schema of the manifests, or with --write put it into schema.json."
    schema = command("schema", _schema, text)
    schema.add_argument("--write", action="store_true", help="write schema.json into --variants (or the checkout's)")
    return parser


def _add_spec_options(parser: argparse.ArgumentParser, *, many: bool = False) -> None:
    parser.add_argument("variant", metavar="VARIANT", help="e.g. cpu; `wheel minimal` makes one for some models")
    parser.add_argument(
        "--target",
        action="append",
        metavar="T",
        help="platform to build for (default: this machine's)" + ("; may be repeated, or `all`" if many else ""),
    )
    parser.add_argument("--ort", metavar="V", help="ONNX Runtime release (default: the newest that is pinned)")


def _targets(options: argparse.Namespace, catalog: Catalog) -> list[str]:
    """The targets asked for, each once."""
    asked: list[str] = options.target or []
    if "all" in asked:
        variant = catalog.variants.get(options.variant)
        made = [
            name for name in catalog.targets if variant and _has(spec.releases(catalog, variant, name), options.ort)
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


def _has(releases: Sequence[str], wanted: str | None) -> bool:
    return bool(releases) if wanted is None else wanted in releases


def _list(options: argparse.Namespace, report: Reporter) -> int:
    catalog = manifests.load(options.variants)
    machine = host.detect()
    rows: list[dict[str, object]] = []
    for variant in catalog.variants.values():
        for target in catalog.targets.values():
            for release in spec.releases(catalog, variant, target.name):
                resolved = spec.resolve(catalog, variant.name, target.name, release)
                why_not = machine.why_not(target, resolved.platform, catalog.targets)
                rows.append(
                    {
                        "variant": variant.name,
                        "target": target.name,
                        "ort": release,
                        "origin": "prebuilt",
                        "tag": resolved.tag,
                        "builds_here": True,  # a wheel is taken apart alike on every machine
                        "runs_here": why_not is None,
                        "why_not": why_not,
                        "spec": resolved.digest,
                    }
                )
    rows += cli_kit.listing(catalog)
    if options.json:
        _print_json(rows)
        return 0
    columns = ("variant", "target", "ort", "origin", "flavour", "tag", "builds here", "runs here")
    report.table(columns, [_cells(row) for row in rows])
    return 0


def _cells(row: Mapping[str, Any]) -> list[str]:
    built = row.get("why_not_built") or ("yes" if row.get("proven", True) else "never tried")
    named = [row["variant"], row["target"], row["ort"], row["origin"], row.get("flavour", ""), row["tag"]]
    return [*map(str, named), built, row["why_not"] or "yes"]


def _show(options: argparse.Namespace, _report: Reporter) -> int:
    catalog = manifests.load(options.variants)
    for target in _targets(options, catalog):
        resolved = spec.resolve(catalog, options.variant, target, options.ort)
        _print_json({"sha256": resolved.digest, "spec": msgspec.to_builtins(resolved)})
    return 0


def _wheel(options: argparse.Namespace, report: Reporter) -> int:
    catalog = manifests.load(options.variants)
    settings = Settings(
        out=options.out,
        cache=cli_common.cache(options, report),
        report=report,
        epoch=epoch(os.environ),
        build_number=options.build_number,
    )
    targets = _targets(options, catalog)
    if options.variant == minimal_product.VARIANT:
        made = cli_minimal.build(options, targets, catalog, settings)
        for path in (*made.models, made.path):
            print(path)
        return 0
    if extra := cli_minimal.given(options):
        raise UsageError(f"{extra[0]} is an option of `wheel minimal` only.")
    if options.origin != "source" and (options.linkage == "static" or options.embed):
        raise UsageError("Official binaries can't be linked statically.", hint="Add --origin source.")
    if options.embed and options.linkage != "static":
        raise UsageError("--embed makes an extension module.", hint="Add --linkage static.")
    if options.origin == "source":
        wheels = [
            build_from_source(
                catalog,
                options.variant,
                cli_kit.request(options, target),
                cli_kit.context(options, report),
                settings,
            )
            for target in targets
        ]
    else:
        specs = [spec.resolve(catalog, options.variant, target, options.ort) for target in targets]
        wheels = [build(resolved, settings) for resolved in specs]
    for built in wheels:
        print(built.path)
    return 0


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
        _print_json({"wheel": str(options.wheel), "holds": holds(rows), "checks": lines})
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
    cache = cli_common.cache(options, report)
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
    cache = cli_common.cache(options, report)
    with report.step("Running its library below wine"):
        return run_under_wine.trial(
            subject, emulator=program, model=options.model, tool=tool, cache=cache, report=report
        )


def _schema(options: argparse.Namespace, report: Reporter) -> int:
    text = manifests.schema()
    if not options.write:
        print(text, end="")
        return 0
    maintain.write((options.variants or manifests.shipped_folder()) / "schema.json", text, report)
    return 0


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))
