"""Providers that are named in a `runtime.json` but do not work: passed over with a reason, or an error when named."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from support.models import model
from support.official import NEWEST, OLDER, library
from support.runs import last_line
from support.sites import needs_no_driver

if TYPE_CHECKING:
    from pathlib import Path

    from support.sites import Site

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
NEEDS = [
    {"fact": "nvidia-driver", "mend": "install NVIDIA's driver"},
    {"fact": "cuda-driver", "at_least": "13.0", "mend": "update the NVIDIA driver to 580 or newer"},
    {"fact": "nvidia-gpu", "mend": "install another variant"},
]
DRIVER = {"library": "libcuda.so.1", "from": "driver"}


def claim_cuda(site: Site, **changes: Any) -> Path:
    """A runtime that says it has CUDA; its library, the official one for the CPU, has not."""
    given = {"needs": NEEDS, "requires": [DRIVER], "extra": "cuda", "priority": 100, **changes}
    return site.add("cuda", providers=[CUDA, CPU], devices={"cuda": [CUDA, CPU], "cpu": [CPU]}, **given)


def session(wish: str = "", shown: str = ".get_providers()") -> str:
    return f"import ortpack; print(ortpack.InferenceSession({str(model('silero_vad'))!r}{wish}){shown})"


@needs_no_driver
def test_without_a_driver_automatic_mode_warns_and_a_wish_is_an_error(site: Site) -> None:
    site.add("cpu")
    claim_cuda(site)
    done = site.code(session())
    assert done.stdout.strip() == f"['{CPU}']"
    assert done.stderr.count("FallbackWarning") == 1
    assert "cuda: this machine has no NVIDIA driver: install NVIDIA's driver" in done.stderr
    for wish in (", device='cuda'", f", providers=['{CUDA}']", ", runtime='cuda'"):
        message = last_line(site.code(session(wish)))
        assert "RuntimeUnusableError" in message
        assert "no NVIDIA driver: install NVIDIA's driver" in message
    assert "RuntimeUnusableError" in last_line(site.code(session(), ORTPACK_RUNTIME="cuda"))
    assert "RuntimeUnusableError: allow_fallback=False" in last_line(site.code(session(", allow_fallback=False")))
    assert site.code(session(", device='cpu', allow_fallback=False")).stdout.strip() == f"['{CPU}']"


def test_with_a_driver_the_providers_own_failure_is_reported(site: Site, driver: str) -> None:
    site.add("cpu")
    claim_cuda(site)
    explained = site.code("import ortpack; print(ortpack.explain())", LD_LIBRARY_PATH=driver)
    assert "-> cuda: usable" in explained.stdout
    done = site.code(session(), LD_LIBRARY_PATH=driver)
    assert done.stdout.strip() == f"['{CPU}']"
    assert done.stderr.count("FallbackWarning: ortpack runs on 'cpu' because: cuda: ") == 1
    assert "CUDA" in done.stderr
    named = site.code(session(", device='cuda'"), LD_LIBRARY_PATH=driver)
    assert "UnknownProviderError: the runtime 'cuda' has no provider 'CUDAExecutionProvider'" in last_line(named)


@needs_no_driver
def test_a_library_of_a_wheel_that_is_missing_is_named_with_what_brings_it(site: Site, driver: str) -> None:
    site.add("cpu")
    entry = {
        "library": "libcudnn.so.9",
        "from": "pip",
        "distribution": "nvidia-cudnn-cu13",
        "path": "nvidia/cudnn/lib/libcudnn.so.9",
    }
    claim_cuda(site, requires=[entry, DRIVER])
    message = last_line(site.code(session(", device='cuda'"), LD_LIBRARY_PATH=driver))
    assert 'libcudnn.so.9 is missing, which nvidia-cudnn-cu13 brings: pip install "ortpack[cuda]"' in message


def test_libraries_of_wheels_are_loaded_by_absolute_path_and_in_order(site: Site, tmp_path: Path) -> None:
    """The runtime needs libsecond.so, which needs libfirst.so: neither could be found by its name."""

    def build(folder: Path, name: str, code: str, *needs: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / name
        command = [
            "cc",
            "-shared",
            "-fPIC",
            f"-Wl,-soname,{name}",
            "-Wl,--no-as-needed",
            "-x",
            "c",
            "-",
            "-o",
            str(file),
        ]
        subprocess.run([*command, "-x", "none", *map(str, needs)], input=code.encode(), check=True)
        return file

    first = build(site.folder / "vendor" / "one", "libfirst.so.1", "int first(void) { return 1; }")
    second = build(
        site.folder / "vendor" / "two", "libsecond.so.1", "int first(void); int second(void) { return first(); }", first
    )
    planted = tmp_path / "planted"
    for name in ("libfirst.so.1", "libsecond.so.1"):
        build(planted, name, "#include <stdlib.h>\n__attribute__((constructor)) void go(void) { abort(); }")
    runtime = build(
        tmp_path / "lib",
        "libonnxruntime.so",
        "int second(void); void *OrtGetApiBase(void) { second(); return 0; }",
        second,
    )
    requires = [
        {"library": file.name, "from": "pip", "path": str(file.relative_to(site.folder))} for file in (first, second)
    ]
    site.add("needy", source=runtime, requires=requires)
    code = "import ortpack; ortpack.load_runtime('needy')"
    message = last_line(site.run("-c", code, cwd=planted, PATH=f"{planted}:/usr/bin:/bin"))
    assert "its OrtGetApiBase returned nothing" in message  # so both were loaded, and the real ones
    shown = "import ortpack\ntry:\n    ortpack.load_runtime('needy')\nexcept ortpack.OrtpackError: pass\n"
    shown += "print([l.split()[-1] for l in open('/proc/self/maps') if 'libfirst' in l or 'libsecond' in l])"
    loaded = site.run("-c", shown, cwd=planted).stdout
    assert str(planted) not in loaded
    assert str(first) in loaded
    assert str(second) in loaded
    second.unlink()
    assert "libsecond.so.1 is missing" in last_line(site.run("-c", code))


def test_a_damaged_library_of_a_wheel_is_named(site: Site) -> None:
    broken = site.folder / "vendor" / "libbroken.so.1"
    broken.parent.mkdir()
    broken.write_bytes(b"no library")
    site.add("needy", requires=[{"library": broken.name, "from": "pip", "path": "vendor/libbroken.so.1"}])
    message = last_line(site.code("import ortpack; ortpack.load_runtime('needy')"))
    assert "RuntimeLoadError: could not load" in message
    assert str(broken) in message


def test_an_extension_uses_the_library_of_the_runtime_that_it_extends(site: Site, tmp_path: Path) -> None:
    """As CoreML's does on macOS: nothing but a `runtime.json`, the provider is in the extended library."""
    site.add("cpu")
    folder = site.folder / "ortpack_runtimes" / "more"
    folder.mkdir()
    data = json.loads((site.folder / "ortpack_runtimes" / "cpu" / "runtime.json").read_text())
    for key in ("library", "linkage", "model_formats", "reduced"):
        del data[key]
    extends: dict[str, Any] = {"runtime": "cpu", "ort_versions": f"=={NEWEST}", "files": {}}
    data |= {"name": "more", "kind": "extension", "files": {}, "extends": extends, "priority": 5}
    data |= {"devices": {"more": [CPU]}, "version": NEWEST}
    (folder / "runtime.json").write_text(json.dumps(data))
    shown = "print(ortpack.runtime().info.name, ortpack.runtime().base.name, ortpack.get_version_string())"
    assert site.code(f"import ortpack; {shown}").stdout.split() == ["more", "cpu", NEWEST]
    extends["files"] = {"libmore.so": {"sha256": "", "size": 1}}
    (folder / "runtime.json").write_text(json.dumps(data))
    done = site.code("import ortpack; print(ortpack.runtime().info.name)")
    assert done.stdout.strip() == "cpu"
    assert "libmore.so is missing: reinstall" in done.stderr


def test_a_runtime_that_is_uninstalled_while_a_session_runs_goes_on(site: Site) -> None:
    folder = site.add("cpu")
    code = f"""
import shutil, sys
sys.path.append({str(library(NEWEST).parent)!r})
import numpy as np, ortpack
feeds = {{"input": np.zeros((1, 576), np.float32), "state": np.zeros((2, 1, 128), np.float32), "sr": np.array(16000)}}
session = ortpack.InferenceSession({str(model("silero_vad"))!r})
before = session.run(None, feeds)
shutil.rmtree({str(folder)!r})
for a, b in zip(before, session.run(None, feeds)):
    np.testing.assert_array_equal(a, b)
again = ortpack.InferenceSession({str(model("silero_vad"))!r})
print(again.run(None, feeds)[0].shape, ortpack.runtimes())
"""
    done = site.code(code)
    assert done.stdout.strip() == "(1, 1) ()", done.stderr


def test_a_session_that_the_best_runtime_cannot_create_is_created_by_the_next(site: Site, tmp_path: Path) -> None:
    """An accelerated runtime of an older release, and a model that only the newer one can read."""
    from onnx import TensorProto, helper

    node = helper.make_node("Relu", ["x"], ["y"])
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph([node], "g", ports[:1], ports[1:])
    new = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=11)
    (tmp_path / "new.onnx").write_bytes(new.SerializeToString())
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    azure = "AzureExecutionProvider"
    devices = {"service": [azure, CPU], "cpu": [CPU]}
    site.add("cpu")
    site.add("old", release=OLDER, priority=10, providers=[azure, CPU], devices=devices)
    code = "import ortpack, numpy as np\n"
    code += f"session = ortpack.InferenceSession({str(tmp_path / 'new.onnx')!r}%s)\n"
    code += "print(session.run(None, {'x': np.array([-1, 2], np.float32)})[0], session.runtime.info.name)"
    done = site.code(code % "")
    assert done.stdout.strip() == "[0. 2.] cpu", done.stderr
    assert done.stderr.count("FallbackWarning: ortpack runs on 'cpu' because: old: could not load the model") == 1
    assert "ortpack.errors.Fail" in last_line(site.code(code % ", allow_fallback=False"))
    assert "ortpack.errors.Fail" in last_line(site.code(code % ", device='service'"))
    assert "ortpack.errors.Fail" in last_line(site.code(code % ", runtime='old'"))
    bad = site.code(f"import ortpack; ortpack.InferenceSession({str(tmp_path / 'bad.onnx')!r})")
    assert "InvalidProtobuf" in last_line(bad)
