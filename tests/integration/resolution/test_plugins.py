"""Execution provider libraries of vendors, really registered and run, each in a new process."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.emulators import cpu_of_intel
from support.models import model
from support.official import NEWEST, OLDER
from support.plugins import install
from support.runs import last_line

if TYPE_CHECKING:
    from support.sites import Site

HELPERS = """
import sys
sys.path.append({tests!r})
import numpy as np
import ortpack
from support.models import feeds

MODELS = {models!r}

def compare(name, **wish):
    path = MODELS[name]
    session = ortpack.InferenceSession(path, **wish)
    expected = ortpack.InferenceSession(path, runtime="cpu").run(None, feeds(name))
    found = session.run(None, feeds(name))
    difference = max(float(np.abs(a - b).max()) for a, b in zip(found, expected))
    nodes = {{provider: len(nodes) for provider, nodes in session.placement().items()}}
    return session, difference, nodes
"""


@pytest.fixture
def helpers(request: pytest.FixtureRequest) -> str:
    models = {name: str(model(name)) for name in ("silero_vad", "ppocr_det")}
    return HELPERS.format(tests=str(request.config.rootpath / "tests"), models=models)


def offered_on_this_cpu() -> bool:
    """OpenVINO's plugin offers the CPU as a device on Intel's only."""
    return "GenuineIntel" in Path("/proc/cpuinfo").read_text()


INTEL = [] if offered_on_this_cpu() else cpu_of_intel()  # what runs a program on a CPU of Intel's


def test_a_vendors_cpu_plugin_is_found_and_gives_the_same_results(site: Site, helpers: str) -> None:
    site.add("cpu")
    install("nxrt-ep-cpu", site.folder)
    code = "session, difference, nodes = compare('silero_vad', device='nxrt-ep-cpu')\n"
    done = site.code(helpers + code + "print(session.get_providers()); print(difference); print(nodes['cpu_ep'])")
    assert done.returncode == 0, done.stderr
    providers, difference, nodes = done.stdout.splitlines()
    assert providers == "['cpu_ep', 'CPUExecutionProvider']"
    assert float(difference) < 1e-4
    assert int(nodes) > 50
    assert "FallbackWarning" not in done.stderr


def test_a_plugin_that_gets_no_node_at_all_is_a_warning_or_an_error(site: Site, helpers: str) -> None:
    site.add("cpu")
    install("nxrt-ep-cpu", site.folder)
    code = "session, difference, nodes = compare('ppocr_det', device='nxrt-ep-cpu'%s)\nprint(difference, *nodes)"
    done = site.code(helpers + code % "")
    assert done.stdout.split() == ["0.0", "CPUExecutionProvider"], done.stderr
    assert (
        done.stderr.count("FallbackWarning: cpu_ep runs none of the model's 328 nodes, CPUExecutionProvider does") == 1
    )
    message = last_line(site.code(helpers + code % ", allow_fallback=False"))
    assert "ortpack.errors" in message
    assert "CPU" in message


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(INTEL is None, reason="neither a CPU of Intel's nor qemu-x86_64 (Debian: apt install qemu-user)")
def test_several_providers_and_releases_run_the_same_models_in_one_process(site: Site, helpers: str) -> None:
    """Everything side by side: OpenVINO offers its CPU device on Intel's only, so elsewhere qemu plays one."""
    site.add("cpu")
    site.add("old", release=OLDER, priority=-1)
    for package in ("onnxruntime-ep-openvino", "nxrt-ep-cpu", "onnxruntime-ep-webgpu"):
        install(package, site.folder)
    code = """
for name, wish in (("ppocr_det", {"device": "openvino"}), ("silero_vad", {"device": "nxrt-ep-cpu"}),
                   ("ppocr_det", {"runtime": "old"}), ("silero_vad", {"runtime": "old"})):
    session = ortpack.InferenceSession(MODELS[name], **wish)
    expected = ortpack.InferenceSession(MODELS[name], runtime="cpu").run(None, feeds(name))
    difference = max(float(np.abs(a - b).max()) for a, b in zip(session.run(None, feeds(name)), expected))
    print(name, session.runtime.library.version, session.get_providers()[0], difference)
ran = ortpack.InferenceSession(MODELS["ppocr_det"], device="openvino").placement()
print({provider: len(nodes) for provider, nodes in ran.items()})
for device, model in (("webgpu", "ppocr_det"), ("openvino", "silero_vad")):
    try:
        ortpack.InferenceSession(MODELS[model], device=device)
    except ortpack.OrtpackError as error:
        print(type(error).__name__, str(error).partition(chr(10))[0])
"""
    done = site.run("-c", helpers + code, under=INTEL or ())
    assert done.returncode == 0, done.stderr
    *runs, placed, webgpu, silero = done.stdout.splitlines()
    assert [line.split()[:3] for line in runs] == [
        ["ppocr_det", NEWEST, "OpenVINOExecutionProvider"],
        ["silero_vad", NEWEST, "cpu_ep"],
        ["ppocr_det", OLDER, "CPUExecutionProvider"],
        ["silero_vad", OLDER, "CPUExecutionProvider"],
    ]
    assert all(float(line.split()[3]) < 1e-4 for line in runs), runs
    assert placed == "{'OpenVINOExecutionProvider': 328}"
    assert "RuntimeLoadError" in webgpu
    assert "it offers no device on this machine" in webgpu
    assert silero.startswith("EPFail could not load the model")  # its branches have inputs of unknown rank


def test_openvino_runs_where_it_offers_a_device_and_says_so_where_it_does_not(site: Site, helpers: str) -> None:
    site.add("cpu")
    install("onnxruntime-ep-openvino", site.folder)
    code = "session, difference, nodes = compare('ppocr_det', device='openvino')\nprint(difference)\nprint(*nodes)"
    done = site.code(helpers + code)
    if offered_on_this_cpu():
        difference, nodes = done.stdout.splitlines()
        assert float(difference) < 1e-4
        assert "OpenVINOExecutionProvider" in nodes
    else:
        message = last_line(done)
        assert "RuntimeLoadError: the plugin 'openvino' was registered from" in message
        assert "it offers no device on this machine" in message


def test_a_plugin_without_a_device_is_an_error_when_named_and_unnoticed_when_not(site: Site) -> None:
    site.add("cpu")
    install("onnxruntime-ep-webgpu", site.folder)
    open_it = f"ortpack.InferenceSession({str(model('silero_vad'))!r}%s)"
    done = site.code("import ortpack; " + open_it % ", providers=['WebGpuExecutionProvider']")
    assert "it offers no device on this machine" in last_line(done)
    done = site.code("import ortpack; print(" + open_it % "" + ".get_providers())")
    assert done.stdout.strip() == "['CPUExecutionProvider']"
    assert done.stderr == ""


def test_vendors_packages_are_not_imported_before_they_are_needed(site: Site) -> None:
    site.add("cpu")
    package = install("nxrt-ep-cpu", site.folder)
    with (package / "__init__.py").open("a") as file:
        file.write("\nprint('imported')\n")
    session = f"ortpack.InferenceSession({str(model('silero_vad'))!r}%s)"
    assert site.code("import ortpack; print(ortpack.explain()); " + session % "").stdout.count("imported") == 0
    assert site.code("import ortpack; ortpack.explain(device='nxrt-ep-cpu')").stdout == ""
    assert site.code("import ortpack; " + session % ", device='nxrt-ep-cpu'").stdout == "imported\n"


def test_a_planted_package_of_a_vendors_name_is_not_imported(site: Site, tmp_path: Path) -> None:
    site.add("cpu")
    install("nxrt-ep-cpu", site.folder)
    planted = tmp_path / "cwd"
    planted.mkdir()
    (planted / "nxrt_ep_cpu.py").write_text("print('planted')\ndef get_library_path(): return 'x'\n")
    (planted / "onnxruntime_ep_evil").mkdir()
    (planted / "onnxruntime_ep_evil" / "__init__.py").write_text("print('planted')\ndef get_library_path(): return 'x'")
    code = f"import ortpack; print(ortpack.InferenceSession({str(model('silero_vad'))!r}, device=%r).get_providers())"
    done = site.run("-c", code % "nxrt-ep-cpu", cwd=planted, PYTHONPATH=f"{planted}:{site.folder}")
    assert done.stdout.strip() == "['cpu_ep', 'CPUExecutionProvider']", done.stderr
    done = site.run("-c", code % "evil", cwd=planted, PYTHONPATH=f"{site.folder}:{planted}")
    assert "UnknownDeviceError" in last_line(done)
    assert "planted" not in done.stdout


REGISTERED = """
import nxrt_ep_cpu, ortpack
ortpack.register_execution_provider_library("mine", nxrt_ep_cpu.get_library_path())
device, = [d for d in ortpack.get_ep_devices() if d.ep_name == "cpu_ep"]
print(device.ep_vendor, device.device.type.name)
options = ortpack.SessionOptions()
options.add_provider_for_devices([device], {})
print(options.has_providers())
"""


def test_a_library_registered_by_hand_serves_sessions_and_goes_when_they_are_gone(site: Site) -> None:
    site.add("cpu")
    install("nxrt-ep-cpu", site.folder)
    code = f"""{REGISTERED}
session = ortpack.InferenceSession({str(model("silero_vad"))!r}, options)
print(session.get_providers())
try:
    ortpack.unregister_execution_provider_library("mine")
except ortpack.errors.InvalidArgument as error:
    print(error)
try:
    ortpack.register_execution_provider_library("mine", nxrt_ep_cpu.get_library_path())
except ortpack.errors.InvalidArgument as error:
    print(error)
del session
ortpack.unregister_execution_provider_library("mine")
print([d.ep_name for d in ortpack.get_ep_devices()])
try:
    ortpack.InferenceSession({str(model("silero_vad"))!r}, options)
except ortpack.errors.InvalidArgument as error:
    print(error)
try:
    ortpack.unregister_execution_provider_library("mine")
except ortpack.errors.InvalidArgument as error:
    print(error)
"""
    done = site.code(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "nxrt CPU",
        "True",
        "['cpu_ep', 'CPUExecutionProvider']",
        "'mine' can't be unregistered: 1 session(s) still run on its devices",
        "an execution provider library is registered as 'mine' already",
        "['CPUExecutionProvider']",
        "the device of cpu_ep is gone: its library was unregistered",
        "no execution provider library is registered as 'mine'; registered are: none",
    ]


def test_wrong_libraries_devices_and_options_are_refused(site: Site, tmp_path: Path) -> None:
    site.add("cpu")
    site.add("other", release="1.32.0", reduced=True)
    install("nxrt-ep-cpu", site.folder)
    nothing = tmp_path / "libnothing.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", nothing], input=b"int nothing;", check=True)
    code = f"""{REGISTERED}
def refused(function, *arguments, **options):
    try:
        function(*arguments, **options)
    except ortpack.OrtpackError as error:
        print(type(error).__name__, error)
    else:
        print("accepted")
refused(ortpack.register_execution_provider_library, "a", "/nowhere.so")
refused(ortpack.register_execution_provider_library, "b", {str(nothing)!r})
refused(options.add_provider_for_devices, [])
refused(options.add_provider_for_devices, ortpack.get_ep_devices())
old = ortpack.load_runtime({str(site.add("old", release=OLDER))!r})
refused(ortpack.InferenceSession, {str(model("silero_vad"))!r}, options, runtime=old)
refused(ortpack.get_ep_devices, old)
refused(ortpack.InferenceSession, {str(model("silero_vad"))!r}, providers=["cpu_epp"])
refused(ortpack.InferenceSession, {str(model("silero_vad"))!r}, device="nxrt-ep-cpu-gpu")
"""
    done = site.code(code)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()[2:]
    assert lines[0] == "RuntimeNotFoundError there is no execution provider library at /nowhere.so"
    assert "CreateEpFactories" in lines[1] or "libnothing.so" in lines[1]
    assert lines[2] == "InvalidArgument ep_devices has to be devices of one execution provider, not of none"
    assert lines[3].endswith("not of CPUExecutionProvider, cpu_ep")
    assert "needs ONNX Runtime 1.22 or newer; this runtime is 1.21.0" in lines[4]
    assert "needs ONNX Runtime 1.22 or newer; this runtime is 1.21.0" in lines[5]
    assert lines[6].startswith("UnknownProviderError no installed runtime has the provider 'cpu_epp'")
    assert lines[7] == "UnknownDeviceError cpu_ep offers no GPU on this machine; it offers: CPU"


def companion(site: Site, *, ort_versions: str = ">=1.22", api_version: int = 22) -> None:
    """A companion of ours: nxrt's library in a folder of its own, with the `runtime.json` of a plugin."""
    package = install("nxrt-ep-cpu", site.folder)
    library = package / "libonnx_runtime_ep_cpu_plugin.so"
    folder = site.add(
        "nxrt",
        source=library,
        kind="plugin",
        version="0.1.0",
        providers=["cpu_ep"],
        devices={"nxrt": ["cpu_ep"]},
        priority=10,
        plugin={"registration": "nxrt", "ort_versions": ort_versions},
        api_version=api_version,
    )
    data = json.loads((folder / "runtime.json").read_text())
    del data["ort_version"], data["model_formats"], data["linkage"], data["reduced"]
    (folder / "runtime.json").write_text(json.dumps(data))


def test_a_companion_of_ours_is_taken_automatically_and_named_like_a_runtime(site: Site) -> None:
    site.add("cpu")
    companion(site)
    code = f"import ortpack; s = ortpack.InferenceSession({str(model('silero_vad'))!r}%s); "
    code += "print(s.runtime.info.name, s.runtime.base and s.runtime.base.name, s.get_providers()[0])"
    assert site.code(code % "").stdout.split() == ["nxrt", "cpu", "cpu_ep"]
    assert site.code(code % ", device='nxrt'").stdout.split() == ["nxrt", "cpu", "cpu_ep"]
    assert site.code(code % ", runtime='nxrt'").stdout.split() == ["nxrt", "cpu", "cpu_ep"]
    assert site.code(code % ", device='cpu'").stdout.split() == ["cpu", "None", "CPUExecutionProvider"]
    assert site.code(code % ", runtime='cpu'").stdout.split() == ["cpu", "None", "CPUExecutionProvider"]
    assert site.code(code % ", runtime='cpu', device='nxrt'").stdout.split() == ["nxrt", "cpu", "cpu_ep"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ort_versions": ">=1.99"}, "it is for ORT >=1.99, this is 1.32.0"),
        ({"api_version": 99}, "it needs ORT's API 99, this has 32"),
    ],
)
def test_a_companion_for_a_newer_ort_is_passed_over_with_a_warning_and_refused_when_named(
    site: Site, changes: dict[str, Any], says: str
) -> None:
    site.add("cpu")
    companion(site, **changes)
    code = "import ortpack; print(ortpack.runtime().info.name)"
    done = site.code(code)
    assert done.stdout.strip() == "cpu"
    assert done.stderr.count("FallbackWarning") == 1
    assert says in done.stderr
    assert says in last_line(site.code(code, ORTPACK_RUNTIME="nxrt"))


def test_a_companion_names_the_file_of_its_vendors_package(site: Site, tmp_path: Path) -> None:
    site.add("cpu")
    companion(site)
    file = site.folder / "ortpack_runtimes" / "nxrt" / "runtime.json"
    data = json.loads(file.read_text())
    path = f"nxrt_ep_cpu/{data.pop('library')}"
    data["plugin"] |= {"distribution": "nxrt-ep-cpu", "version": "0.1.0.dev6", "path": path}
    data["files"] = {}
    file.write_text(json.dumps(data))
    code = f"import ortpack; s = ortpack.InferenceSession({str(model('silero_vad'))!r}%s); print(s.get_providers()[0])"
    assert site.code(code % "").stdout.strip() == "cpu_ep"
    assert "UnknownDeviceError" in last_line(site.code(code % ", device='nxrt-ep-cpu'"))  # one plugin, not two
    data["plugin"]["version"] = "0.2.0"
    file.write_text(json.dumps(data))
    says = 'nxrt-ep-cpu 0.1.0.dev6 is installed, it needs 0.2.0: pip install "nxrt-ep-cpu==0.2.0"'
    assert says in last_line(site.code(code % ", device='nxrt'"))
    data["plugin"] |= {"distribution": "nxrt-ep-gpu", "path": "x/y.so"}
    file.write_text(json.dumps(data))
    assert 'nxrt-ep-gpu is not installed: pip install "nxrt-ep-gpu==0.2.0"' in last_line(
        site.code(code % ", device='nxrt'")
    )
    data["plugin"]["path"] = "../y.so"
    file.write_text(json.dumps(data))
    assert "plugin.path: '../y.so' leaves" in last_line(site.code(code % ", runtime='nxrt'"))


def test_a_companion_alone_says_that_a_runtime_is_missing(site: Site) -> None:
    companion(site)
    message = last_line(site.code("import ortpack; ortpack.runtime()"))
    assert "RuntimeNotFoundError: nxrt only adds to an ONNX Runtime" in message
    assert "pip install ortpack[cpu]" in message


def test_two_releases_with_a_plugin_on_one_of_them_in_one_process(site: Site, helpers: str) -> None:
    site.add("cpu")
    site.add("old", release=OLDER, priority=-1)
    install("nxrt-ep-cpu", site.folder)
    code = f"""
session, difference, nodes = compare("silero_vad", device="nxrt-ep-cpu")
old = ortpack.InferenceSession({str(model("silero_vad"))!r}, runtime="old")
print(session.runtime.library.version, old.runtime.library.version)
for a, b in zip(session.run(None, feeds("silero_vad")), old.run(None, feeds("silero_vad"))):
    np.testing.assert_allclose(a, b, atol=1e-4)
"""
    done = site.code(helpers + code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [NEWEST, OLDER]


def test_placement_needs_a_release_that_records_it(site: Site) -> None:
    site.add("cpu", release=OLDER)
    session = f"ortpack.InferenceSession({str(model('silero_vad'))!r})"
    message = last_line(site.code(f"import ortpack; {session}.placement()"))
    assert "NotImplemented: placement() needs ONNX Runtime 1.24 or newer; this runtime is 1.21.0" in message
