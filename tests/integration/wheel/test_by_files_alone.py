"""A variant, a target and a release that nobody has heard of, added by files alone, from the list to a verified wheel.

Its library is one of this machine that says in its header that it is for another.
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from ortpack_build.base.data_file import shipped_folder
from ortpack_build.base.hashing import sha256
from support.command import run
from support.index import serve_folder
from support.wheels import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="compiles a library")

TARGET, RELEASE, TAG = "linux-riscv64", "9.9.9", "manylinux_2_39_riscv64"
FILE = f"mine_official-{RELEASE}-py3-none-{TAG}.whl"
RISCV = 243  # of an ELF header
FILES = {
    "targets.toml": f"""
        schema = 1
        [[targets]]
        name = "{TARGET}"
        os = "linux"
        arch = "riscv64"
        machine = "RISCV"
        libc = "glibc"
        policy = "riscv"
        runs_on = ["{TARGET}"]
        marker = "sys_platform == 'linux' and platform_machine == 'riscv64'"
    """,
    "policies.toml": """
        schema = 1
        [[policies]]
        name = "riscv"
        libraries = { system = ["libc.so.6"] }
        symbols = { "2.39" = { GLIBC = "2.39" } }
    """,
    "providers.toml": 'schema = 1\nproviders = ["MineExecutionProvider"]\n',
    "mine.toml": f"""
        schema = 1
        name = "mine"
        summary = "A runtime that nobody has heard of"
        license = "MIT"
        providers = ["MineExecutionProvider"]
        devices = {{ mine = ["MineExecutionProvider"] }}
        serves = {{ intel-npu = 2 }}
        priority = 5
        model_formats = ["onnx"]
        [prebuilt]
        distribution = "mine-official"
        licenses = ["mine/LICENSE"]
        [[prebuilt.files]]
        os = "linux"
        member = "mine/libonnxruntime.so.{{ort}}"
        role = "library"
        exports = ["OrtGetApiBase"]
        [[prebuilt.wheels]]
        ort = "{RELEASE}"
        target = "{TARGET}"
        tag = "{TAG}"
        file = "{FILE}"
        sha256 = "HASH"
    """,
    "kits/kits.toml": f"""
        [targets.{TARGET}]
        baseline = "2.39"
        tag = "manylinux_{{baseline}}_riscv64"
        zig = "riscv64-linux-gnu.{{baseline}}"
        system = "Linux"
        processor = "riscv64"
        library = "libonnxruntime.so.{{ort}}"
        [processors.riscv64]
        flags = []
    """,
    f"sources/{RELEASE}/mine.patch": "Purpose: a try.\n\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user writes to add them, and in `official` the wheel that a vendor made."""
    root = tmp_path_factory.mktemp("mine")
    (root / "official").mkdir()
    source, library = root / "ort.c", root / "libonnxruntime.so"
    source.write_text("const void *OrtGetApiBase(void) { return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-nostdlib", "-s", "-o", library, source], check=True)
    data = bytearray(library.read_bytes())
    data[18:20] = struct.pack("<H", RISCV)
    content: dict[str, bytes | str] = {
        f"mine/libonnxruntime.so.{RELEASE}": bytes(data),
        "mine/LICENSE": "As you like it.",
    }
    wheel = make_wheel(root / "official", "mine-official", RELEASE, content)
    wheel = wheel.rename(wheel.with_name(FILE))
    release = (shipped_folder() / "sources" / "onnxruntime-1.28.2.toml").read_text(encoding="utf-8")
    files = FILES | {f"sources/onnxruntime-{RELEASE}.toml": release.replace("1.28.2", RELEASE)}
    for name, text in files.items():
        (root / "variants" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "variants" / name).write_text(text.replace("HASH", sha256(wheel.read_bytes())), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def built(folder: Path) -> Path:
    """The wheel, made from an index that has the official one."""
    out = folder / "out"
    with serve_folder(folder / "official") as url:
        options = ("--variants", folder / "variants", "--out", out, "--cache", folder / "cache")
        done = run(
            "wheel", "mine", "--target", TARGET, *options, PIP_INDEX_URL=url, PIP_NO_INDEX="0", PIP_FIND_LINKS=""
        )
    assert done.returncode == 0, done.stderr
    return out / done.stdout.strip().rpartition("/")[2]


def test_they_are_listed(folder: Path) -> None:
    done = run("list", "--json", "--variants", folder / "variants")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    own = [row for row in rows if row["target"] == TARGET]
    assert ("mine", RELEASE, "prebuilt") in {(row["variant"], row["ort"], row["origin"]) for row in own}
    compiled = [row for row in own if (row["ort"], row["origin"]) == (RELEASE, "source")]
    assert {row["variant"] for row in compiled} >= {"cpu"}
    assert {row["tag"] for row in compiled} == {TAG}


def test_they_are_shown(folder: Path) -> None:
    done = run("show", "mine", "--target", TARGET, "--variants", folder / "variants")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)["spec"]
    assert (shown["version"], shown["tag"]) == (RELEASE, TAG)
    assert shown["platform"] == {"os": "linux", "arch": "riscv64", "libc": "glibc", "libc_version": "2.39"}


def test_the_wheel_is_made_and_verified(folder: Path, built: Path) -> None:
    assert built.name == f"ortpack_mine-{RELEASE}-py3-none-{TAG}.whl"
    done = run("verify", "--no-run", "--json", built, "--variants", folder / "variants")
    rows = {row["check"]: row for row in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0, rows
    assert {row["verdict"] for row in rows.values()} <= {"pass", "info", "skip"}
    assert rows["architecture"]["detail"] == "1 libraries for linux riscv64"
    assert rows["exports"]["verdict"] == "pass"


def test_a_wheel_is_not_verified_by_what_nobody_has_described(built: Path) -> None:
    done = run("verify", "--no-run", "--json", built)
    assert done.returncode == 1
    assert "mine" in done.stdout + done.stderr


def test_generated_files_have_them(folder: Path, tmp_path: Path) -> None:
    page = run("docs", "variants", "--variants", folder / "variants").stdout
    assert "## mine\n" in page
    assert f"- {TARGET}: wheel tag `{TAG}`, from `{FILE}`" in page
    table = tmp_path / "_served.py"
    assert run("served", table, "--write", "--variants", folder / "variants").returncode == 0
    assert 'extra="mine"' in table.read_text(encoding="utf-8")


def test_a_kit_of_them_is_asked_for_by_name(folder: Path) -> None:
    """As far as nothing is fetched: the target and the release are known, and this machine has no such compiler."""
    options = ("--ort", RELEASE, "--toolchain", "gcc", "--cache", folder / "cache")
    done = run("kit", TARGET, *options, "--variants", folder / "variants")
    assert (done.returncode, "gcc of this machine compiles for" in done.stderr) == (2, True), done.stderr
    done = run("kit", TARGET, *options)
    assert (done.returncode, f"Kits are not made for {TARGET}" in done.stderr) == (2, True), done.stderr
