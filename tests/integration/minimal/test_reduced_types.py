"""`minimal --reduce-types` as a user runs it, on a real model: needs a kit, see the marker `kit`."""

from __future__ import annotations

import json
import re
import zipfile
from typing import TYPE_CHECKING

import pytest

from ortpack_build.base.ar import read_archive
from ortpack_build.kernels.select import select
from ortpack_build.link import link_library
from ortpack_build.ops import config
from ortpack_build.ops.opset import TYPES
from ortpack_build.products import kit as kit_product
from support import kits
from support.command import run
from support.models import model

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("onnx")
pytest.importorskip("ortpack")

pytestmark = kits.NEEDED


def test_a_library_gets_smaller_and_still_runs_its_model(tmp_path: Path) -> None:
    given = ["--name", "my-vad", "--model", model("silero_vad"), "--reduce-types", "--out", tmp_path]
    done = run("minimal", *given, *kits.arguments()[2:])
    assert done.returncode == 0, done.stderr
    said = re.search(r"Reducing types: ([\d.]+) -> ([\d.]+) MB, ([\d,]+) bytes less, \d+ files", done.stderr)
    assert said, done.stderr
    assert int(said[3].replace(",", "")) > 100_000
    assert float(said[2]) < float(said[1])
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        runtime = json.loads(archive.read("ortpack_runtimes/my-vad/runtime.json"))
    assert runtime["verification"]["verified"] is True
    assert "ai.onnx;Cast;output 0;" in " ".join(runtime["minimal"]["types"])
    assert abs(runtime["files"][runtime["library"]]["size"] / 1e6 - float(said[2])) < 0.01


def test_files_are_compiled_as_the_kit_was(tmp_path: Path) -> None:
    """With all the types that it has anyway, a file becomes the very object that the kit holds."""
    ops = config.parse("ai.onnx;9;Shrink" + json.dumps({"inputs": {"0": TYPES}}))
    job = kit_product.prepare_link(kits.job(), reduce_types=True)
    linked = link_library(job, select(job.kit.kernels, ops).kernels, tmp_path, types=ops)
    assert linked.types == (f"ai.onnx;Shrink;input 0;{','.join(sorted(TYPES))}",)
    reduced = [path.parent for path in (job.context.cache.root / "reduced").glob("*/reduced.json")]
    abouts = {folder: json.loads((folder / "reduced.json").read_bytes()) for folder in reduced}
    made = [folder for folder, about in abouts.items() if about["types"] == list(linked.types)]
    assert made  # for each kit that was reduced in this cache so
    for folder in made:
        (one,) = abouts[folder]["objects"]
        members = dict(enumerate(read_archive(linked.kit.path / "lib" / one["archive"]).members()))
        if members[one["member"]] == ("shrink.cc.o", (folder / one["file"]).read_bytes()):
            return
    pytest.fail("no object is the kit's own")
