"""The shipped variants, and what is generated from them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from ortpack_build.base.data_file import shipped_folder
from ortpack_build.base.errors import ManifestError, UsageError
from ortpack_build.catalog import extras, manifests, served_devices, spec
from ortpack_build.products import wheels

if TYPE_CHECKING:
    from ortpack_build.catalog.model import Variant

ROOT = Path(__file__).parents[3]
CATALOG = manifests.load()
WANTED = {
    "cuda": ("linux-x86_64", "linux-aarch64", "win-amd64"),
    "cuda12": ("linux-x86_64", "win-amd64"),
    "tensorrt": ("linux-x86_64", "win-amd64"),
    "directml": ("win-amd64",),
    "coreml": ("macos-arm64",),
    "migraphx": ("linux-x86_64",),
    "openvino": ("linux-x86_64", "win-amd64"),
    "webgpu": ("linux-x86_64", "linux-aarch64", "macos-arm64", "win-amd64", "win-arm64"),
    "qnn": ("linux-aarch64", "win-arm64"),
    "tensorrt-rtx": ("linux-x86_64", "linux-aarch64", "win-amd64", "win-arm64"),
    "nxrt-cpu": ("linux-x86_64", "macos-arm64", "win-amd64", "win-arm64"),
}
ENVIRONMENTS = {
    "linux-x86_64": {"sys_platform": "linux", "platform_machine": "x86_64"},
    "linux-aarch64": {"sys_platform": "linux", "platform_machine": "aarch64"},
    "macos-arm64": {"sys_platform": "darwin", "platform_machine": "arm64"},
    "win-amd64": {"sys_platform": "win32", "platform_machine": "AMD64"},
    "win-arm64": {"sys_platform": "win32", "platform_machine": "ARM64"},
}


def installed(extra: str, target: str, python: str = "3.12") -> set[str]:
    """The distributions that `ortpack[extra]` brings on a machine; `ortpack[...]` followed."""
    found = set()
    for text in extras.extras(CATALOG)[extra]:
        requirement = Requirement(text)
        environment = {**ENVIRONMENTS[target], "python_version": python, "extra": ""}
        if requirement.marker is None or requirement.marker.evaluate(environment):
            for inner in requirement.extras:
                found |= installed(inner, target, python)
            found |= {requirement.name} - {"ortpack"}
    return found


def test_generated_files_are_current() -> None:
    """If not: `ortpack-build extras pyproject.toml --write`, and the like of `served`."""
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert extras.replaced(pyproject, extras.extras(CATALOG)) == pyproject
    table = ROOT / "src" / "ortpack" / "_served.py"
    assert table.read_text(encoding="utf-8") == served_devices.module(CATALOG)
    assert tomllib.loads(pyproject)["project"]["optional-dependencies"] == extras.extras(CATALOG)


def test_extras_need_their_place() -> None:
    with pytest.raises(UsageError, match="not one place for the extras, but 0"):
        extras.replaced("[project]\n", {"cpu": ["ortpack-cpu"]})


@pytest.mark.parametrize("variant", WANTED)
def test_targets_that_are_promised(variant: str) -> None:
    made = [name for name in CATALOG.targets if spec.releases(CATALOG, CATALOG.variants[variant], name)]
    assert sorted(made) == sorted(WANTED[variant])


@pytest.mark.parametrize("target", ENVIRONMENTS)
@pytest.mark.parametrize("variant", [name for name, line in CATALOG.variants.items() if line.part is None])
def test_an_extra_always_leaves_a_runtime(variant: str, target: str) -> None:
    """On a machine that the variant is not made for, that is the CPU's, and nothing of a vendor comes along."""
    brought = installed(variant, target)
    made = bool(spec.releases(CATALOG, CATALOG.variants[variant], target))
    assert (spec.distribution(variant) in brought) == made
    runtimes = {spec.distribution(line.name) for line in CATALOG.variants.values() if line.kind == "runtime"}
    assert brought & runtimes
    if not made and variant != "tensorrt":  # which falls back to cuda
        assert brought == {"ortpack-cpu"}


def test_cuda_brings_what_the_provider_needs_but_the_driver() -> None:
    nvidia = {"nvidia-cublas", "nvidia-cuda-nvrtc", "nvidia-cuda-runtime", "nvidia-cudnn-cu13", "nvidia-cufft"}
    assert installed("cuda", "linux-x86_64") == {"ortpack-cuda", "nvidia-curand", *nvidia}
    assert installed("cuda", "macos-arm64") == {"ortpack-cpu"}
    assert installed("tensorrt", "win-amd64") >= {"ortpack-cuda", "ortpack-tensorrt", "tensorrt-cu13-libs", *nvidia}


@pytest.mark.parametrize(
    ("target", "brought"),
    [
        ("linux-x86_64", {"ortpack-cpu", "ortpack-cuda"}),
        ("macos-arm64", {"ortpack-cpu"}),
        ("win-arm64", {"ortpack-cpu"}),
    ],
)
def test_a_library_with_an_extra_for_cuda_falls_to_the_cpu_where_there_is_none(target: str, brought: set[str]) -> None:
    text = (ROOT / "examples" / "mylib" / "pyproject.toml").read_text(encoding="utf-8")
    (line,) = tomllib.loads(text)["project"]["optional-dependencies"]["cuda"]
    requirement = Requirement(line)
    assert (requirement.name, requirement.marker) == ("ortpack", None)
    found = {name for extra in requirement.extras for name in installed(extra, target)}
    assert {name for name in found if name.startswith("ortpack")} == brought
    assert target == "linux-x86_64" or found == brought  # nothing of NVIDIA's comes along


@pytest.mark.parametrize("variant", CATALOG.variants.values(), ids=lambda variant: variant.name)
def test_a_variant_says_what_was_tried_and_how_it_is_built_from_source(variant: Variant) -> None:
    assert variant.tried
    others = variant.prebuilt and not variant.prebuilt.distribution.startswith("onnxruntime")  # not ONNX Runtime's own
    part = variant.part is not None  # how its wheels are made is said by the variant that they are of
    assert others or part or variant.source or (variant.compile and variant.compile.cmake and variant.compile.wants)


@pytest.mark.parametrize("variant", ["cuda", "cuda12", "tensorrt-rtx", "tensorrt-rtx-cuda12"])
def test_the_driver_is_the_first_thing_that_nvidias_variants_need(variant: str) -> None:
    assert CATALOG.variants[variant].needs[0].fact == "nvidia-driver"


def test_a_vendor_that_dropped_a_python_is_left_out_there() -> None:
    assert installed("webgpu", "linux-x86_64", "3.10") == {"ortpack-cpu"}
    assert installed("webgpu", "linux-x86_64", "3.11") == {"ortpack-cpu", "ortpack-webgpu"}


def test_an_extension_is_of_the_release_that_it_extends() -> None:
    resolved = spec.resolve(CATALOG, "tensorrt", "linux-x86_64")
    base = spec.resolve(CATALOG, "cuda", "linux-x86_64")
    assert resolved.depends == (f"ortpack-cuda=={base.version}",)
    assert isinstance(resolved.source, spec.Prebuilt)
    assert isinstance(base.source, spec.Prebuilt)
    assert resolved.source.sha256 == base.source.sha256
    assert [file.name for file in resolved.files] == ["libonnxruntime_providers_tensorrt.so"]
    assert spec.resolve(CATALOG, "coreml", "macos-arm64").files == ()


def test_a_plugin_depends_on_its_vendors_wheel() -> None:
    resolved = spec.resolve(CATALOG, "webgpu", "win-arm64")
    assert resolved.depends == ("onnxruntime-ep-webgpu==0.4.0",)
    assert resolved.plugin is not None
    assert resolved.plugin.path == "onnxruntime_ep_webgpu/onnxruntime_providers_webgpu.dll"
    assert (resolved.version, resolved.ort_version, resolved.api_version) == ("0.4.0", None, 24)


@pytest.mark.parametrize("variant", [line for line in CATALOG.variants.values() if line.plugin])
def test_plugins_fit_the_newest_cpu_runtime(variant: Variant) -> None:
    assert variant.plugin is not None
    newest = spec.resolve(CATALOG, "cpu", "linux-x86_64").version
    assert SpecifierSet(variant.plugin.ort_versions).contains(newest)


def test_only_variants_that_say_so_may_need_a_driver() -> None:
    assert "driver" in spec.resolve(CATALOG, "tensorrt", "win-amd64").system.libraries  # by way of cuda
    assert set(spec.resolve(CATALOG, "cpu", "win-amd64").system.libraries) == {"system", "vc-redist"}


def test_releases_are_ordered_as_versions() -> None:
    assert spec.releases(CATALOG, CATALOG.variants["cpu"], "linux-x86_64") == ["1.32.0", "1.21.0"]
    with pytest.raises(UsageError, match=r"webgpu 0\.5\.0 is not pinned for webgpu on win-amd64"):
        spec.resolve(CATALOG, "webgpu", "win-amd64", "0.5.0")
    with pytest.raises(UsageError, match="Variant directml is not made for win-arm64"):
        spec.resolve(CATALOG, "directml", "win-arm64")


def test_who_is_advised_for_a_device_is_said_by_the_manifests(tmp_path: Path) -> None:
    text = (shipped_folder() / "migraphx.toml").read_text(encoding="utf-8")
    changed = text.replace('name = "migraphx"', 'name = "mine"').replace("amd-gpu = 1", "intel-npu = 2")
    (tmp_path / "mine.toml").write_text(changed, encoding="utf-8")
    own = served_devices.module(manifests.load(tmp_path)).partition('"intel-npu": (')[2].partition('"nvidia-gpu"')[0]
    assert re.findall('extra="(.*)"', own) == ["openvino", "mine"]


MISTAKES: dict[str, tuple[str, str | re.Pattern[str], str, str]] = {
    "base that is not there": ("tensorrt", 'variant = "cuda"', 'variant = "cud"', r"extends\.variant: 'cud' .*cuda\?"),
    "base that is a plugin": (
        "tensorrt",
        'variant = "cuda"',
        'variant = "webgpu"',
        r"extends\.variant: 'webgpu' is no runtime",
    ),
    "target that the base lacks": (
        "tensorrt",
        '"win-amd64"]',
        '"win-arm64"]',
        r"extends\.targets\[1\]: cuda is not made for 'win-arm64'\. Did you mean win-amd64\?",
    ),
    "extension with a library": (
        "tensorrt",
        'providers_tensorrt.so"\n',
        'providers_tensorrt.so"\nrole = "library"\n',
        r"extends\.files\[0\]\.role: the library is that of cuda",
    ),
    "extension without a base": (
        "coreml",
        re.compile(r"\[extends\].*", re.DOTALL),
        "",
        r"extends: belongs into a manifest of kind = 'extension'",
    ),
    "plugin without a plugin": (
        "openvino",
        re.compile(r"\[plugin\].*?\n\n", re.DOTALL),
        "",
        r"plugin: belongs into a manifest of kind = 'plugin'",
    ),
    "plugin of an ORT release": (
        "openvino",
        'version = "1.8.1"\ntarget',
        'ort = "1.8.1"\ntarget',
        r"prebuilt\.wheels\[0\]: a plugin has version here, and not ort",
    ),
    "runtime with a version": (
        "directml",
        'ort = "1.24.4"',
        'version = "1.24.4"',
        r"prebuilt\.wheels\[0\]: a runtime has ort here, and not version",
    ),
    "range that makes no sense": ("openvino", '">=1.23"', '"~1.23"', r"plugin\.ort_versions: expected `str` matching"),
    "package that is not there": (
        "cuda",
        '"nvidia-cublas"',
        '"nvidia-cublass"',
        r"packages\[1\]: 'nvidia-cublass' is unknown\. Did you mean nvidia-cublas\?",
    ),
    "fact that is not known": (
        "cuda",
        '"nvidia-gpu"',
        '"nvidia-gpus"',
        r"needs\[2\].fact: 'nvidia-gpus' .*nvidia-gpu\?",
    ),
    "device that is not known": (
        "cuda",
        "nvidia-gpu = 1",
        "nvidia-gpus = 1",
        r"serves\.nvidia-gpus: unknown key\. Did you mean nvidia-gpu\?",
    ),
    "place before the first": ("cuda", "nvidia-gpu = 1", "nvidia-gpu = 0", r"serves.*>= 1"),
    "underscore in a name": ("cuda", 'name = "cuda"', 'name = "cu_da"', r"name: expected `str` matching"),
    "source that is not there": ("cuda", '["driver"]', '["drivers"]', r"may_need\[0\]: 'drivers' .*driver\?"),
    "no licence": (
        "directml",
        'licenses = ["onnxruntime/LICENSE", "onnxruntime/Privacy.md", "onnxruntime/ThirdPartyNotices.txt"]',
        "licenses = []",
        r"prebuilt\.licenses: what is taken out has to go with its licence",
    ),
    "bad bounds": ("packages", '"~=13.0"', '"~13"', r"packages\[0\]\.versions: .*~13"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(tmp_path: Path, mistake: str) -> None:
    name, old, new, message = MISTAKES[mistake]
    text = (shipped_folder() / f"{name}.toml").read_text(encoding="utf-8")
    changed = old.sub(new, text, count=1) if isinstance(old, re.Pattern) else text.replace(old, new, 1)
    assert changed != text
    (tmp_path / f"{name}.toml").write_text(changed, encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        manifests.load(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / name}.toml: ")
    assert re.search(message, str(caught.value)), caught.value


# --- parts ---------------------------------------------------------------------------------------------------------


def test_the_arm_wheels_are_those_of_cpu() -> None:
    part = CATALOG.variants["arm64"].part
    assert part is not None
    assert set(part.targets) == {"linux-aarch64", "macos-arm64", "win-arm64"}
    for target in part.targets:
        assert spec.resolve(CATALOG, "arm64", target) == spec.resolve(CATALOG, "cpu", target)
        assert spec.releases(CATALOG, CATALOG.variants["arm64"], target)
        assert installed("cpu", target) == {"ortpack-cpu"}
    assert not spec.releases(CATALOG, CATALOG.variants["arm64"], "linux-x86_64")
    with pytest.raises(UsageError, match="linux-x86_64 is no part of arm64") as caught:
        spec.resolve(CATALOG, "arm64", "linux-x86_64")
    assert "Allowed: linux-aarch64, macos-arm64, win-arm64" in caught.value.hint


def test_a_part_is_made_from_source_as_the_whole_is() -> None:
    whole = spec.source_origin(CATALOG, "cpu", "linux-aarch64")
    assert spec.source_origin(CATALOG, "arm64", "linux-aarch64") == whole


def test_a_set_has_the_wheels_of_a_part_once() -> None:
    found = wheels.choose(CATALOG, ["cpu", "arm64"], None)
    assert len(found) == len(wheels.choose(CATALOG, ["cpu"], None))
    assert len(wheels.choose(CATALOG, ["arm64"], None)) == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('variant = "cpu"', 'variant = "cpp"', r"part\.variant: 'cpp' is unknown\. Did you mean cpu\?"),
        ('variant = "cpu"', 'variant = "webgpu"', r"part\.variant: 'webgpu' is no runtime from official binaries"),
        (
            '"win-arm64"]\n\n',
            '"win-arm46"]\n\n',
            r"part\.targets\[2\]: 'win-arm46' is unknown\. Did you mean win-arm64",
        ),
        ('"macos-arm64"]\n', '"win-amd64"]\n', r"part\.kernels\[2\]\.targets: 'win-amd64' is no target\. Did you mean"),
        ('kind = "part"', 'kind = "runtime"', r"arm64\.toml: top level: license, providers, devices, .* missing"),
        ('name = "arm64"', 'name = "arm"', r"name: 'arm' must be the file's name, 'arm64'"),
    ],
)
def test_mistakes_of_a_part(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = (ROOT / "variants" / "arm64.toml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "arm64.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ManifestError, match=message):
        manifests.load(tmp_path)
