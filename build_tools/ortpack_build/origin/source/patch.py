"""Applies unified diffs to a folder, without help from programs that a machine may lack.

Upstream applies its patches with `patch --ignore-whitespace`, whose habits these are: a hunk may have moved, a line
may differ in its blanks, and up to two lines at either end of a hunk's context may differ altogether.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ortpack_build.base.archive import safe_path
from ortpack_build.base.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_FUZZ = 2


@dataclass(frozen=True, kw_only=True)
class Hunk:
    """A run of changed lines: each line with its sign, `" "`, `"-"` or `"+"`; `start` counts from 1."""

    start: int
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class FilePatch:
    """The changes to one file, named relative to the folder."""

    name: str
    hunks: tuple[Hunk, ...]


def parse(text: str, *, where: str) -> tuple[FilePatch, ...]:
    """Read the changes of a patch whose file names have one leading folder (`a/`, `b/`).

    Raises:
        SourceError: it is not a patch that changes existing files.
    """
    files: list[FilePatch] = []
    lines = text.replace("\r\n", "\n").split("\n")
    index = 0
    while index < len(lines):
        if not (lines[index].startswith("--- ") and lines[index + 1 : index + 2]):
            index += 1
            continue
        old, new = (line[4:].split("\t")[0].strip() for line in lines[index : index + 2])
        if "/dev/null" in (old, new) or old.partition("/")[2] != new.partition("/")[2]:
            raise SourceError(f"{where}: only changes to existing files are understood, not {old} → {new}.")
        index += 2
        hunks: list[Hunk] = []
        while index < len(lines) and (header := _HUNK.match(lines[index])):
            body, index = _body(lines, index + 1, header, where)
            hunks.append(Hunk(start=int(header[1]), lines=body))
        files.append(FilePatch(name=str(safe_path(new.partition("/")[2])), hunks=tuple(hunks)))
    if not any(file.hunks for file in files):
        raise SourceError(f"{where}: is no patch.")
    return tuple(files)


def _body(lines: list[str], index: int, header: re.Match[str], where: str) -> tuple[tuple[tuple[str, str], ...], int]:
    old, new = int(header[2] or 1), int(header[4] or 1)
    body: list[tuple[str, str]] = []
    while old > 0 or new > 0:
        line = lines[index] if index < len(lines) else "?"
        sign = line[:1] or " "  # a blank context line whose space an editor has taken off
        if sign not in " +-":
            raise SourceError(f"{where}: a hunk is shorter than its header says.")
        old -= sign != "+"
        new -= sign != "-"
        body.append((sign, line[1:]))
        index += 1
    while index < len(lines) and lines[index].startswith("\\"):  # "No newline at end of file"
        index += 1
    return tuple(body), index


def apply(text: str, folder: Path, *, where: str) -> None:
    """Apply a patch to the files below `folder`; either all of it or nothing.

    Raises:
        SourceError: a file is missing, or a hunk fits nowhere.
    """
    apply_changes(parse(text, where=where), folder, where=where, fuzz=_FUZZ)


def apply_changes(changes: tuple[FilePatch, ...], folder: Path, *, where: str, fuzz: int = 0) -> None:
    """Apply parsed changes to the files below `folder`; either all of it or nothing.

    Args:
        changes: the patch.
        folder: where its files are.
        where: the patch's name, for messages.
        fuzz: how many lines at either end of a hunk's context may differ.

    Raises:
        SourceError: a file is missing, or a hunk fits nowhere.
    """
    results: dict[Path, bytes] = {}
    for file in changes:
        path = folder / file.name
        if not path.is_file():
            raise SourceError(f"{where}: there is no {file.name} in {folder.name}.")
        results[path] = _patched(path.read_bytes(), file, where, fuzz)
    for path, data in results.items():
        path.unlink()  # the file may be a hard link into the cache
        path.write_bytes(data)


def _patched(data: bytes, file: FilePatch, where: str, fuzz: int) -> bytes:
    ending = "\r\n" if b"\r\n" in data else "\n"
    lines = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n")
    shift = 0
    for number, hunk in enumerate(file.hunks, 1):
        place = _find(lines, hunk, hunk.start - 1 + shift, fuzz)
        if place is None:
            raise SourceError(f"{where}: hunk {number} does not fit {file.name}; is the source the pinned one?")
        position, head, tail = place
        kept = hunk.lines[head : len(hunk.lines) - tail]
        old = sum(sign != "+" for sign, _ in kept)
        replaced: list[str] = []
        source = iter(lines[position : position + old])
        for sign, line in kept:
            if sign == "+":
                replaced.append(line)
            else:
                original = next(source)
                if sign == " ":
                    replaced.append(original)
        lines[position : position + old] = replaced
        shift = position - head - (hunk.start - 1) + len(replaced) - old
    return ending.join(lines).encode("utf-8", "surrogateescape")


def _find(lines: list[str], hunk: Hunk, expected: int, most: int) -> tuple[int, int, int] | None:
    """Find the line where a hunk fits, and how much context at its head and tail was left out for it."""
    leading = next((i for i, (sign, _) in enumerate(hunk.lines) if sign != " "), len(hunk.lines))
    trailing = next((i for i, (sign, _) in enumerate(reversed(hunk.lines)) if sign != " "), 0)
    blanks = [_blank(line) for line in lines]
    for fuzz in range(most + 1):
        head, tail = min(fuzz, leading), min(fuzz, trailing)
        old = [_blank(line) for sign, line in hunk.lines[head : len(hunk.lines) - tail] if sign != "+"]
        starts = range(len(lines) - len(old) + 1)
        for start in sorted(starts, key=lambda s, at=expected + head: abs(s - at)):  # type: ignore[misc]
            if blanks[start : start + len(old)] == old:
                return start, head, tail
    return None


def _blank(line: str) -> str:
    return " ".join(line.split())
