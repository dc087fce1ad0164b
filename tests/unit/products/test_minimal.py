"""What `minimal` says of mistakes, before anything is fetched or compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ortpack_build.base.errors import ToolError, UsageError
from ortpack_build.catalog import manifests
from ortpack_build.cli.main import main
from ortpack_build.products.minimal import check_name

if TYPE_CHECKING:
    from pathlib import Path

OTHER = "linux-armv7l"


@pytest.mark.parametrize("name", ["mylib-ort", "a", "My.Lib_2", "x9"])
def test_names(name: str) -> None:
    check_name(name, manifests.load())


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a/b", "../a", "ä", "a\n", "ortpack", "Ortpack_CPU", "CPU"])
def test_names_that_are_none_or_taken(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name, manifests.load())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["minimal", "--model", "{model}"], "needs a name"),
        (["minimal", "--name", "a b", "--model", "{model}"], "'a b' is no name of a distribution"),
        (["minimal", "--name", "ortpack-cpu", "--model", "{model}"], "belongs to somebody else"),
        (["minimal", "--name", "a"], "Nothing says what the runtime must run"),
        (["minimal", "--name", "a", "--model", "{model}.not"], "There is no file"),
        (["minimal", "--name", "a", "--model", "{model}", "{model}"], "named twice"),
        (["minimal", "--name", "a", "--model", "{model}", "--target", "all", "linux-x86_64"], "unrecognized"),
        (["minimal", "--name", "a", "--model", "{model}", "--target", "linux-sparc64"], "There is no target"),
        (["wheel", "cpu", "--reduce-types"], "--reduce-types is an option of `ortpack-build minimal`"),
        (["wheel", "cpu", "--name", "a"], "--name is an option of `ortpack-build minimal`"),
        (["wheel", "minimal", "--name", "a", "--model", "{model}"], "Write `ortpack-build minimal`"),
        (["minimal", "--origin", "source", "--name", "a", "--model", "{model}"], "leave --origin out"),
    ],
)
def test_mistakes(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    given = [argument.format(model=model) for argument in arguments]
    try:
        code = main([*given, "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")])
    except SystemExit as end:  # argparse
        code = int(str(end.code))
    assert code == 2
    out, err = capsys.readouterr()
    assert (out, message in " ".join(err.split()), "Traceback" in err) == ("", True, False), err
    assert not (tmp_path / "out").exists()


def _foreign(tmp_path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    """The exit code and error for another machine than any that tests run on."""
    model = tmp_path / "m.onnx"
    model.write_bytes(b"model")
    arguments = ["minimal", "--name", "a", "--model", str(model), "--target", OTHER, *more]
    code = main([*arguments, "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")])
    out, err = capsys.readouterr()
    assert out == ""
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "out").exists()
    return code, " ".join(err.split())


def test_a_missing_emulator_names_both_ways(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, said = _foreign(tmp_path, capsys)
    assert code == ToolError.exit_code
    assert f"The models can't be run on {OTHER}: qemu-arm or qemu-arm-static" in said
    assert "is not on this machine. Install it: apt-get install qemu-user; or say --no-verify, which makes it" in said


def test_custom_operators_of_this_machine_do_not_run_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = tmp_path / "ops.so"
    library.write_bytes(b"library")
    code, said = _foreign(tmp_path, capsys, "--custom-ops", str(library))
    assert code == UsageError.exit_code
    assert f"{library} is a library of this machine: a runtime for {OTHER} can't be tried with it. --no-verify" in said
