"""The command `explain`."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ortpack_build import sizes
from ortpack_build.base.archive import safe_path
from ortpack_build.base.errors import ArchiveError, KitError, UsageError
from ortpack_build.base.hashing import sha256_of
from ortpack_build.bundle.runtime_json import NAME, RuntimeJson, parse
from ortpack_build.cli import options as common
from ortpack_build.cli.parser import Example, NotWith

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from ortpack_build.base.report import Reporter
    from ortpack_build.cli.parser import Commands
    from ortpack_build.sizes import Row, Sizes

_WIDTH = 60  # of names of operators
_NO_MAP = "{} does not say how its library was linked: only wheels from source do."


def add_commands(commands: Commands) -> None:
    """Add it to the command line."""
    explain = commands.add(
        "explain",
        _explain,
        "Say what a library's bytes are: by subsystem and by operator, or, where its link is not known, by section.",
        [
            Example(line="ortpack-build explain dist/ortpack_cpu-1.32.0-py3-none-manylinux_2_28_x86_64.whl"),
            Example(line="ortpack-build explain dist/ortpack_cpu-1.32.0-py3-none-manylinux_2_28_x86_64.whl --json"),
        ],
    )
    explain.argument(
        "file", type=Path, metavar="WHEEL_OR_LIBRARY", help="a wheel, a runtime's folder, or a library (best in one)"
    )
    explain.option(
        "--top",
        type=int,
        default=30,
        metavar="N",
        rules=(NotWith(other="--json", because="JSON has all operators"),),
        help="so many operators, 0 for all (default: {default})",
    )
    common.add_json(explain, text="print JSON, all of it")


def _explain(options: argparse.Namespace, report: Reporter) -> int:
    found, known = _read(options.file)
    if not known:
        report.note(_NO_MAP.format(options.file.name))
    kernels = [row for row in found.rows if row.operators]
    if options.json:
        text = {"library": found.library, "sha256": found.sha256, "size": found.size, "from_map": known}
        text["subsystems"] = [_plain(row) for row in _by_subsystem(found.rows)]
        text["operators"] = [_plain(row) for row in kernels]
        print(json.dumps(text, indent=2, ensure_ascii=False))
        return 0
    rows = [_cells(row.subsystem, row, found.size) for row in _by_subsystem(found.rows)]
    _table(report, "subsystem" if known else "section", [*rows, _cells("all", _sum(found.rows), 0)])
    if kernels:
        shown = kernels[: options.top] if options.top > 0 else kernels
        lines = [_cells(_names(row), row, found.size) for row in shown]
        if rest := kernels[len(shown) :]:
            lines.append(_cells(f"{len(rest)} more", _sum(rest), found.size))
        if alone := [row for row in found.rows if row.subsystem == kernels[0].subsystem and not row.operators]:
            lines.append(_cells("shared by all", _sum(alone), found.size))
        print()
        _table(report, f"{kernels[0].subsystem} of", lines)
    return 0


def _table(report: Reporter, title: str, rows: Sequence[Sequence[str]]) -> None:
    """Names, and numbers that stand right."""
    lines = [(title, "code", "data", "unwinding", "bytes", "share"), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    name, *numbers = widths
    cells = [[line[0].ljust(name), *map(str.rjust, line[1:], numbers)] for line in lines]
    report.table(cells[0], cells[1:])


def _read(path: Path) -> tuple[Sizes, bool]:
    """The rows, and whether they are from the map of the link.

    Raises:
        UsageError: there is no such file, or no library in it.
        KitError: what the wheel says of its library is damaged, or of another library.
        ArchiveError: the wheel is damaged.
        BinaryError: the file is no library.
    """
    if not path.exists():
        raise UsageError(f"There is no file {path}.")
    with tempfile.TemporaryDirectory(prefix="ortpack-explain-", ignore_cleanup_errors=True) as scratch:
        library = _library(path, Path(scratch))
        beside = library.parent / sizes.NAME
        if not beside.is_file():
            return sizes.of_sections(library), False
        found = sizes.parse(beside.read_bytes(), str(path / sizes.NAME if path.is_dir() else path))
        if found.library != library.name or found.sha256 != sha256_of(library):
            raise KitError(f"{sizes.NAME} is about another library than {library.name} of {path}: one was exchanged.")
        return found, True


def _library(path: Path, scratch: Path) -> Path:
    """The library's file: itself, that of a runtime's folder, or unpacked from a wheel."""
    if path.is_dir():
        return path / _runtimes_library(path / NAME, (path / NAME).read_bytes() if (path / NAME).is_file() else None)
    if path.suffix != ".whl":
        return path
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.rpartition("/")[2] == NAME]
            if len(names) != 1:
                raise UsageError(f"{path} is no wheel of a runtime: it has {len(names) or 'no'} {NAME}.")
            folder = names[0].removesuffix(NAME)
            library = str(safe_path(_runtimes_library(path, archive.read(names[0]))))
            if folder + library not in archive.namelist():
                raise ArchiveError(f"{path} lacks its library, {folder}{library}.")
            for name in (library, sizes.NAME):
                if folder + name in archive.namelist():
                    (scratch / Path(name).name).write_bytes(archive.read(folder + name))
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise ArchiveError(f"{path} is no sound wheel: {error}.") from error
    return scratch / Path(library).name


def _runtimes_library(where: Path, data: bytes | None) -> str:
    if data is None:
        raise UsageError(f"{where} does not exist.", hint="Name a wheel, a runtime's folder, or a library.")
    try:
        runtime: RuntimeJson = parse(data)
    except ValueError as error:
        raise UsageError(f"{NAME} of {where} can't be read: {error}.") from error
    if isinstance(runtime.library, msgspec.UnsetType):
        raise UsageError(f"{where} has no library of its own: it is one of kind {runtime.kind}.")
    return runtime.library


def _by_subsystem(rows: Iterable[Row]) -> list[Row]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.subsystem].append(row)
    return sorted((_sum(group, name) for name, group in groups.items()), key=lambda row: -row.size)


def _sum(rows: Sequence[Row], name: str = "") -> Row:
    code, data, unwinding = (sum(getattr(row, column) for row in rows) for column in ("code", "data", "unwinding"))
    return sizes.Row(subsystem=name, code=code, data=data, unwinding=unwinding)


def _plain(row: Row) -> dict[str, object]:
    names = {"operators": list(row.operators)} if row.operators else {"subsystem": row.subsystem}
    return {**names, "code": row.code, "data": row.data, "unwinding": row.unwinding, "bytes": row.size}


def _cells(name: str, row: Row, whole: int) -> list[str]:
    numbers = [f"{number:,}" if number else "" for number in (row.code, row.data, row.unwinding)]
    return [name, *numbers, f"{row.size:,}", f"{row.size / whole:.1%}" if whole else ""]


def _names(row: Row) -> str:
    """All operators, or the first few and how many more."""
    text = ", ".join(row.operators)
    if len(text) <= _WIDTH:
        return text
    shown = 1
    while len(", ".join(row.operators[: shown + 1])) < _WIDTH - 12:
        shown += 1
    return f"{', '.join(row.operators[:shown])} and {len(row.operators) - shown} more"
