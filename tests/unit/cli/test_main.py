from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ortpack_build.catalog import host, manifests, spec
from ortpack_build.cli import main as cli
from ortpack_build.link import binding_sources
from ortpack_build.machines import devices
from ortpack_build.reference import pages, schemas

if TYPE_CHECKING:
    from pathlib import Path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def _official() -> set[str]:
    catalog = manifests.load()
    return {name for name in catalog.targets if spec.releases(catalog, catalog.variants["cpu"], name)}


def test_list_as_json_has_a_row_for_each_release_and_target(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "list", "--json")
    rows = json.loads(out)
    assert code == 0
    assert {row["target"] for row in rows if row["ort"] == "1.32.0"} == _official()
    assert all(row["builds_here"] for row in rows if row["origin"] == "prebuilt")
    assert all(row["runs_here"] == (row["why_not"] is None) for row in rows)


def test_list_says_what_can_be_compiled(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    machine = host.Host(os="linux", arch="x86_64", libc="glibc", version="2.36")
    monkeypatch.setattr(host, "detect", lambda: machine)
    rows = [row for row in json.loads(run(capsys, "list", "--json")[1]) if row["origin"] == "source"]
    found = {(row["variant"], row["target"], row["ort"], row["flavour"]): row for row in rows}
    assert len(found) == len(rows)
    assert {"onnx", "ort"} == {flavour for _, target, _, flavour in found if target == "linux-x86_64"}
    tried = found["cpu", "linux-x86_64", "1.21.0", "ort"]
    assert tried["builds_here"]
    assert tried["runs_here"]
    assert tried["proven"]
    assert "debian" in tried["sources"]
    assert not found["cpu", "linux-x86_64", "1.28.2", "ort"]["proven"]
    assert re.search(r"cpu +linux-x86_64 +1\.28\.2 +source +ort +\S+ +never tried +yes", run(capsys, "list")[1])
    monkeypatch.setattr(host, "detect", lambda: replace(machine, os="macos", arch="arm64", libc=None))
    lines = run(capsys, "list")[1].splitlines()
    assert any("source" in line and "there are no compilers for macos-arm64" in line for line in lines)


def test_list_is_a_table_that_no_pipe_cuts(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "list")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split()[:4] == ["variant", "target", "ort", "origin"]
    assert any("manylinux_2_28_aarch64" in line and "linux-aarch64" in line for line in lines)
    assert all(line == line.rstrip() for line in lines)


_LINUX = host.Host(os="linux", arch="x86_64", libc="glibc", version="2.36")


def _listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    code, out, _ = run(capsys, "list", "--json", *arguments)
    assert code == 0
    rows: list[dict[str, Any]] = json.loads(out)
    return rows


def test_list_takes_filters(capsys: pytest.CaptureFixture[str]) -> None:
    rows = _listed(capsys, "cpu", "cuda", "--target", "linux-x86_64", "--target", "win-amd64")
    assert {(row["variant"], row["target"]) for row in rows} == {
        (variant, target) for variant in ("cpu", "cuda") for target in ("linux-x86_64", "win-amd64")
    }
    assert {row["origin"] for row in _listed(capsys, "cpu", "--origin", "source")} == {"source"}
    rows = _listed(capsys, "--flavour", "ort")
    assert {(row["origin"], row["flavour"]) for row in rows} == {("source", "ort")}


def test_list_leaves_superseded_releases_out(capsys: pytest.CaptureFixture[str]) -> None:
    catalog = manifests.load()
    known = spec.releases(catalog, catalog.variants["cpu"], "linux-x86_64")
    asked = ("cpu", "--target", "linux-x86_64", "--origin", "prebuilt")
    assert [row["ort"] for row in _listed(capsys, *asked)] == known[:1]
    rows = _listed(capsys, *asked, "--superseded")
    assert [(row["ort"], row["superseded"]) for row in rows] == [(ort, ort != known[0]) for ort in known]


def test_list_says_what_this_machine_lacks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(host, "detect", lambda: _LINUX)
    monkeypatch.setattr(devices, "unmet", lambda *_: {"cuda": "this machine has no NVIDIA driver"})
    monkeypatch.setenv("PATH", str(tmp_path))
    rows = _listed(capsys, "cuda", "--target", "linux-x86_64")
    assert [row["lacks"] for row in rows] == [["this machine has no NVIDIA driver"]]
    (row,) = _listed(capsys, "cpu", "--target", "linux-aarch64", "--origin", "prebuilt")
    assert row["emulator"] is None
    assert "there is no qemu-aarch64 to run it. Install it" in row["lacks"][0]
    rows = _listed(capsys, "cpu", "--target", "linux-x86_64", "--origin", "source")
    assert ["This machine has no apt-get"] in [row["lacks"] for row in rows if row["sources"] == ["debian"]]
    emulator = tmp_path / "qemu-aarch64"
    emulator.write_text("#!/bin/sh\n")
    emulator.chmod(0o755)
    (row,) = _listed(capsys, "cpu", "--target", "linux-aarch64", "--origin", "prebuilt")
    assert (row["emulator"], row["lacks"]) == ("qemu-aarch64", [])


def test_what_a_machine_lacks_is_what_the_loader_says() -> None:
    """Asked for real: of this machine is known only that it has no device that nobody heard of."""
    found = devices.unmet(
        {name: variant.needs for name, variant in manifests.load().variants.items()}, binding_sources.sources_folder()
    )
    assert "cpu" not in found
    assert all(found.values())


def test_show_prints_the_spec_and_its_hash(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "show", "cpu", "--target", "win-arm64")
    shown = json.loads(out)
    assert code == 0
    assert shown["sha256"] == spec.resolve(manifests.load(), "cpu", "win-arm64").digest
    assert shown["spec"]["tag"] == "win_arm64"
    assert shown["spec"]["source"]["origin"] == "prebuilt"


def test_schema_goes_to_standard_output_or_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "schema")
    assert code == 0
    assert out == schemas.manifests()
    (tmp_path / "mine.toml").write_text("")
    assert cli.main(["schema", "--write", "--variants", str(tmp_path)]) == 0
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")}
    assert written == set(schemas.files())
    assert (tmp_path / "schema.json").read_text(encoding="utf-8") == out
    code, out, _ = run(capsys, "schema", "kits")
    assert (tmp_path / "schemas" / "kits.json").read_text(encoding="utf-8") == out
    (tmp_path / "schemas" / "kits.json").unlink()
    assert cli.main(["schema", "kits", "--write", "--variants", str(tmp_path)]) == 0
    assert (tmp_path / "schemas" / "kits.json").read_text(encoding="utf-8") == out


def test_docs_go_to_standard_output_or_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = pages.pages(manifests.load())
    assert run(capsys, "docs")[:2] == (0, found["variants"].text)
    assert run(capsys, "docs", "kits")[:2] == (0, found["kits"].text)
    assert cli.main(["docs", "kits", "--write", "--folder", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.rglob("*.md")] == ["kits.md"]
    assert cli.main(["docs", "--write", "--folder", str(tmp_path)]) == 0
    written = {path.relative_to(tmp_path).as_posix(): path.read_text("utf-8") for path in tmp_path.rglob("*.md")}
    assert written == {page.file: page.text for page in found.values()}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["show", "cpux"], 2, r"no variant 'cpux'.*Did you mean cpu\?"),
        (["show", "cpu", "--target", "linux"], 2, r"no target 'linux'.*Allowed: linux-x86_64"),
        (["wheel", "cpu", "--target", "all", "--ort", "1.99.0"], 2, r"1\.99\.0 is not pinned"),
        (["wheel", "cpu", "--build-number", "x"], 2, r"'x' is no build number"),
        (["list", "cudaa"], 2, r"no variant 'cudaa'.*Did you mean cuda\?"),
        (["list", "--target", "linux-x68_64"], 2, r"no target 'linux-x68_64'.*Did you mean linux-x86_64\?"),
        (["list", "--variants", "/nowhere"], 3, r"no folder /nowhere"),
        (["schema", "kit"], 2, r"no kind of data file called 'kit'\. Did you mean kits\?"),
        (["schema", "--write", "--variants", "/nowhere"], 5, r"/nowhere"),
        (["docs", "kit"], 2, r"no generated page 'kit'\. Did you mean kits\?"),
        (["docs", "--write", "--folder", "/nowhere"], 2, r"no folder /nowhere"),
        (["served", "/nowhere.py"], 2, r"/nowhere\.py can't be read"),
        (["verify", "/nowhere.whl"], 2, r"no file /nowhere\.whl"),
    ],
)
def test_mistakes_are_one_paragraph_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    if arguments[0] in ("show", "wheel") and "--target" not in arguments:
        arguments = [*arguments, "--target", "linux-x86_64"]
    found, out, err = run(capsys, *arguments)
    assert (found, out) == (code, "")
    assert re.search(message, err)
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("text", ["yesterday", "-1", "4354819199", "1.5", "²"])
def test_a_bad_source_date_epoch(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    code, _, err = run(capsys, "wheel", "cpu", "--target", "win-arm64", "--cache", str(tmp_path))
    assert code == 2
    assert "SOURCE_DATE_EPOCH" in err


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["wheel"], ["show", "cpu", "--nonsense"]])
def test_a_wrong_command_line_exits_with_2(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage: ortpack-build" in capsys.readouterr().err


def test_targets_are_taken_once_each_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    def shown(*arguments: str) -> list[str]:
        _, out, _ = run(capsys, "show", "cpu", *arguments)
        return re.findall(r'^    "target": "(.*)"', out, re.MULTILINE)

    assert shown("--target", "win-arm64", "--target", "win-amd64", "--target", "win-arm64") == [
        "win-arm64",
        "win-amd64",
    ]
    assert set(shown("--target", "all")) == _official()
    assert "win-arm64" not in shown("--target", "all", "--ort", "1.21.0")


def test_a_machine_without_a_target_has_to_name_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "detect", lambda: host.Host(os="linux", arch="sparc64", libc="glibc"))
    code, _, err = run(capsys, "show", "cpu")
    assert code == 2
    assert "no target for this machine (linux sparc64 glibc)" in err
