"""Extensions and plugins out of real official wheels: what is in them, and what `verify` says of wheels gone wrong."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ortpack_build.base.data_file import shipped_folder
from support.command import run
from support.emulators import needs_wine
from support.models import model
from support.tampering import read, write

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

COREML = "ortpack_coreml-1.32.0-py3-none-macosx_14_0_arm64.whl"
NXRT = "ortpack_nxrt_cpu-0.1.0.dev6-py3-none-manylinux_2_28_x86_64.whl"
DIRECTML = "ortpack_directml-1.24.4-py3-none-win_amd64.whl"


@pytest.fixture(scope="module")
def made(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the set of one extension, one plugin and one runtime, made by one command."""
    out = tmp_path_factory.mktemp("kinds")
    done = run("wheels", "coreml", "nxrt-cpu", "directml", "--out", out, "--cache", cache, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {path.name for path in out.iterdir()} >= {COREML, NXRT, DIRECTML}
    assert sorted(said["wheels"]) == sorted(str(path) for path in out.iterdir())
    rows = {row["variant"]: row for row in said["sizes"]}
    assert rows["coreml"]["size"] < 100_000  # it repeats nothing of the cpu runtime
    assert 0 < rows["nxrt-cpu"]["ratio"] < 0.2
    assert 0 < rows["directml"]["ratio"] <= 0.2
    return out


def runtime_json(wheel: Path) -> dict[str, Any]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("runtime.json"))
        data: dict[str, Any] = json.loads(archive.read(name))
        return data


@pytest.mark.parametrize("name", [COREML, NXRT, DIRECTML])
def test_they_hold_what_they_promise(made: Path, name: str) -> None:
    done = run("verify", "--no-run", "--json", made / name)
    assert done.returncode == 0, done.stdout + done.stderr
    (last,) = (row for row in json.loads(done.stdout)["checks"] if row["check"] == "run")
    assert last["verdict"] == "skip"


@needs_wine
def test_directmls_library_runs_on_the_cpu_under_wine(made: Path, cache: Path) -> None:
    done = run("verify", "--json", made / DIRECTML, "--model", model("magika"), "--cache", cache)
    assert done.returncode == 0, done.stdout + done.stderr
    (last,) = (row for row in json.loads(done.stdout)["checks"] if row["check"] == "run")
    assert last["verdict"] == "pass"
    assert last["detail"] == "below wine, ORT 1.24.4: model.onnx gave target_label [1, 214]"


def test_an_extension_says_what_it_extends(made: Path) -> None:
    data = runtime_json(made / COREML)
    assert (data["kind"], data["extends"]) == ("extension", {"runtime": "cpu", "ort_versions": "==1.32.0", "files": {}})
    assert "library" not in data
    metadata = read(made / COREML)["ortpack_coreml-1.32.0.dist-info/METADATA"].decode()
    assert "\nRequires-Dist: ortpack-cpu==1.32.0\n" in metadata


def test_a_plugin_leaves_its_library_in_the_vendors_wheel(made: Path) -> None:
    data = runtime_json(made / NXRT)
    assert data["plugin"] == {
        "registration": "nxrt_ep_cpu",
        "ort_versions": ">=1.29",
        "distribution": "nxrt-ep-cpu",
        "version": "0.1.0.dev6",
        "path": "nxrt_ep_cpu/libonnx_runtime_ep_cpu_plugin.so",
    }
    assert not {"library", "ort_version"} & data.keys()
    assert list(data["files"]) == ["__init__.py"]
    assert {line["library"] for line in data["requires"]} >= {"libc.so.6", "libgcc_s.so.1"}
    metadata = read(made / NXRT)["ortpack_nxrt_cpu-0.1.0.dev6.dist-info/METADATA"].decode()
    assert "\nRequires-Dist: nxrt-ep-cpu==0.1.0.dev6\n" in metadata


def test_a_runtime_says_what_it_needs_of_the_machine(made: Path) -> None:
    data = runtime_json(made / DIRECTML)
    assert [need["fact"] for need in data["needs"]] == ["windows-build", "directx"]
    assert {"library": "d3d12.dll", "from": "system"} in data["requires"]
    assert "DirectML.dll" not in {line["library"] for line in data["requires"]}  # it is in the wheel


def no_extends(data: dict[str, Any]) -> None:
    del data["extends"]


def stranger(data: dict[str, Any]) -> None:
    data["extends"]["files"]["evil.so"] = {"sha256": "0" * 64, "size": 4}


@pytest.mark.parametrize(
    ("change", "check", "words"),
    [
        (no_extends, "runtime.json", "extends is missing"),
        (stranger, "files", "evil.so is missing"),
    ],
)
def test_extensions_gone_wrong(
    made: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], check: str, words: str
) -> None:
    files = read(made / COREML)
    name = "ortpack_runtimes/coreml/runtime.json"
    data = json.loads(files[name])
    change(data)
    files[name] = json.dumps(data).encode()
    done = run("verify", "--no-run", "--json", write(tmp_path / COREML, files))
    rows = {row["check"]: row for row in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    assert rows[check]["verdict"] == "fail"
    assert words in rows[check]["detail"]


def test_a_native_file_in_another_runtimes_folder_is_a_stranger(made: Path, tmp_path: Path) -> None:
    """An extension may lay there what its runtime.json lists, and nothing else."""
    files = read(made / COREML)
    files["ortpack_runtimes/cpu/evil.dylib"] = b"\xcf\xfa\xed\xfe"
    done = run("verify", "--no-run", "--json", write(tmp_path / COREML, files))
    rows = {row["check"]: row for row in json.loads(done.stdout)["checks"]}
    assert rows["contents"]["verdict"] == "fail"
    assert rows["files"]["verdict"] == "fail"


def test_a_manifest_that_names_a_file_the_official_wheel_does_not_hold(cache: Path, tmp_path: Path) -> None:
    text = (shipped_folder() / "coreml.toml").read_text(encoding="utf-8")
    extra = '[[extends.files]]\nos = "macos"\nmember = "onnxruntime/capi/libcoreml.dylib"\nexports = []\n'
    (tmp_path / "coreml.toml").write_text(f"{text}\n{extra}", encoding="utf-8")
    options = ("--variants", tmp_path, "--cache", cache, "--out", tmp_path / "out")
    done = run("wheel", "coreml", "--target", "macos-arm64", *options)
    assert done.returncode == 6, done.stderr
    assert "onnxruntime-1.32.0-cp312-cp312-macosx_14_0_arm64.whl lacks onnxruntime/capi/libcoreml.dylib" in done.stderr
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_a_plugin_whose_library_is_none(cache: Path, tmp_path: Path) -> None:
    text = (shipped_folder() / "nxrt-cpu.toml").read_text(encoding="utf-8")
    changed = text.replace('exports = ["CreateEpFactories", "ReleaseEpFactory"]', 'exports = ["CreateNothing"]')
    assert changed != text
    (tmp_path / "nxrt-cpu.toml").write_text(changed, encoding="utf-8")
    options = ("--variants", tmp_path, "--cache", cache, "--out", tmp_path / "out", "--target", "linux-x86_64")
    done = run("wheels", "nxrt-cpu", *options)
    assert done.returncode == 7, done.stderr
    assert "does not export CreateNothing, so it is no plugin" in done.stderr
    assert "1 of 1 wheels could not be made: nxrt-cpu for linux-x86_64" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Name the variants, or say --all."),
        (("cpu", "--all"), "Name the variants, or say --all."),
        (("cpuu",), "Did you mean cpu?"),
        (("cpu", "--target", "win-amd65"), "Did you mean win-amd64?"),
        (("coreml", "--target", "win-amd64"), "None of coreml is made for that target."),
        (("cpu", "--jobs", "0"), "--jobs 0 is no number of jobs."),
    ],
)
def test_mistakes_on_the_command_line_of_a_set(
    cache: Path, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = run("wheels", *arguments, "--cache", cache, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]


def test_extras_that_are_not_current(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    shutil.copyfile(Path(__file__).parents[3] / "pyproject.toml", file)
    assert run("extras", file).returncode == 0
    right = file.read_text(encoding="utf-8")
    file.write_text(right.replace("nvidia-cublas~=13.0", "nvidia-cublas~=12.0"), encoding="utf-8")
    done = run("extras", file)
    assert done.returncode == 3
    assert "is not what the manifests say" in " ".join(done.stderr.split())
    assert run("extras", file, "--write").returncode == 0
    assert file.read_text(encoding="utf-8") == right
