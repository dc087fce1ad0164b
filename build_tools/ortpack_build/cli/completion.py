"""The command `completion`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import shtab

from ortpack_build.catalog import manifests
from ortpack_build.cli.parser import Example

if TYPE_CHECKING:
    import argparse

    from ortpack_build.base.report import Reporter
    from ortpack_build.cli.parser import Commands

SHELLS = ("bash", "zsh", "fish")


def add_commands(commands: Commands) -> None:
    """Add it to the command line, after all others."""
    completion = commands.add(
        "completion",
        _completion,
        "Print what makes a shell complete commands, options, variants and targets.",
        [
            Example(line="ortpack-build completion bash >> ~/.bash_completion"),
            Example(line="ortpack-build completion zsh > ~/.zfunc/_ortpack-build"),
            Example(line="ortpack-build completion fish > ~/.config/fish/completions/ortpack-build.fish"),
        ],
    )
    completion.argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")
    completion.parser.set_defaults(commands=commands)


def _completion(options: argparse.Namespace, _report: Reporter) -> int:
    commands: Commands = options.commands
    catalog = manifests.load()
    known = {"VARIANT": list(catalog.variants), "TARGET": list(catalog.targets), "T": list(catalog.targets)}
    for command in commands.all.values():
        command.complete(known)
    print(shtab.complete(commands.parser, shell=options.shell))
    return 0
