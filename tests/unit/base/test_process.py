from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from ortpack_build.base import process
from ortpack_build.base.errors import ToolError

if TYPE_CHECKING:
    from pathlib import Path


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_a_program_writes_is_read_whatever_its_bytes_are() -> None:
    code = r"import sys; sys.stdout.buffer.write(b'a\xffb'); sys.stderr.write('why'); raise SystemExit(3)"
    assert process.run(python(code)) == process.Finished(code=3, output="a\N{REPLACEMENT CHARACTER}b", errors="why")


def test_a_program_has_only_the_input_and_the_environment_that_it_is_given(tmp_path: Path) -> None:
    code = "import os, sys; print(repr(sys.stdin.read()), os.environ.get('GIVEN'), os.getcwd())"
    environ = {**os.environ, "GIVEN": "this"}
    assert process.run(python(code), environ=environ, cwd=tmp_path).output == f"'' this {tmp_path}\n"
    assert process.run(python(code), given="text").output.startswith("'text' None ")


def test_a_log_takes_all_of_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = process.run(python("import os; os.write(1, b'one '); os.write(2, b'two')"), log=log)
    assert done == process.Finished(code=0, output="", errors="")
    assert log.read_text() == "one two"


def test_a_program_that_takes_too_long_or_is_missing_is_an_error_of_a_tool(tmp_path: Path) -> None:
    with pytest.raises(process.OverdueError, match=r"did not end in 1 s\."):
        process.run(python("import time; time.sleep(60)"), timeout=1)
    missing = tmp_path / "missing"
    with pytest.raises(ToolError, match=rf"^{missing} did not run: No such file or directory\.$"):
        process.run([missing])
    with pytest.raises(ToolError, match="did not run"):
        process.follow([str(missing)], print)


def test_lines_are_handed_on_as_they_come_and_an_error_ends_the_program() -> None:
    lines: list[str] = []
    code = "import os; os.write(1, b'one\\n'); os.write(2, b'two\\n'); raise SystemExit(2)"
    assert process.follow(python(code), lines.append) == 2
    assert lines == ["one\n", "two\n"]

    def refuse(line: str) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match="one"):
        process.follow(python("import time; print('one', flush=True); time.sleep(600)"), refuse)


def test_a_worker_answers_with_its_last_line_of_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORTPACK_RUNTIME", "cpu")
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import json, os, sys\n"
        "request = json.load(sys.stdin)\n"
        "print('RESULT {\"first\": 1}')\n"
        "print('RESULT', json.dumps({**request, 'seen': [k for k in os.environ if k.startswith('ORTPACK_')]}))\n"
        "print('more'); print('why\\nlast', file=sys.stderr)\n"
    )
    reply = process.ask(str(worker), request={"text": "on\n  one line", "number": 2})
    assert reply == process.Reply(answer={"text": "on one line", "number": 2, "seen": []}, code=0, last="last")
    worker.write_text("raise SystemExit(4)")
    assert process.ask(str(worker), request={}) == process.Reply(answer=None, code=4, last="exit code 4")
    assert process.result("nothing\n") is None
