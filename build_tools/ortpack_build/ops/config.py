"""Reads and writes op-configs, the reduced-operator configs of ONNX Runtime's own tools.

    # a comment stands on a line of its own
    !globally_allowed_types;float,int64_t
    !no_ops_specified_means_all_ops_are_required
    ai.onnx;11,13;Add,Cast{"inputs": {"0": ["float"]}, "outputs": {"0": ["int64_t"]}},Concat

Two readings differ from upstream's, both on the safe side: an operator that stands there twice may be used with the
types of both (there the last one wins), and with any type where one of them names none (there it has no say).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from ortpack_build.base.errors import OpConfigError, nearest
from ortpack_build.ops.opset import ONNX, TYPES, Need, Operator, OpSet, Types

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ortpack_build.ops.vocabulary import Vocabulary

_ALLOWED = "!globally_allowed_types"
_EVERYTHING = "!no_ops_specified_means_all_ops_are_required"
_NAME = re.compile(r"[^\s,;{}\[\]\"#!][^\s,;{}\"#]*")
_SPACE = re.compile(r"\s*")
_LINE = re.compile(r"\r\n|\r|\n")
_OPSET = re.compile(r"[0-9]{1,9}")
_KEYS = ("inputs", "outputs", "custom")
_RELEASE = re.compile(r"^# For the \w+ flavour on \w+, ONNX Runtime (\d+(?:\.\d+)+), by ortpack-build ", re.MULTILINE)
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1f]")
_INDEX_LIMIT = 1 << 16


def read(path: Path, vocabulary: Vocabulary | None = None) -> OpSet:
    """Read a config.

    Raises:
        OpConfigError: it can't be read, or has a mistake.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise OpConfigError(f"{path}: can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise _no_text(path, error.start) from error
    if binary := _BINARY.search(text):
        raise _no_text(path, binary.start())
    return parse(text, name=str(path), vocabulary=vocabulary)


def head(flavour: str, arch: str, release: str | None, version: str) -> str:
    """The comment that ortpack-build of some version begins a config with."""
    stated = f", ONNX Runtime {release}" if release else ""
    return f"For the {flavour} flavour on {arch}{stated}, by ortpack-build {version}, from:"


def release_of(path: Path) -> str | None:
    """The release of ONNX Runtime that the config's head states; None where it states none, or can't be read."""
    try:
        found = _RELEASE.search(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        return None
    return found[1] if found else None


def _no_text(path: Path, at: int) -> OpConfigError:
    hint = "An operator config is expected; models come before --ops."
    return OpConfigError(f"{path}: is not text in UTF-8 (at {at}).", hint=hint)


def parse(text: str, *, name: str = "config", vocabulary: Vocabulary | None = None) -> OpSet:
    """Parse a config.

    Args:
        text: the config.
        name: for messages.
        vocabulary: what operators and domains there are; None: any name is taken.

    Raises:
        OpConfigError: a mistake, with name, line and column (both from 1).
    """
    reading = _Reading(name=name, vocabulary=vocabulary)
    for number, line in enumerate(_LINE.split(text), 1):
        _Line(line, number, reading).read()
    return reading.result()


def write(ops: OpSet, *, comments: Sequence[str] = ()) -> str:
    """Write a config as upstream's tools would; `comments` come first."""
    lines = [f"# {comment}" for comment in comments]
    if ops.allowed is not None:
        lines.append(f"{_ALLOWED};{','.join(sorted(ops.allowed))}")
    if ops.everything:
        lines.append(_EVERYTHING)
    groups: dict[tuple[str, int], list[str]] = {}
    for need in sorted(ops.needs):
        entry = need.name + _types_json(ops.types_of(need.operator))
        groups.setdefault((need.domain, need.opset), []).append(entry)
    lines += [f"{domain};{opset};{','.join(entries)}" for (domain, opset), entries in groups.items()]
    return "".join(f"{line}\n" for line in lines)


def _types_json(types: Types) -> str:
    if not types:
        return ""
    parts: dict[str, object] = {
        key: {str(index): sorted(names) for index, names in side}
        for key, side in (("inputs", types.inputs), ("outputs", types.outputs))
        if side
    }
    if types.custom:
        parts["custom"] = [list(names) for names in sorted(types.custom)]
    return json.dumps(parts, ensure_ascii=False)


@dataclass(kw_only=True)
class _Reading:
    """What a config has said so far."""

    name: str
    vocabulary: Vocabulary | None
    needs: set[Need] = field(default_factory=set)
    types: dict[Operator, Types] = field(default_factory=dict)
    typed: tuple[int, int] | None = None  # where the first types of an operator are
    allowed: frozenset[str] | None = None
    everything: bool = False

    def fail(self, line: int, column: int, problem: str, hint: str = "") -> NoReturn:
        raise OpConfigError(f"{self.name}:{line}:{column}: {problem}", hint=hint)

    def add(self, domain: str, opsets: Sequence[int], entries: Sequence[tuple[str, Types]]) -> None:
        for op, types in entries:
            operator = Operator(domain, op)
            self.types[operator] = self.types[operator] | types if operator in self.types else types
            self.needs |= {Need(domain, opset, op) for opset in opsets}

    def result(self) -> OpSet:
        if self.allowed is not None and self.typed is not None:
            self.fail(*self.typed, f"Types of one operator can't stand beside {_ALLOWED}.", "Take one of them out.")
        types = {} if self.allowed is not None else self.types
        return OpSet.of(self.needs, types, allowed=self.allowed, everything=self.everything and not self.needs)


@dataclass
class _Line:
    """Reads one line, from left to right."""

    text: str
    number: int
    reading: _Reading
    at: int = 0

    def fail(self, problem: str, hint: str = "", *, at: int | None = None) -> NoReturn:
        self.reading.fail(self.number, (self.at if at is None else at) + 1, problem, hint)

    def read(self) -> None:
        self.space()
        if self.end or self.text[self.at] == "#":
            return
        if self.text[self.at] == "!":
            self.directive()
        else:
            self.operators()
        if not self.end:
            comment = "A comment has a line of its own." if self.text[self.at] == "#" else ""
            self.fail(f"{self.text[self.at]!r} is not expected here.", comment)

    @property
    def end(self) -> bool:
        return self.at >= len(self.text)

    def space(self) -> None:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def take(self, character: str) -> bool:
        """Step over this character and the space around it, if it is next."""
        self.space()
        if not self.text.startswith(character, self.at):
            return False
        self.at += 1
        self.space()
        return True

    def expect(self, character: str, problem: str) -> None:
        if not self.take(character):
            self.fail(problem, "A line is `domain;opset,opset;operator,operator`.")

    def word(self, what: str) -> tuple[str, int]:
        """A name, and where it starts."""
        found = _NAME.match(self.text, self.at)
        if found is None:
            self.fail(f"The name of {what} is expected.")
        start, self.at = self.at, found.end()
        return found[0], start

    def listed(self, what: str) -> Iterator[tuple[str, int]]:
        """Names between commas; like upstream, a comma may close the list."""
        yield self.word(what)
        while self.take(","):
            if self.end or self.text[self.at] == ";":
                return
            yield self.word(what)

    def directive(self) -> None:
        start = self.at
        name, separator, _ = self.text[start:].partition(";")
        if name.strip() == _EVERYTHING:
            self.at += len(name.rstrip())
            self.space()
            self.reading.everything = True
        elif name.strip() == _ALLOWED and separator:
            self.at += len(name) + 1
            self.space()
            if self.reading.allowed is not None:
                self.fail(f"{_ALLOWED} is there a second time.", at=start)
            types = list(self.listed("a type"))
            for kind, at in types:
                self.check_type(kind, at)
            self.reading.allowed = frozenset(kind for kind, _ in types)
            self.take(";")
        else:
            self.fail(f"{name.strip()!r} is unknown. {nearest(name.strip(), (_ALLOWED + ';type,type', _EVERYTHING))}")

    def operators(self) -> None:
        domain, start = ("", self.at) if self.text[self.at] == ";" else self.word("a domain")
        domain = domain or ONNX
        self.check_domain(domain, start)
        self.expect(";", "A semicolon is expected after the domain.")
        opsets = [self.opset(text, at) for text, at in self.listed("an opset")]
        self.expect(";", "A semicolon is expected after the opsets.")
        entries: list[tuple[str, Types]] = []
        for name, at in self.listed("an operator"):
            self.check_operator(domain, name, at)
            self.space()
            entries.append((name, self.types() if self.text.startswith("{", self.at) else Types()))
        self.reading.add(domain, opsets, entries)

    def opset(self, text: str, at: int) -> int:
        if not _OPSET.fullmatch(text) or int(text) == 0:
            self.fail(f"{text!r} is no opset.", "An opset is a whole number from 1.", at=at)
        return int(text)

    def types(self) -> Types:
        """The JSON behind an operator."""
        start = self.at
        try:
            found, self.at = json.JSONDecoder(object_pairs_hook=_once).raw_decode(self.text, start)
        except json.JSONDecodeError as error:
            self.fail(f"The types of the operator are not valid JSON: {error.msg}.", at=error.pos)
        except (_TwiceError, RecursionError) as error:
            self.fail(f"The types of the operator are not valid JSON: {error}.", at=start)
        self.space()
        if found and self.reading.typed is None:
            self.reading.typed = (self.number, start + 1)
        for key in found:
            if key not in _KEYS:
                self.fail(f"{key!r} is unknown. {nearest(key, _KEYS)}", at=self.find(key, start))
        return Types.of(
            self.indexed(found, "inputs", start),
            self.indexed(found, "outputs", start),
            self.combinations(found.get("custom", []), start),
        )

    def indexed(self, found: dict[str, object], key: str, start: int) -> dict[int, list[str]]:
        side = found.get(key, {})
        at = self.find(key, start)
        if not isinstance(side, dict):
            self.fail(f'"{key}" has to map indices to lists of types.', 'E.g. {"inputs": {"0": ["float"]}}.', at=at)
        result = {}
        for index, names in side.items():
            if not _OPSET.fullmatch(index) or int(index) >= _INDEX_LIMIT:
                self.fail(f"{index!r} is no index.", at=self.find(index, at))
            result[int(index)] = self.names(names, self.find(index, at))
        return result

    def combinations(self, found: object, start: int) -> list[list[str]]:
        at = self.find("custom", start)
        if not isinstance(found, list):
            self.fail('"custom" has to be a list of lists of types.', at=at)
        return [self.names(names, at) for names in found]

    def names(self, found: object, at: int) -> list[str]:
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            self.fail("A list of types is expected.", at=at)
        for name in found:
            self.check_type(name, self.find(name, at))
        return found

    def find(self, text: str, start: int) -> int:
        """Where this JSON string is, from `start`."""
        at = self.text.find(json.dumps(text, ensure_ascii=False), start)
        return start if at < 0 else at

    def check_type(self, name: str, at: int) -> None:
        if name not in TYPES:
            self.fail(f"{name!r} is no type. {nearest(name, TYPES)}", at=at)

    def check_domain(self, domain: str, at: int) -> None:
        known = self.reading.vocabulary
        if known is not None and not known.has_domain(domain):
            self.fail(
                f"ONNX Runtime has no domain {domain!r}. {nearest(domain, sorted(known.operators))}",
                "If a library of yours brings its operators, name that with --custom-ops.",
                at=at,
            )

    def check_operator(self, domain: str, name: str, at: int) -> None:
        known = self.reading.vocabulary
        if known is not None and not known.has_operator(domain, name):
            close = nearest(name, sorted(known.operators[domain])).partition(" Allowed:")[0]
            guess = f" {close}" if close.startswith("Did") else ""
            self.fail(f"{domain} has no operator {name!r}.{guess}", at=at)


class _TwiceError(ValueError):
    """A key is there twice."""


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError("a key is there twice")
    return found
