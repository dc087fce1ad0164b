"""examples/mylib_embedded: made, built, installed with NumPy and nothing else, and run. Needs an `ort` kit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

from support import kits, official, speech
from support.models import model

ortpack = pytest.importorskip("ortpack")

_FILE = os.environ.get("ORTPACK_TEST_KIT", "")
pytestmark = [
    pytest.mark.kit,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(not os.environ.get("ORTPACK_TEST_KITS"), reason="ORTPACK_TEST_KITS is not set"),
    pytest.mark.skipif("-onnx-" in _FILE, reason="the example is of the ort flavour"),
    kits.STATIC,
]

EXAMPLE = Path(__file__).parents[3] / "examples" / "mylib_embedded"
_SCRIPT = """
import json, sys
import numpy as np
from mylib_embedded import Listener

listener, samples = Listener(), np.load(sys.argv[1])
heard = [listener.hear(samples[start : start + 512]) for start in range(0, len(samples) - 511, 512)]
print(json.dumps({"heard": heard, "loaded": [name for name in ("ortpack", "onnxruntime") if name in sys.modules]}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the example's README says."""
    folder = tmp_path_factory.mktemp("example")
    project = folder / "mylib_embedded"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("_ort"))
    kit = ["--from", _FILE] if _FILE else []
    subprocess.run([sys.executable, project / "make_runtime.py", "--ort", "1.21.0", *kit], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={folder}", str(project)]
    subprocess.run(command, check=True)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_holds_one_native_file_and_every_licence(wheel: Path) -> None:
    assert wheel.name == "mylib_embedded-1.0.0-cp310-abi3-manylinux_2_17_x86_64.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        native = [name for name in names if archive.read(name)[:4] == b"\x7fELF"]
    assert native == ["mylib_embedded/_ort/_binding.abi3.so"]
    texts = {name.rpartition("/")[2] for name in names if ".dist-info/licenses/" in name}
    assert texts >= {"onnxruntime-LICENSE", "onnxruntime-ThirdPartyNotices.txt", "silero-vad-LICENSE"}


def test_it_hears_what_the_official_library_hears(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    install = ["install", "--quiet", "--only-binary=:all:", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True)
    samples = speech.audio()
    np.save(tmp_path / "samples.npy", samples)
    done = subprocess.run(
        [python, "-c", _SCRIPT, tmp_path / "samples.npy"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["loaded"] == []
    session = ortpack.InferenceSession(
        model("silero_vad_16k"), runtime=ortpack.load_runtime(official.library(official.OLDER))
    )
    expected = speech.probabilities(session, samples)
    assert expected.max() > 0.9
    assert expected.min() < 0.1
    assert np.array(said["heard"]) == pytest.approx(expected, abs=1e-3)
