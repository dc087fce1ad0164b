"""Shells complete commands, options, variants and targets with what `completion` prints for them."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from ortpack_build.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

_LINES = [
    ("ortpack-build min", "minimal"),
    ("ortpack-build wheel cuda1", "cuda12"),
    ("ortpack-build wheel cpu --target linux-aa", "linux-aarch64"),
    ("ortpack-build kit linux-aa", "linux-aarch64"),
    ("ortpack-build wheel cpu --ori", "--origin"),
]
_BASH = """
. "$1"
COMP_WORDS=($2)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
"$(complete -p ortpack-build | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" \\
    ortpack-build "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
_ZSH = """
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1=; fpath=($1 \\$fpath); autoload -Uz compinit; compinit -u -d $1/dump; print -r READY-\\$((40 + 2))"
zpty -r -m z seen '*READY-42*'
zpty -w -n z "$2"$'\\t'
zpty -r -m z seen "*$3*" && print -r -- "$3"
zpty -d z
"""


@pytest.fixture
def scripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of the scripts, under the names that shells look for."""
    for shell, name in (("bash", "bash"), ("zsh", "_ortpack-build"), ("fish", "ortpack-build.fish")):
        assert main(["completion", shell]) == 0
        (tmp_path / name).write_text(capsys.readouterr().out, encoding="utf-8")
    return tmp_path


def _run(*command: object) -> str:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is not on this machine")
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("line", "completed"), _LINES)
def test_bash(line: str, completed: str, scripts: Path) -> None:
    assert _run("bash", "-c", _BASH, "bash", scripts / "bash", line).split() == [completed]


@pytest.mark.parametrize(("line", "completed"), _LINES)
def test_fish(line: str, completed: str, scripts: Path) -> None:
    script = scripts / "ortpack-build.fish"
    out = _run("fish", "--no-config", "-c", f"source {script}; complete -C '{line}'")
    assert [said.partition("\t")[0] for said in out.splitlines()] == [completed]


@pytest.mark.parametrize(("line", "completed"), _LINES[:2])
def test_zsh(line: str, completed: str, scripts: Path) -> None:
    assert completed in _run("zsh", "-f", "-c", _ZSH, "zsh", scripts, line, completed)
