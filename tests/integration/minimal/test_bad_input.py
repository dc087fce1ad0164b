"""What `minimal` says of models and configs that are wrong: no kit is needed to know, and nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.command import run
from support.models import model

if TYPE_CHECKING:
    from pathlib import Path

onnx = pytest.importorskip("onnx")
pytest.importorskip("ortpack")


def one_node(path: Path, *, domain: str = "", op: str = "Relu", opset: int = 17, ir: int = 8) -> None:
    helper = onnx.helper
    values = [helper.make_tensor_value_info(name, 1, [2]) for name in ("x", "y")]
    node = helper.make_node(op, ["x"], ["y"], name="the_node", domain=domain)
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=ir), path)


def said(tmp_path: Path, code: int, *arguments: object) -> str:
    """The paragraph that the command ends with, having written nothing."""
    out = tmp_path / "out"
    done = run("minimal", "--name", "a-b", "--ort", "1.21.0", "--out", out, *arguments)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists() or not list(out.iterdir())
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ortpack-build: "), done.stderr
    return last


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ai.onnx;13;Add,\nai.onnx;x;Mul", "c.config:2:9: 'x' is no opset"),
        ("ai.onnxx;13;Add", "c.config:1:1: ONNX Runtime has no domain 'ai.onnxx'. Did you mean ai.onnx?"),
        ("ai.onnx;13;Addd", "c.config:1:12: ai.onnx has no operator 'Addd'. Did you mean Add?"),
        ('ai.onnx;13;Add{"inputs": {"0": ["int"]}}', "c.config:1:33: 'int' is no type"),
        ("# nothing\n", "c.config: no operator is needed"),
    ],
)
def test_configs(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "c.config"
    path.write_text(text)
    assert message in said(tmp_path, 11, "--ops", path)


@pytest.mark.parametrize("flavour", ["onnx", "ort"])
def test_models(flavour: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"

    def last(*arguments: object) -> str:
        return said(tmp_path, 12, "--flavour", flavour, "--model", path, *arguments)

    path.write_bytes(model("magika").read_bytes()[:5000])
    assert f"{path} is no ONNX model, or a damaged one" in last()
    one_node(path, opset=99)
    assert "is of opset 99" in last()
    one_node(path, ir=99)
    assert "is of IR version 99" in last()
    one_node(path, opset=23)  # the onnx package knows it, the release does not
    assert "ONNX Runtime 1.21.0 refuses it" in last()
    one_node(path, domain="my", op="Foo")
    assert "the node the_node is of my:Foo" in last()
    assert "--custom-ops LIBRARY" in last()
    one_node(path, op="Foo")
    assert "ai.onnx:Foo (opset 17), which nobody knows" in last()


def test_a_packed_kit_that_is_not_there(tmp_path: Path) -> None:
    one_node(tmp_path / "m.onnx")
    done = said(tmp_path, 2, "--model", tmp_path / "m.onnx", "--from", tmp_path / "kit.tar.zst")
    assert f"There is no file {tmp_path / 'kit.tar.zst'}" in done
