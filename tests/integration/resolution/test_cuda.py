"""The variant `cuda` from the official binaries, on a machine without an NVIDIA GPU.

One of NVIDIA's wheels is the real one; the others have gigabytes, and libraries that can do nothing stand in for them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest

from ortpack_build.base.cache import Cache
from ortpack_build.bundle import assemble as bundle
from ortpack_build.bundle.runtime_json import parse
from ortpack_build.catalog import manifests, spec
from ortpack_build.origin import prebuilt
from ortpack_build.origin.pip_wheel import fetch
from support.contexts import context
from support.models import model
from support.runs import last_line
from support.sites import needs_no_driver

if TYPE_CHECKING:
    from collections.abc import Iterable

    from support.sites import Site

pytestmark = pytest.mark.slow

RUNTIME = "nvidia-cuda-runtime==13.5.37 --hash=sha256:df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d"
CPU = "CPUExecutionProvider"
SESSION = f"import ortpack; print(ortpack.InferenceSession({str(model('silero_vad'))!r}%s).get_providers())"
NO_DRIVER = "cuda: this machine has no NVIDIA driver: install NVIDIA's driver"


@pytest.fixture(scope="module")
def cuda() -> Path:
    """The runtime's folder, as the wheel has it, without packing 300 MB."""
    resolved = spec.resolve(manifests.load(), "cuda", "linux-x86_64")
    cache = Cache(root=platformdirs.user_cache_path("ortpack") / "tests" / "build")

    def make(folder: Path) -> None:
        assert isinstance(resolved.source, spec.Prebuilt)
        parts = folder / "parts"
        parts.mkdir()
        obtained = prebuilt.obtain(resolved.source, lambda pin: fetch(pin, context(cache.root)), parts)
        bundle.assemble(resolved, obtained, folder / "site")
        shutil.rmtree(parts)

    return cache.get("bundles", resolved.digest, make) / "site" / "ortpack_runtimes" / "cuda"


@pytest.fixture(scope="module")
def nvidia(cuda: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site-packages with what the runtime requires of NVIDIA's wheels."""
    folder = tmp_path_factory.mktemp("nvidia")
    requirements = folder / "requirements.txt"
    requirements.write_text(RUNTIME)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run([*command, f"--target={folder / 'site'}", f"--requirement={requirements}"], check=True)
    for entry in parse((cuda / "runtime.json").read_bytes()).requires:
        file = folder / "site" / str(entry.path)
        if entry.origin == "pip" and entry.optional is not True and not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            stand_in(file, wanted(cuda, f"@{entry.library}"), version=entry.library)
    return folder / "site" / "nvidia"


def wanted(cuda: Path, ending: str) -> list[str]:
    """The functions that the provider takes from the library of a symbol version, or with "" from any without one."""
    command = ["readelf", "--dyn-syms", "--wide", str(cuda / "libonnxruntime_providers_cuda.so")]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    named = [words[7] for line in lines if len(words := line.split()) > 7 and words[6] == "UND"]
    return [name.partition("@")[0] for name in named if (name.endswith(ending) if ending else "@" not in name)]


def stand_in(file: Path, functions: Iterable[str], *, version: str = "", more: str = "") -> None:
    """A library whose functions all fail with error 100, CUDA's "no CUDA-capable device is detected"."""
    code = more + "".join(f"int {name}(void) {{ return 100; }}\n" for name in functions)
    script = file.with_suffix(".map")
    script.write_text(f"{version} {{ global: *; }};")
    command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{version or file.name}", "-x", "c", "-", "-o", str(file)]
    subprocess.run(
        [*command, *([f"-Wl,--version-script={script}"] if version else [])], input=code.encode(), check=True
    )


@pytest.fixture
def no_device(cuda: Path, driver: str) -> str:
    """A folder with a stand-in for the driver that has every function, on a machine without a GPU."""
    more = "int cuInit(unsigned f) { return 100; }\nint cuDriverGetVersion(int *v) { *v = 13000; return 0; }\n"
    functions = [name for name in wanted(cuda, "") if name.startswith("cu")]
    stand_in(Path(driver) / "libcuda.so.1", functions, more=more)
    return driver


@pytest.fixture
def machine(site: Site, cuda: Path) -> Site:
    """The runtimes cpu and cuda, side by side."""
    site.add("cpu")
    (site.folder / "ortpack_runtimes" / "cuda").symlink_to(cuda)
    return site


@needs_no_driver
def test_with_nvidias_wheels_the_driver_is_the_one_thing_missing(machine: Site, nvidia: Path) -> None:
    (machine.folder / "nvidia").symlink_to(nvidia)
    explained = machine.code("import ortpack; print(ortpack.explain(device='cuda'))").stdout
    assert f"   {NO_DRIVER.replace('cuda:', 'cuda: rejected:')}\n" in explained
    done = machine.code(SESSION % "")
    assert done.stdout.strip() == f"['{CPU}']"
    assert done.stderr.count("FallbackWarning") == 1
    assert f"FallbackWarning: ortpack runs on 'cpu' because: {NO_DRIVER}\n" in done.stderr
    message = last_line(machine.code(SESSION % ", device='cuda'"))
    assert "RuntimeUnusableError: no installed runtime can be used here (device 'cuda'): " + NO_DRIVER in message


def test_with_a_driver_that_only_tells_its_version_the_providers_own_failure_is_told(
    machine: Site, nvidia: Path, driver: str
) -> None:
    (machine.folder / "nvidia").symlink_to(nvidia)
    assert "-> cuda: usable" in machine.code("import ortpack; print(ortpack.explain())", LD_LIBRARY_PATH=driver).stdout
    failure = "Failed to load shared library: /"
    shown = f"{SESSION % ''}; print([line for line in open('/proc/self/maps') if 'libcudart.so.13' in line][0])"
    done = machine.code(shown, LD_LIBRARY_PATH=driver)
    providers, mapped = done.stdout.splitlines()[:2]
    assert providers == f"['{CPU}']"
    assert mapped.endswith(str(nvidia / "cu13" / "lib" / "libcudart.so.13"))
    assert done.stderr.count("FallbackWarning: ortpack runs on 'cpu' because: cuda: ") == 1
    warning = next(line for line in done.stderr.splitlines() if "FallbackWarning: " in line)
    named = last_line(machine.code(SESSION % ", device='cuda'", LD_LIBRARY_PATH=driver))
    assert named.startswith("ortpack.errors.Fail: ")
    for text in (warning, named):
        # What the system's loader says of it, and not only that there was a failure
        assert failure in text
        assert "libonnxruntime_providers_cuda.so: undefined symbol: cuTensorMapEncodeTiled" in text
    report = machine.run("-m", "ortpack", "doctor", LD_LIBRARY_PATH=driver, COLUMNS="200").stdout
    rows = {words[0]: words[1] for line in report.splitlines() if (words := line.split())[1:]}
    assert (rows["cuda"], rows["cpu"]) == ("failed", "chosen")


@needs_no_driver
def test_its_cpu_provider_needs_nothing_of_nvidias(machine: Site) -> None:
    shown = f"import ortpack; print(ortpack.InferenceSession({str(model('silero_vad'))!r}, device='cpu'%s).runtime)"
    assert machine.code(shown % "").stdout.startswith("cpu (ORT ")
    assert machine.code(shown % ", runtime='cuda'").stdout.startswith("cuda (ORT ")
    shutil.rmtree(machine.folder / "ortpack_runtimes" / "cpu")
    done = machine.code(shown % "")
    assert done.stdout.startswith("cuda (ORT "), done.stderr
    assert done.stderr == ""


def test_without_nvidias_wheels_the_one_that_is_missing_is_named(machine: Site, driver: str) -> None:
    message = last_line(machine.code(SESSION % ", device='cuda'", LD_LIBRARY_PATH=driver))
    assert 'libcudart.so.13 is missing, which nvidia-cuda-runtime brings: pip install "ortpack[cuda]"' in message


def test_a_driver_without_a_gpu_makes_the_provider_itself_refuse(machine: Site, nvidia: Path, no_device: str) -> None:
    """Its library is loaded, and CUDA's own runtime finds that there is nothing to run on."""
    (machine.folder / "nvidia").symlink_to(nvidia)
    done = machine.code(SESSION % "", LD_LIBRARY_PATH=no_device)
    assert done.stdout.strip() == f"['{CPU}']"
    assert done.stderr.count("FallbackWarning: ortpack runs on 'cpu' because: cuda: ") == 1
    assert "CUDA failure 100: no CUDA-capable device is detected" in done.stderr
    named = machine.code(SESSION % ", device='cuda'", LD_LIBRARY_PATH=no_device)
    assert "CUDA failure 100: no CUDA-capable device is detected" in named.stderr
    assert "ortpack.errors.Fail: could not load the model" in named.stderr


def test_options_that_the_provider_refuses_are_an_error_with_its_words(
    machine: Site, nvidia: Path, no_device: str
) -> None:
    (machine.folder / "nvidia").symlink_to(nvidia)
    for options, says in (
        ({"no_such_option": "1"}, 'Unknown provider option: "no_such_option"'),
        ({"device_id": "many"}, 'Failed to parse provider option "device_id"'),
    ):
        done = machine.code(SESSION % f", providers=[('CUDAExecutionProvider', {options})]", LD_LIBRARY_PATH=no_device)
        assert done.returncode == 1
        assert "ortpack.errors.Fail: " in done.stderr
        assert says in done.stderr
