"""Commands whose options say what they need: an option that would have no effect is an error, and is never ignored.

argparse reads the arguments. It is given no default of any option, so that what the user said can be told from what he
left out, even where both come to the same. `Command.settle` then holds each given option against its rules and fills in
the defaults of the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import shtab

from ortpack_build.base.errors import UsageError

if TYPE_CHECKING:
    from ortpack_build.base.report import Reporter

Run = Callable[[argparse.Namespace, "Reporter"], int]


@dataclass(frozen=True, kw_only=True)
class Needs:
    """A rule: the option has an effect only beside one of some others.

    Attributes:
        others: each an option that must be given, `--model`; an option with its value, `--origin source`, which may be
            the default; or the name of a positional argument, `MODEL`.
        because: why, a clause without a full stop.
    """

    others: tuple[str, ...]
    because: str

    def broken(self, option: str, command: Command, options: argparse.Namespace) -> UsageError | None:
        """The error, if the rule is broken."""
        if any(command.holds(other, options) for other in self.others):
            return None
        others = " or ".join(self.others)
        return UsageError(
            f"{option} has no effect without {others}: {self.because}.", hint=f"Add {others}, or leave {option} out."
        )


@dataclass(frozen=True, kw_only=True)
class NotWith:
    """A rule: the option has no effect beside another.

    Attributes:
        other: as one of `Needs.others`.
        because: why, a clause without a full stop.
        unless: as `Needs.others`: beside one of them it has an effect after all.
    """

    other: str
    because: str
    unless: tuple[str, ...] = ()

    def broken(self, option: str, command: Command, options: argparse.Namespace) -> UsageError | None:
        """The error, if the rule is broken."""
        if not command.holds(self.other, options) or any(command.holds(name, options) for name in self.unless):
            return None
        kept = f", unless {' or '.join(self.unless)} is given" if self.unless else ""
        return UsageError(
            f"{option} has no effect with {self.other}{kept}: {self.because}.", hint="Leave one of them out."
        )


Rule = Needs | NotWith


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option of a command, as its user may leave it out or not.

    Attributes:
        flag: its long name, `--jobs`.
        dest: its attribute of the parsed options.
        default: its value if it is not given, or what makes that value.
        rules: what it needs to have an effect.
    """

    flag: str
    dest: str
    default: Any
    rules: tuple[Rule, ...]


@dataclass(frozen=True, kw_only=True)
class Example:
    """A command line that the help shows, and that a test runs.

    Attributes:
        line: all of it.
        costly: why the test stops before the work is done: it takes minutes; empty if it does not.
    """

    line: str
    costly: str = ""


class _Refused(argparse.Action):
    """A spelling that is no more: says what to write instead."""

    def __init__(self, option_strings: Sequence[str], dest: str, *, says: str) -> None:
        # It takes no value, so that the message comes first, whatever follows.
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        self.says = says

    def __call__(self, *_: object, **__: object) -> NoReturn:
        raise UsageError(self.says)


@dataclass(kw_only=True)
class Command:
    """A command: its parser, the function that runs it, its options by flag, and the examples of its help."""

    name: str
    parser: argparse.ArgumentParser
    run: Run
    options: dict[str, Option] = field(default_factory=dict)
    positionals: dict[str, str] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    _groups: dict[str, argparse._ArgumentGroup] = field(default_factory=dict)

    def option(
        self, *flags: str, default: Any = None, rules: Iterable[Rule] = (), group: str | None = None, **how: Any
    ) -> None:
        """Add an option.

        Args:
            flags: its names; the last one is the long one.
            default: its value if it is not given, or a function that gives the value.
            rules: what it needs to have an effect.
            group: heading of the help that it stands below.
            how: as for `argparse.ArgumentParser.add_argument`; "{default}" in a help text becomes the default.
        """
        value = default() if callable(default) else default
        if "help" in how:
            how["help"] = how["help"].replace("{default}", str(value).replace("%", "%%"))
        at: argparse._ActionsContainer = self.parser
        if group is not None:
            if group not in self._groups:
                self._groups[group] = self.parser.add_argument_group(group)
            at = self._groups[group]
        added = at.add_argument(*flags, default=argparse.SUPPRESS, **how)
        self.options[flags[-1]] = Option(flag=flags[-1], dest=added.dest, default=default, rules=tuple(rules))

    def argument(self, dest: str, *, metavar: str, **how: Any) -> None:
        """Add a positional argument; `how` is as for `argparse.ArgumentParser.add_argument`."""
        self.parser.add_argument(dest, metavar=metavar, **how)
        self.positionals[metavar] = dest

    def refuse(self, flag: str, says: str) -> None:
        """Make an option that is no more an error that says what to write instead."""
        self.parser.add_argument(flag, action=_Refused, says=says, dest=f"refused{flag}")

    def holds(self, condition: str, options: argparse.Namespace) -> bool:
        """Whether the command line meets a condition of a rule; see `Needs.others`."""
        name, _, value = condition.partition(" ")
        if name in self.positionals:
            return bool(getattr(options, self.positionals[name]))
        option = self.options[name]
        return str(getattr(options, option.dest)) == value if value else option.flag in options.given

    def settle(self, options: argparse.Namespace) -> None:
        """Fill in what was not given, and check that what was given has an effect.

        Raises:
            UsageError: an option has none; says which option it needs.
        """
        options.given = {option.flag for option in self.options.values() if hasattr(options, option.dest)}
        for option in self.options.values():
            if option.flag not in options.given:
                setattr(options, option.dest, option.default() if callable(option.default) else option.default)
        for option in self.options.values():
            for rule in option.rules if option.flag in options.given else ():
                if error := rule.broken(option.flag, self, options):
                    raise error

    def complete(self, known: Mapping[str, Sequence[str]]) -> None:
        """Tell shtab what to complete: the names in `known`, by metavar, and files for whatever takes a path."""
        for action in self.parser._actions:
            if isinstance(action.metavar, str) and action.metavar in known:
                action.choices = known[action.metavar]
            elif action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]


@dataclass(kw_only=True)
class Commands:
    """The commands of the command line, by name."""

    parser: argparse.ArgumentParser
    all: dict[str, Command] = field(default_factory=dict)
    _subparsers: argparse._SubParsersAction[argparse.ArgumentParser] | None = None

    def add(self, name: str, run: Run, text: str, examples: Iterable[Example]) -> Command:
        """Add a command.

        Args:
            name: what it is called by.
            run: does it, and returns the exit code.
            text: sentences for the help; the first one is about the whole.
            examples: two or three, for the end of the help.
        """
        if self._subparsers is None:
            self._subparsers = self.parser.add_subparsers(metavar="COMMAND", required=True, dest="command_name")
        shown = tuple(examples)
        sub = self._subparsers.add_parser(
            name,
            help=(text[0].lower() + text[1:].partition(". ")[0].rstrip(".")).replace("%", "%%"),
            description=text.replace("%", "%%"),
            epilog="\n".join(["examples:", *(f"  {example.line}" for example in shown)]).replace("%", "%%"),
            formatter_class=_Formatter,
            allow_abbrev=False,  # an abbreviation would change its meaning, or lose it, with the next option
        )
        command = Command(name=name, parser=sub, run=run, examples=shown)
        sub.set_defaults(command=command)
        self.all[name] = command
        return command


class _Formatter(argparse.HelpFormatter):
    """Fills the description, and leaves the lines of the examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return "\n".join(indent + line for line in text.splitlines())
        return super()._fill_text(text, width, indent)
