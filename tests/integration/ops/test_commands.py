"""`ortpack-build ops` and `convert`, run as a user runs them; and what they say about bad input."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ortpack_build.ops import Operator, config, models
from support import tricky
from support.command import run
from support.models import feeds, model
from support.official import OLDER
from support.packages import Source, fetch

if TYPE_CHECKING:
    from pathlib import Path

onnx = pytest.importorskip("onnx")

# Brings the domain ai.onnx.contrib; the library is a Python module, but loads without Python's help.
EXTENSIONS = Source(
    requirement="onnxruntime-extensions==0.15.2",
    sha256="c159a9d05c3133122a92d1b4ade8be4c216222e15736dbd73d9aef3eb12da27f",
    member="onnxruntime_extensions/_extensions_pydll.cpython-312-x86_64-linux-gnu.so",
    tags=("--platform=manylinux_2_28_x86_64", "--python-version=3.12", "--implementation=cp", "--abi=cp312"),
)


def relu(path: Path, *, domain: str = "", op: str = "Relu", opset: int = 17) -> Path:
    helper = onnx.helper
    values = [helper.make_tensor_value_info(name, 1, [2]) for name in ("x", "y")]
    node = helper.make_node(op, ["x"], ["y"], name="the_node", domain=domain)
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return path


def fails(cache: Path, *arguments: object, code: int, says: str) -> str:
    """The command ends with this code, one paragraph that says this, and nothing on standard output."""
    done = run(*arguments, "--cache", cache)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ortpack-build: "), done.stderr
    assert says in last
    return last


def test_ops_of_models_and_configs(cache: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra.config"
    extra.write_text('ai.onnx;13;Cast{"inputs": {"0": ["double"]}, "outputs": {"0": ["float"]}},Det\n')
    out = tmp_path / "deep" / "ops.config"
    done = run("ops", model("silero_vad"), "--flavour", "ort", "--ops", extra, "-o", out, "--cache", cache)
    assert (done.returncode, done.stdout) == (0, f"{out}\n"), done.stderr
    ops = config.read(out)
    assert {need.name for need in ops.needs} >= {"Det", "LSTM", "If", "FusedConv"}
    assert dict(ops.types_of(Operator("ai.onnx", "Cast")).inputs)[0] >= {"double", "int64_t"}
    head = out.read_text().splitlines()[:3]
    assert head[0].startswith("# For the ort flavour on ")
    assert head[1:] == ["# - extra.config", "# - silero_vad.onnx"]

    printed = run("ops", "--ops", out, extra, "--cache", cache)
    assert config.parse(printed.stdout) == ops


def test_ops_of_the_onnx_flavour_hold_those_of_the_converted_model(cache: Path, tmp_path: Path) -> None:
    done = run("convert", model("magika"), "--out", tmp_path, "--cache", cache)
    assert done.returncode == 0, done.stderr
    whole = run("ops", model("magika"), "--cache", cache)
    part = run("ops", tmp_path / "model.ort", "--flavour", "ort", "--cache", cache)
    assert config.parse(part.stdout) | config.parse(whole.stdout) == config.parse(whole.stdout)


@pytest.mark.parametrize("release", [(), ("--ort", OLDER)])
def test_converted_models_give_the_same(cache: Path, tmp_path: Path, release: tuple[str, ...]) -> None:
    ort = pytest.importorskip("onnxruntime")
    names = {"silero_vad": "silero_vad.ort", "magika": "model.ort", "ppocr_cls": "ch_ppocr_mobile_v2.0_cls_infer.ort"}
    sources = [model(name) for name in names]
    done = run("convert", *sources, "--out", tmp_path / "out", "--cache", cache, *release)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(tmp_path / "out" / name) for name in names.values()]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names.values())
    for name, file in names.items():
        results: list[Any] = []
        for path in (model(name), tmp_path / "out" / file):
            session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
            results.append(session.run(None, feeds(name)))
        for one, other in zip(*results, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_conversion_for_arm_keeps_signed_quantization(cache: Path, tmp_path: Path) -> None:
    tricky.quantized(tmp_path / "q.onnx", "int8")
    types = {}
    for target in ("linux-x86_64", "linux-aarch64"):
        done = run("convert", tmp_path / "q.onnx", "--out", tmp_path / target, "--target", target, "--cache", cache)
        assert done.returncode == 0, done.stderr
        ops = models.read(tmp_path / target / "q.ort").ops
        operator = next(op for op in ops.operators if op.name == "QLinearConv")
        types[target] = dict(ops.types_of(operator).inputs)[0]
    assert types == {"linux-x86_64": {"uint8_t"}, "linux-aarch64": {"int8_t"}}


def test_models_with_tensors_in_other_files(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "big.onnx"
    loaded = onnx.load(model("magika"))
    onnx.save(loaded, path, save_as_external_data=True, location="big.bin", size_threshold=1024)
    assert path.stat().st_size < model("magika").stat().st_size / 2
    done = run("convert", path, "--out", tmp_path / "out", "--cache", cache)
    assert done.returncode == 0, done.stderr
    apart = run("ops", path, "--cache", cache).stdout
    together = run("ops", model("magika"), "--cache", cache).stdout
    assert config.parse(apart) == config.parse(together)
    assert "warning" not in run("ops", path, "--cache", cache).stderr
    (tmp_path / "big.bin").unlink()
    fails(cache, "ops", path, code=12, says="refuses it")
    ort = pytest.importorskip("onnxruntime")  # the converted model has everything in itself
    sessions = [ort.InferenceSession(file) for file in (tmp_path / "out" / "big.ort", model("magika"))]
    one, other = (session.run(None, feeds("magika"))[0] for session in sessions)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_operators_of_a_library(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    helper, text = onnx.helper, onnx.TensorProto.STRING
    values = [helper.make_tensor_value_info(name, text, [None]) for name in ("x", "u", "y")]
    nodes = [
        helper.make_node("StringUpper", ["x"], ["u"], name="upper", domain="ai.onnx.contrib"),
        helper.make_node("Identity", ["u"], ["y"]),
        helper.make_node("Identity", ["y"], ["z"]),
    ]
    last = helper.make_tensor_value_info("z", text, [None])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.contrib", 1)]
    graph = helper.make_graph(nodes, "g", values[:1], [last])
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    said = fails(cache, "ops", path, code=12, says="the node upper is of ai.onnx.contrib:StringUpper")
    assert "--custom-ops LIBRARY" in said
    assert "register_custom_ops_library" in said
    fails(cache, "ops", path, "--custom-ops", tmp_path / "no.so", code=2, says="There is no file")
    fails(cache, "ops", path, "--custom-ops", path, code=12, says="refuses it")
    library = fetch(EXTENSIONS)
    done = run("ops", path, "--custom-ops", library, "--cache", cache)
    assert done.returncode == 0, done.stderr
    ops = config.parse(done.stdout)
    assert ops.domains == {"ai.onnx"}  # the runtime need not have what the library brings


def test_bad_configs(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.config"
    for text, says in (
        ("ai.onnx;13;Add,\nai.onnx;x;Mul", f"{path}:2:9: 'x' is no opset"),
        ("ai.onnxx;13;Add", f"{path}:1:1: ONNX Runtime has no domain 'ai.onnxx'. Did you mean ai.onnx?"),
        ("ai.onnx;13;Addd", f"{path}:1:12: ai.onnx has no operator 'Addd'. Did you mean Add?"),
        ('ai.onnx;13;Add{"inputs": {"0": ["int"]}}', f"{path}:1:33: 'int' is no type"),
        ("# nothing\n", f"{path}: no operator is needed"),
    ):
        path.write_text(text)
        fails(cache, "ops", "--ops", path, code=11, says=says)
    fails(cache, "ops", "--ops", tmp_path / "gone", code=11, says="can't be read")
    fails(cache, "ops", "--ops", relu(tmp_path / "m.onnx"), code=11, says="is not text")


def test_bad_models(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    fails(cache, "ops", tmp_path / "gone.onnx", code=12, says="can't be read")
    path.write_bytes(model("magika").read_bytes()[:5000])
    fails(cache, "ops", path, code=12, says="is no ONNX model, or a damaged one")
    fails(cache, "convert", path, "--out", tmp_path / "out", code=12, says="is no ONNX model, or a damaged one")
    fails(cache, "ops", relu(path, opset=99), code=12, says="is of opset 99")
    fails(cache, "ops", relu(path, opset=23), "--ort", OLDER, code=12, says=f"ONNX Runtime {OLDER} refuses it")
    fails(cache, "ops", relu(path, domain="my", op="Foo"), code=12, says="the node the_node is of my:Foo")
    fails(cache, "ops", relu(path, domain="com.microsoft", op="Foo"), code=12, says="com.microsoft:Foo")
    fails(cache, "ops", relu(path, op="Foo"), code=12, says="ai.onnx:Foo (opset 17), which nobody knows")
    assert not list((tmp_path / "out").iterdir())


def test_ort_format_models_that_are_wrong(cache: Path, tmp_path: Path) -> None:
    assert run("convert", model("magika"), "--out", tmp_path, "--cache", cache).returncode == 0
    path = tmp_path / "model.ort"
    fails(cache, "convert", path, "--out", tmp_path / "out", code=12, says="is an ORT-format model already")
    fails(cache, "convert", path, "--out", tmp_path, code=2, says="would be overwritten")
    data = path.read_bytes()
    root = int.from_bytes(data[:4], "little")
    field = root + int.from_bytes(data[12:14], "little")  # the first entry of the table of offsets at byte 8
    version = field + int.from_bytes(data[field : field + 4], "little") + 4
    assert data[version - 4 : version + 2] == b"\x01\x00\x00\x006\x00"
    path.write_bytes(data[:version] + b"9" + data[version + 1 :])
    said = fails(cache, "ops", path, code=12, says="is an ORT-format model of version 9; known are 4, 5, 6")
    assert "ortpack-build convert" in said
    path.write_bytes(data[: len(data) // 2])
    fails(cache, "ops", path, code=12, says="is a damaged ORT-format model")


def test_conversions_that_would_meet(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    other = relu(tmp_path / "a" / "model.onnx")
    fails(cache, "convert", other, model("magika"), "--out", tmp_path, code=2, says="Two models would become")


def test_a_folder_that_is_in_the_way(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    fails(cache, "convert", relu(tmp_path / "m.onnx"), "--out", tmp_path / "out", code=5, says="can't be written")
    fails(cache, "ops", relu(tmp_path / "m.onnx"), "-o", tmp_path / "out" / "c", code=5, says="can't be written")


def test_the_same_conversion_twice_at_once(cache: Path, tmp_path: Path) -> None:
    arguments = ["convert", str(model("ppocr_rec")), "--out", str(tmp_path / "out"), "--cache", str(cache)]
    command = [sys.executable, "-m", "ortpack_build", *arguments]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate() and process.returncode for process in both] == [0, 0]
    (made,) = (tmp_path / "out").iterdir()
    assert models.read(made).ops


def test_usage(cache: Path, tmp_path: Path) -> None:
    fails(cache, "ops", code=2, says="Nothing is given")
    path = relu(tmp_path / "m.onnx")
    fails(cache, "ops", path, "--target", "linux-x86", code=2, says="Did you mean linux-x86_64?")
    fails(cache, "ops", path, "--ort", "9.9.9", code=2, says="9.9.9")
