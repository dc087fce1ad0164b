"""What a library's bytes are, of real links."""

from __future__ import annotations

import json
import os
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ortpack_build import sizes
from ortpack_build.link import link_shared
from ortpack_build.toolchain import set_up
from support import models
from support.command import run

if TYPE_CHECKING:
    from .conftest import Tiny

kit = [
    pytest.mark.kit,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(not os.environ.get("ORTPACK_TEST_KITS"), reason="ORTPACK_TEST_KITS is not set"),
]
_FILE = os.environ.get("ORTPACK_TEST_KIT", "")
_FLAVOUR = "onnx" if "onnx" in Path(_FILE).name else "ort"


def test_a_small_link(tiny: Tiny) -> None:
    """By the linker of the machine: every byte has a row, and a kernel's bytes are the kernel's."""
    made = tiny.make()
    work = tiny.folder / "link"
    work.mkdir()
    place = set_up(tiny.toolchain, work, tiny.context, 2)
    library = link_shared(made, made.kernels, place)
    assert library.sizes is not None
    assert sum(row.size for row in library.sizes.rows) == library.sizes.size == library.path.stat().st_size
    rows = {row.subsystem: row.size for row in library.sizes.rows}
    # The tables' two pointers and two counts, and what a compiler says of itself beside them
    assert 2 * 8 + 8 <= rows["kernel tables"] < 1000
    assert {"relocations", "dynamic linking", "other", "padding"} <= set(rows)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    arguments: list[object] = ["--name", "mylib-ort", "--flavour", _FLAVOUR, "--ort", "1.21.0", "--no-verify"]
    arguments += ["--from", _FILE] if _FILE else []
    done = run("minimal", "--model", models.model("silero_vad"), *arguments, "--out", out)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


def _explain(file: Path) -> Any:
    done = run("explain", "--json", file)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class TestWheel:
    pytestmark = kit

    def test_the_rows_are_the_library(self, wheel: Path, tmp_path: Path) -> None:
        said = _explain(wheel)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(tmp_path)
        folder = tmp_path / "ortpack_runtimes" / "mylib-ort"
        library = folder / said["library"]
        assert said["from_map"] is True
        assert sum(row["bytes"] for row in said["subsystems"]) == said["size"] == library.stat().st_size
        shares = Counter({row["subsystem"]: row["bytes"] for row in said["subsystems"]})
        assert {"kernels", "MLAS", "framework and executor", "graph", "relocations"} <= set(shares)
        assert shares["other"] < said["size"] / 1000
        assert _explain(folder) == _explain(library) == said

    def test_operators_are_those_of_the_runtime(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            runtime = json.loads(archive.read("ortpack_runtimes/mylib-ort/runtime.json"))
        kernels = {
            line.split(";")[0] + ":" + line.split(";")[2].partition("<")[0] for line in runtime["minimal"]["kernels"]
        }
        said = {
            name if ":" in name else f"ai.onnx:{name}"
            for row in _explain(wheel)["operators"]
            for name in row["operators"]
        }
        assert said == kernels
        lstm = next(row for row in _explain(wheel)["operators"] if row["operators"] == ["LSTM"])
        assert lstm["code"] > 1000

    def test_the_table(self, wheel: Path) -> None:
        done = run("explain", "--top", 3, wheel)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        lines = done.stdout.splitlines()
        heads = [index for index, line in enumerate(lines) if line.endswith("bytes  share")]
        assert [lines[index].split()[0] for index in heads] == ["subsystem", "kernels"]
        assert len(lines) - heads[1] == 1 + 3 + 2
        assert " more " in lines[-2]

    def test_an_exchanged_library_is_found(self, wheel: Path, tmp_path: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(tmp_path)
        folder = tmp_path / "ortpack_runtimes" / "mylib-ort"
        library = folder / _explain(wheel)["library"]
        library.write_bytes(library.read_bytes()[:-1] + b"x")
        done = run("explain", folder)
        assert (done.returncode, done.stdout) == (10, "")
        assert f"{sizes.NAME} is about another library" in done.stderr
