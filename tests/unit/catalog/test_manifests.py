from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from ortpack_build.base.errors import ManifestError
from ortpack_build.base.tags import version_key
from ortpack_build.catalog import manifests

REPOSITORY = Path(__file__).parents[3] / "variants"
CPU = (REPOSITORY / "cpu.toml").read_text(encoding="utf-8")
TARGETS = (REPOSITORY / "targets.toml").read_text(encoding="utf-8")


def test_the_shipped_manifests_are_those_of_the_repository() -> None:
    assert manifests.load() == dataclasses.replace(manifests.load(REPOSITORY), own=None)


def test_the_targets_and_releases_that_are_promised() -> None:
    origin = manifests.load().variants["cpu"].prebuilt
    assert origin is not None
    pinned = {(wheel.ort, wheel.target) for wheel in origin.wheels}
    targets = ("linux-x86_64", "linux-aarch64", "macos-arm64", "win-amd64", "win-arm64")
    assert pinned >= {("1.32.0", target) for target in targets}
    assert pinned >= {("1.21.0", "linux-x86_64"), ("1.21.0", "linux-aarch64")}


def fails(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        manifests.load(folder)
    return str(caught.value)


MISTAKES = {
    "unknown key": ("priority = 0", "priorty = 0", r"cpu\.toml: priorty: unknown key\. Did you mean priority\?"),
    "missing key": ('summary = "ONNX Runtime on the CPU"', "", r"top level: summary missing"),
    "wrong type": ("priority = 0", 'priority = "0"', r"priority: expected `int`, got `str`"),
    "unknown inner key": (
        "sha256 =",
        "sha265 =",
        r"prebuilt\.wheels\[0\]\.sha265: unknown key\. Did you mean sha256\?",
    ),
    "bad hash": ('sha256 = "99e1', 'sha256 = "zz', r"prebuilt\.wheels\[0\]\.sha256: expected `str` matching regex"),
    "duplicate target": (
        'target = "linux-aarch64"',
        'target = "linux-x86_64"',
        r"prebuilt\.wheels\[1\]\.t\w+: .*linux-x86_64",
    ),
    "unknown target": (
        'target = "macos-arm64"',
        'target = "mac-arm64"',
        r"prebuilt\.wheels\[2\]\.target: 'mac-arm64' is unknown\. Did you mean macos-arm64\?",
    ),
    "unknown provider": (
        'providers = ["CPUExecutionProvider"]',
        'providers = ["CPUExcutionProvider"]',
        r"providers\[0\]: 'CPUExcutionProvider' is unknown\. Did you mean CPUExecutionProvider\?",
    ),
    "device with a foreign provider": (
        'cpu = ["CPU',
        'cpu = ["CUDA',
        r"devices\.cpu: 'CUDAExecutionProvider' is not among providers\. Did you mean CPUExecutionProvider\?",
    ),
    "unknown value": (
        '["onnx", "ort"]',
        '["onx", "ort"]',
        r"model_formats\[0\]: 'onx' is unknown\. Did you mean onnx\?",
    ),
    "unknown os": ('os = "macos"', 'os = "darwin"', r"prebuilt\.files\[2\]\.os: 'darwin' is unknown\. .*macos"),
    "newer schema": ("schema = 1", "schema = 2", r"schema: 2 is unknown\. Allowed: 1"),
    "name of another file": ('name = "cpu"', 'name = "gpu"', r"name: 'gpu' must be the file's name, 'cpu'"),
    "another release's file": (
        'file = "onnxruntime-1.32.0',
        'file = "onnxruntime-1.31.0',
        r"is not onnxruntime 1\.32\.0",
    ),
    "no wheel's name": (
        'file = "onnxruntime-1.32.0-cp312-cp312-manylinux_2_28_x86_64',
        'file = "onnxruntime',
        r"prebuilt\.wheels\[0\]\.file: .*wheel",
    ),
    "tag of another platform": ('tag = "win_arm64"', 'tag = "win_amd64"', r"'win_amd64' is no tag for win-arm64"),
    "no library": ('role = "library"', 'role = "support"', r"prebuilt\.files: 0 files have role"),
    "stray braces": ("providers_shared.so", "{os}.so", r"prebuilt\.files\[1\]\.member: .*only \{ort\}"),
    "syntax": ("priority = 0", "priority = ", r"cpu\.toml: not valid TOML: .*line \d+"),
    "key twice": ("priority = 0", "priority = 0\npriority = 1", r"not valid TOML: .*line \d+"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_name_file_place_and_the_nearest_right_name(tmp_path: Path, mistake: str) -> None:
    old, new, message = MISTAKES[mistake]
    assert old in CPU
    said = fails(tmp_path, cpu=CPU.replace(old, new, 1))
    assert said.startswith(f"{tmp_path / 'cpu.toml'}: ")
    assert re.search(message, said), said


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "linux-aarch64"', 'name = "linux-x86_64"', r"targets\[1\]\.name: linux-x86_64 is there twice"),
        ('policy = "macos"', 'policy = "mac"', r"targets\[5\]\.policy: 'mac' is unknown\. Did you mean macos\?"),
        ('libc = "glibc"', 'libc = "uclibc"', r"targets\[0\]\.libc: 'uclibc' is unknown\. Did you mean glibc\?"),
        ('runs_on = ["linux-x86_64"]', "runs_on = 1", r"targets\[0\]\.runs_on: expected `array`, got `int`"),
        ('name = "win-arm64"', 'name = "Win/arm64"', r"targets\[7\]\.name: expected `str` matching"),
        ('machine = "X86_64"', "", r"targets\[0\]: machine missing"),
        (TARGETS, "targets = 3\nschema = 1", r"targets: expected `array`, got `int`"),
    ],
)
def test_mistakes_in_targets(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TARGETS
    said = fails(tmp_path, targets=TARGETS.replace(old, new, 1))
    assert re.search(message, said), said


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "cpu.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(ManifestError, match="not UTF-8"):
        manifests.load(tmp_path)
    with pytest.raises(ManifestError, match="no folder"):
        manifests.load(tmp_path / "missing")
    (tmp_path / "cpu.toml").unlink()
    (tmp_path / "cpu.toml").mkdir()
    with pytest.raises(ManifestError, match="can't be read"):
        manifests.load(tmp_path)


def test_a_folder_adds_to_the_shipped_manifests(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(CPU.replace('name = "cpu"', 'name = "mine"'), encoding="utf-8")
    (tmp_path / "cpu.toml").write_text(CPU.replace("priority = 0", "priority = 7"), encoding="utf-8")
    catalog = manifests.load(tmp_path)
    assert {name: variant.priority for name, variant in catalog.variants.items() if name in ("cpu", "mine")} == {
        "cpu": 7,
        "mine": 0,
    }


def test_a_folder_adds_to_what_all_variants_share(tmp_path: Path) -> None:
    shipped = manifests.load()
    one = TARGETS.partition("[[targets]]\n")[2].partition("\n\n")[0]
    new = (
        one.replace("linux-x86_64", "linux-mine")
        .replace('"x86_64"', '"mine"')
        .replace('policy = "manylinux"', 'policy = "p"')
    )
    changed = one.replace('emulator = "qemu-x86_64"', 'emulator = "qemu-mine"')
    files = {
        "targets": f"schema = 1\n[[targets]]\n{new}\n[[targets]]\n{changed}\n",
        "policies": 'schema = 1\n[[policies]]\nname = "p"\nlibraries = { system = ["libmine.so"] }\n',
        "packages": 'schema = 1\n[[packages]]\nname = "mine"\nversions = "~=1.0"\nlibraries = { linux = ["m/m.so"] }\n',
        "providers": 'schema = 1\nproviders = ["MineExecutionProvider"]\n',
        "mine": CPU.replace('name = "cpu"', 'name = "mine"').replace("CPUExecutionProvider", "MineExecutionProvider"),
        "defaults": 'schema = 1\nfallback = "mine"\n',
    }
    for name, text in files.items():
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    catalog = manifests.load(tmp_path)
    assert list(catalog.targets) == [*shipped.targets, "linux-mine"]
    assert catalog.targets["linux-x86_64"].emulator == "qemu-mine"
    assert set(catalog.policies) == {*shipped.policies, "p"}
    assert set(catalog.packages) == {*shipped.packages, "mine"}
    assert (catalog.fallback, shipped.fallback) == ("mine", "cpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cpux", r"defaults\.toml: fallback: 'cpux' is unknown\. Did you mean cpu\?"),
        ("webgpu", r"defaults\.toml: fallback: 'webgpu' is no runtime with official binaries"),
        ("cuda", r"defaults\.toml: fallback: 'cuda' is no runtime .* can be compiled"),
    ],
)
def test_what_others_fall_back_to(tmp_path: Path, name: str, message: str) -> None:
    assert re.search(message, fails(tmp_path, defaults=f'schema = 1\nfallback = "{name}"\n'))


def test_policies_grant_no_more_than_auditwheel_does() -> None:
    """auditwheel's table is the one that the registries go by."""
    import importlib.resources

    try:
        table = importlib.resources.files("auditwheel.policy") / "manylinux-policy.json"
    except ModuleNotFoundError:
        pytest.skip("auditwheel is for Linux")
    official = {line["name"]: line for line in json.loads(table.read_text(encoding="utf-8"))}
    policy = manifests.load().policies["manylinux"]
    for level, symbols in policy.symbols.items():
        line = official[f"manylinux_{level.replace('.', '_')}"]
        for arch in ("x86_64", "aarch64"):
            allowed = line["symbol_versions"][arch]
            for name, version in symbols.items():
                numbers = [v for v in allowed[name] if re.fullmatch(r"[\d.]+", v)]
                assert version_key(version) <= max(map(version_key, numbers)), (level, arch, name)
        loaders = {
            "ld-linux-x86-64.so.2",
            "ld-linux-aarch64.so.1",
            "ld-linux-armhf.so.3",
        }  # auditwheel takes them for granted
        assert set(policy.libraries["system"]) - loaders <= set(line["lib_whitelist"])
