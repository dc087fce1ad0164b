"""Gets the model from PyPI and makes its runtime: src/mylib_embedded/_ort. Arguments go to ortpack-build."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

SOURCE = Path(__file__).parent / "src"
MODEL, LICENSE = "silero_vad/data/silero_vad_16k_op15.onnx", "silero_vad-6.2.3.dist-info/licenses/LICENSE"  # MIT
MINIMAL = ["--flavour", "ort", "--embed", "mylib_embedded._ort", "--linkage", "static"]

with tempfile.TemporaryDirectory() as scratch:
    download = ["download", "--quiet", "--no-deps", "--only-binary=:all:", f"--dest={scratch}", "silero-vad==6.2.3"]
    subprocess.run([sys.executable, "-m", "pip", *download], check=True)
    (wheel,) = Path(scratch).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        model = archive.extract(MODEL, scratch)
        (SOURCE / "mylib_embedded" / "silero-vad-LICENSE").write_bytes(archive.read(LICENSE))
    command = ["minimal", "--model", model, *MINIMAL, "--out", SOURCE, *sys.argv[1:]]
    subprocess.run([sys.executable, "-m", "ortpack_build", *command], check=True)
