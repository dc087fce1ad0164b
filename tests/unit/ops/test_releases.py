"""What was made for, or by, another release of ONNX Runtime is noticed and said."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.base.errors import ModelError, UsageError
from ortpack_build.base.report import Reporter
from ortpack_build.catalog import manifests
from ortpack_build.ops import config, full_runtime, needs, ort_model
from ortpack_build.origin import source

_MODEL = Path(__file__).parents[2] / "support" / "small_models" / "network.ort"


def _said(query: needs.OperatorQuery, folder: Path) -> str:
    stream = io.StringIO()
    needs.examine(query, lambda: pytest.fail("nothing is to be optimized"), _context(stream, folder))
    return stream.getvalue()


def _context(stream: io.StringIO, folder: Path) -> Context:
    return Context(cache=Cache(root=folder / "cache"), report=Reporter(console=Console(file=stream)), environ={})


def _old(folder: Path, version: str) -> Path:
    """The small model, as if an older release had written it."""
    data = _MODEL.read_bytes()
    newest = b"\x01\x00\x00\x00" + ort_model.NEWEST.encode() + b"\x00"
    assert data.count(newest) == 1
    path = folder / "old.ort"
    path.write_bytes(data.replace(newest, newest.replace(ort_model.NEWEST.encode(), version.encode())))
    return path


@pytest.mark.parametrize(("stated", "noticed"), [("1.32.0", True), ("1.21.0", False), (None, False)])
def test_a_config_of_another_release(tmp_path: Path, stated: str | None, noticed: bool) -> None:
    path = tmp_path / "a.config"
    path.write_text(
        f"# {config.head('ort', 'x86_64', stated, '0.1.0')}\n# - a.onnx\nai.onnx;14;Add\n", encoding="utf-8"
    )
    assert config.release_of(path) == stated
    said = _said(needs.OperatorQuery(configs=(path,), flavour="ort", arch="x86_64", ort="1.21.0"), tmp_path)
    assert ("was written for ONNX Runtime 1.32.0, this is for 1.21.0" in said) is noticed


def test_a_config_that_ops_writes_states_its_release(tmp_path: Path) -> None:
    query = needs.OperatorQuery(models=(_MODEL,), flavour="ort", arch="x86_64", ort="1.21.0")
    path = tmp_path / "a.config"
    path.write_text(
        needs.text(needs.needed(query, pytest.fail, _context(io.StringIO(), tmp_path)), query), encoding="utf-8"
    )
    assert config.release_of(path) == "1.21.0"


def test_a_model_of_this_release_is_nothing_to_speak_of(tmp_path: Path) -> None:
    query = needs.OperatorQuery(models=(_MODEL,), flavour="ort", arch="x86_64", ort="1.21.0")
    assert "warning" not in _said(query, tmp_path)


def test_a_model_of_an_older_release_is_said(tmp_path: Path) -> None:
    query = needs.OperatorQuery(models=(_old(tmp_path, "5"),), flavour="ort", arch="x86_64", ort="1.21.0")
    assert "old.ort was converted by ONNX Runtime 1.13 to 1.15 (format 5): it loads" in _said(query, tmp_path)


def test_a_model_that_no_minimal_build_reads_is_an_error(tmp_path: Path) -> None:
    query = needs.OperatorQuery(models=(_old(tmp_path, "4"),), flavour="ort", arch="x86_64", ort="1.21.0")
    with pytest.raises(ModelError, match=r"old\.ort .* 1\.8 to 1\.12 .* no minimal build reads"):
        _said(query, tmp_path)


def test_models_are_made_for_the_release_of_kits() -> None:
    catalog = manifests.load()
    assert full_runtime.release(catalog) == source.default_release()
    assert full_runtime.release(catalog, "1.32.0") == "1.32.0"
    with pytest.raises(UsageError, match=r"There is no release 1\.21\.1"):
        full_runtime.release(catalog, "1.21.1")
