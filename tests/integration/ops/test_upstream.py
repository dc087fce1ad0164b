"""The same as upstream's tools: their configs are read as they are, and our analysis gives the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ortpack_build.kernels import type_lists
from ortpack_build.ops import Types, config, models, vocabulary
from support import operators
from support.models import MODELS, model

if TYPE_CHECKING:
    from collections.abc import Mapping

pytest.importorskip("onnxruntime")
pytest.importorskip("flatbuffers")

PARSE = """
import json, sys
from onnxruntime.tools.reduced_build_config_parser import parse_config
ops, types = parse_config(sys.argv[1], enable_type_reduction=True)
print(json.dumps({"ops": {d: {str(o): sorted(n) for o, n in v.items()} for d, v in ops.items()},
                  "types": sorted(types.get_cpp_entries()) if types else None}))
"""


@pytest.fixture(scope="session", params=sorted(MODELS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where upstream's tool converted a model, in both styles, each with a config."""
    folder = tmp_path_factory.mktemp(request.param)
    source = folder / "m.onnx"
    shutil.copy(model(request.param), source)
    command = ["-m", "onnxruntime.tools.convert_onnx_models_to_ort", "--enable_type_reduction"]
    command += ["--optimization_style", "Fixed", "Runtime", "--", str(source)]
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    return folder


def upstream_reads(path: Path) -> Mapping[str, Any]:
    import json

    done = subprocess.run([sys.executable, "-c", PARSE, str(path)], check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_their_configs_are_read_as_they_are(made: Path) -> None:
    configs = sorted(made.glob("*.config"))
    assert len(configs) == 2
    for path in configs:
        lines = path.read_text().splitlines(keepends=True)
        comments = [line.removeprefix("# ").rstrip("\n") for line in lines if line.startswith("#")]
        ops = config.read(path, vocabulary.shipped())
        assert ops.types
        assert config.write(ops, comments=comments) == "".join(lines)


def test_our_analysis_gives_the_same(made: Path) -> None:
    theirs = config.read(made / "m.required_operators_and_types.config")
    assert models.read(made / "m.ort").ops == theirs


def test_saved_optimizations_too(made: Path) -> None:
    """Upstream converts a second time to see what they put in; the model says it itself."""
    theirs = config.read(made / "m.required_operators_and_types.with_runtime_opt.config")
    ours = models.read(made / "m.with_runtime_opt.ort").ops
    assert ours.needs == theirs.needs
    for operator in ours.operators:  # of what they put in, types are not known
        assert ours.types_of(operator) in (theirs.types_of(operator), Types())


def test_upstream_reads_ours_alike(made: Path, tmp_path: Path) -> None:
    theirs = made / "m.required_operators_and_types.config"
    ours = tmp_path / "ours.config"
    ours.write_text(config.write(models.read(made / "m.ort").ops))
    assert upstream_reads(ours) == upstream_reads(theirs)


def test_type_lists_for_the_compiler_are_those_of_upstream(made: Path) -> None:
    for path in made.glob("*_and_types*.config"):
        ops = config.read(path, vocabulary.shipped())
        assert sorted(type_lists.overrides(ops)) == upstream_reads(path)["types"]


def test_types_that_are_allowed_for_all_too(tmp_path: Path) -> None:
    path = tmp_path / "my.config"
    path.write_text("!globally_allowed_types;float,int64_t,bool\nai.onnx;13;Cast\n")
    assert list(type_lists.overrides(config.read(path))) == upstream_reads(path)["types"]


def test_the_list_of_operators_is_current() -> None:
    path = Path(__file__).parents[3] / "variants" / "ops" / "operators.toml"
    assert path.read_text() == operators.text()
