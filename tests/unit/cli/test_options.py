"""Each option of each command has an effect, or is an error that says what it needs; each example is a command."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import re
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from ortpack_build import sizes
from ortpack_build.base.report import Reporter
from ortpack_build.catalog import host
from ortpack_build.catalog.model import Catalog
from ortpack_build.cli import explain, kit, maintain, verify, wheel
from ortpack_build.cli.main import commands, main
from ortpack_build.cli.parser import Command, Needs, NotWith, Option, Rule
from ortpack_build.machines import devices, emulation
from ortpack_build.ops import full_runtime, needs
from ortpack_build.ops.opset import Need, OpSet
from ortpack_build.products import kit as kit_product
from ortpack_build.products import loader, minimal, wheels

ROOT = Path(__file__).parents[3]
COMMANDS = commands().all
FILES = ("model.onnx", "other.onnx", "a.config", "kit.zst", "a.npz", "a.so", "a.whl")
# Of each command, command lines that each option is added to
BASES: Mapping[str, Sequence[str]] = {
    "list": ("", "--origin prebuilt"),
    "show": ("cpu",),
    "wheel": (
        "cpu",
        "cpu --origin source",
        "cpu --origin source --from kit.zst",
        "cpu --origin source --linkage static --embed mylib._ort",
        "cpu --origin source --from kit.zst --linkage static --embed mylib._ort",
    ),
    "minimal": (
        "--name a --model model.onnx",
        "--name a --ops a.config",
        "--name a --model model.onnx --from kit.zst",
        "--name a --model model.onnx --from kit.zst --reduce-types",
        "--name a --model model.onnx --from kit.zst --linkage static --embed mylib._ort",
        "--embed mylib._ort --model model.onnx --no-verify",
    ),
    "wheels": ("cpu", "--all"),
    "extras": ("pyproject.toml",),
    "served": ("_served.py",),
    "docs": ("", "kits --write"),
    "schema": ("", "kits --write --variants manifests"),
    "sources": ("", "--tree folder"),
    "kit": ("", "--from kit.zst"),
    "ops": ("model.onnx", "--ops a.config"),
    "convert": ("model.onnx --out converted",),
    "explain": ("a.whl", "a.whl --json"),
    "root": ("linux-aarch64",),
    "loader": ("",),
    "verify": ("a.whl", "a.whl --no-run"),
    "completion": ("bash",),
}
# What an option is given; else something by its type
VALUES = {
    "--target": "linux-aarch64",
    "--ort": "1.28.2",
    "--origin": "source",
    "--flavour": "ort",
    "--linkage": "static",
    "--embed": "other._ort",
    "--sources": "debian",
    "--toolchain": "gcc",
    "--baseline": "2.30",
    "--launcher": "none",
    "--jobs": "7",
    "--top": "2",
    "--from": "kit.zst",
    "--model": "other.onnx",
    "--ops": "a.config",
    "--inputs": "a.npz",
    "--custom-ops": "a.so",
    "--build-number": "3",
    "--name": "other",
}


_SECONDS = re.compile(r"\d+\.\d s")  # how long something took


class _Reached(BaseException):
    """The work would begin here."""


@dataclasses.dataclass(kw_only=True)
class Harness:
    """Runs command lines up to where the work begins.

    Attributes:
        folder: the current one.
        records: what the work was asked for.
        output: gives what was printed.
    """

    folder: Path
    output: Callable[[], str]
    records: list[object] = dataclasses.field(default_factory=list)

    def stops(self, *arguments: object, **more: object) -> NoReturn:
        self.notes(*arguments, **more)
        raise _Reached

    def notes(self, *arguments: object, **more: object) -> list[Any]:
        self.records.append((_plain(arguments), _plain(more)))
        return []

    def outcome(self, line: Sequence[str]) -> tuple[int, object]:
        """The exit code, and all that came of it."""
        self.records.clear()
        _fill(self.folder)
        try:
            code = main(line)
        except _Reached:
            code = 0
        except SystemExit as end:
            code = int(str(end.code))
        files = {str(path): path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file()}
        return code, (list(self.records), self.output(), files)


def _plain(value: Any) -> object:
    """What is compared of an argument: not where messages go."""
    if isinstance(value, Reporter) or callable(value):
        return None
    if isinstance(value, Catalog):
        return value.own
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return str(value)


def _fill(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in FILES:
        (folder / name).write_bytes(name.encode())
    for name in ("folder", "manifests", "docs"):
        (folder / name).mkdir()
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wrong, count = re.subn(r"^cuda = .*", 'cuda = ["another"]', text, flags=re.MULTILINE)
    assert count == 1
    (folder / "pyproject.toml").write_text(wrong, encoding="utf-8")
    (folder / "_served.py").write_text("# to be put right", encoding="utf-8")
    for name in ("cmake/fetch_headers.py", "src/binding/module.cpp"):  # a checkout of the loader
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()


@pytest.fixture
def harness(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Harness:
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(
        host, "detect", lambda: host.Host(os="linux", arch="x86_64", libc="glibc", version="2.36")
    )  # that of a machine that compiles
    found = Harness(folder=work, output=lambda: _SECONDS.sub("", "".join(capsys.readouterr())))

    def needed(*arguments: object) -> OpSet:
        found.notes(*arguments)
        return OpSet.of({Need("ai.onnx", 14, "Add")})

    def many(*arguments: Any, **more: object) -> list[object]:
        found.notes(*arguments, **more)
        arguments[1](arguments[0][0], arguments[2])
        return []

    def converted(*arguments: Any, **more: object) -> NoReturn:
        arguments[2]()  # the full runtime, of the release that is asked for
        found.stops(*arguments, **more)

    def packed(request: Any, context: object) -> Any:
        found.notes(request, context)
        return SimpleNamespace(path="made")

    rows = [
        sizes.Row(subsystem="kernels", code=number, data=0, unwinding=0, operators=(f"Op{number}",))
        for number in range(1, 4)
    ]
    described = sizes.Sizes(library="a.so", sha256="0" * 64, size=6, rows=tuple(rows))
    for where, name, stub in (
        (kit_product, "sources", found.stops),
        (kit_product, "resolve", packed),
        (kit_product, "kit", lambda job: job),
        (kit, "pack", found.stops),
        (wheel, "build", found.stops),
        (wheel, "build_from_source", found.stops),
        (minimal, "build", found.stops),
        (wheels, "make", many),
        (maintain, "build", found.notes),
        (loader, "build", found.stops),
        (emulation, "obtain", found.stops),
        (needs, "needed", needed),
        (needs, "convert_all", converted),
        (full_runtime, "obtain", found.notes),
        (verify, "verify", found.notes),
        (explain, "_read", lambda path: (described, str(path) != "")),
        (devices, "unmet", lambda *_: {}),
    ):
        monkeypatch.setattr(where, name, stub)
    return found


def _value(command: Command, flag: str) -> list[str]:
    """An option as it is written."""
    (action,) = (action for action in command.parser._actions if flag in action.option_strings)
    if action.nargs == 0:
        return [flag]
    return [flag, VALUES.get(flag) or ("3" if action.type is int else "elsewhere")]


def _satisfied(command: Command, option: Option, upto: Rule | None = None) -> list[str]:
    """What else to write so that an option keeps its rules before `upto`, or all."""
    line: list[str] = []
    for rule in itertools.takewhile(lambda rule: rule is not upto, option.rules):
        if isinstance(rule, Needs):
            line += _written(command, rule.others[0])
    return line


def _written(command: Command, condition: str) -> list[str]:
    flag, _, value = condition.partition(" ")
    given = [flag, value] if value else _value(command, flag)
    return [*_satisfied(command, command.options[flag]), *given]


RULES = [
    pytest.param(name, option, rule, id=f"{name} {option.flag} {number}")
    for name, command in COMMANDS.items()
    for option in command.options.values()
    for number, rule in enumerate(option.rules)
]


@pytest.mark.parametrize(("name", "option", "rule"), RULES)
def test_a_broken_rule_is_an_error_that_says_so(
    name: str, option: Option, rule: Rule, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = COMMANDS[name]
    line = [name, *(["x"] if any(a.nargs is None and not a.option_strings for a in command.parser._actions) else [])]
    line += [*_value(command, option.flag), *_satisfied(command, option, rule)]
    if isinstance(rule, NotWith):
        line += _written(command, rule.other)
    assert main(line) == 2
    out, err = capsys.readouterr()
    others = " or ".join(rule.others) if isinstance(rule, Needs) else rule.other
    word = "without" if isinstance(rule, Needs) else "with"
    assert out == ""
    assert f"{option.flag} has no effect {word} {others}" in err
    assert rule.because in err


@pytest.mark.parametrize(("name", "base"), [(name, base) for name, bases in BASES.items() for base in bases])
def test_an_option_has_an_effect_or_is_an_error(name: str, base: str, harness: Harness) -> None:
    line = [name, *base.split()]
    plain = harness.outcome(line)
    assert plain[0] in (0, 3)  # 3: what should be put right
    added = [flag for flag in COMMANDS[name].options if flag not in line]
    outcomes = {flag: harness.outcome([*line, *_value(COMMANDS[name], flag)]) for flag in added}
    assert [flag for flag, found in outcomes.items() if found == plain] == []


def test_every_command_is_walked() -> None:
    assert set(BASES) == set(COMMANDS)


def test_giving_the_default_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wheel", "cpu", "--flavour", "onnx"]) == 2
    assert "--flavour has no effect without --origin source" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("kit --origin debian", "called --sources now"),
        ("sources --origin debian", "called --sources now"),
        ("kit --source tree", "called --tree now"),
        ("wheel cpu --source tree", "called --tree now"),
        ("loader --source tree", "called --tree now"),
        ("minimal --origin source", "leave --origin out"),
        ("wheels cpu --origin prebuilt", "leave --origin out"),
        ("wheel minimal --flavour ort --name a", "Write `ortpack-build minimal`"),
        ("wheel cpu --reduce-types", "is an option of `ortpack-build minimal`"),
    ],
)
def test_old_spellings_say_the_new_ones(line: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_options_are_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["wheel", "cpu", "--build", "3"])
    assert "unrecognized arguments: --build" in capsys.readouterr().err


EXAMPLES = [
    pytest.param(name, example.line, id=example.line)
    for name, command in COMMANDS.items()
    for example in command.examples
]


@pytest.mark.parametrize(("name", "line"), EXAMPLES)
def test_an_example_is_of_its_command_and_keeps_the_rules(name: str, line: str) -> None:
    words = shlex.split(line.partition(" >")[0])
    assert words[:2] == ["ortpack-build", name]
    options = commands().parser.parse_args(words[1:], argparse.Namespace())
    options.command.settle(options)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_two_or_three_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    lines = capsys.readouterr().out.rstrip().splitlines()
    shown = [line.strip() for line in lines[lines.index("examples:") + 1 :]]
    assert shown == [example.line for example in COMMANDS[name].examples]
    assert 2 <= len(shown) <= 3


COSTLY = [example.line for command in COMMANDS.values() for example in command.examples if example.costly]


@pytest.mark.parametrize("line", COSTLY)
def test_a_costly_example_comes_to_where_the_work_begins(line: str, harness: Harness, tmp_path: Path) -> None:
    words = [word.replace("~", str(tmp_path)) for word in shlex.split(line)[1:]]
    _fill(harness.folder)
    for file in (harness.folder / word for word in words if word.endswith(".whl")):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    with contextlib.suppress(_Reached):
        assert main(words) == 0
    assert harness.records
