"""The commands of source builds, as far as nothing is fetched or compiled: one clear paragraph for every mistake."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ortpack_build.catalog import host, manifests
from ortpack_build.cli.main import main
from ortpack_build.kit import settings as kit_settings

if TYPE_CHECKING:
    from pathlib import Path

_STATIC = ["wheel", "cpu", "--origin", "source", "--target", "linux-x86_64", "--linkage", "static", "--embed"]
_OWN = host.detect().target(manifests.load().targets)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["sources", "--ort", "1.21.1"], 2, "Did you mean 1.21.0"),
        (["sources", "--sources", "debain"], 2, "Did you mean debian"),
        (["sources", "--sources", "upstream"], 4, "has no SHA-256 for onnxruntime-1.21.0.tar.gz"),
        (["sources", "--tree", "{folder}"], 9, "no tree of ONNX Runtime"),
        (["kit", "linux-sparc64"], 2, "Kits are not made for linux-sparc64"),
        (["kit", "--target", "linux-aarch46"], 2, "Did you mean linux-aarch64?"),
        (["kit", "linux-x86_64", "--target", "linux-aarch64"], 2, "Name one target"),
        (["kit", "musllinux-x86_64", "--baseline", "1.1"], 2, "the one that zig brings, 1.2"),
        (["kit", "linux-aarch64", "--baseline", "old"], 2, "is no version of a libc"),
        (["kit", "win-amd64"], 2, "Kits are not made for win-amd64"),
        (["kit", "linux-x86_64", "--jobs", "0"], 2, "It is 1 or more"),
        (["kit", "linux-x86_64", "--from", "{folder}/nothing.zst"], 6, "There is no file"),
        (["kit", "linux-x86_64", "--from", "{folder}/junk.zst"], 6, "is damaged"),
        (["wheel", "gpu", "--origin", "source", "--from", "{folder}/junk.zst"], 2, "There is no variant 'gpu'"),
        (["wheel", "cpu", "--linkage", "static", "--embed", "mylib._ort"], 2, "Add --origin source"),
        (["wheel", "cpu", "--origin", "source", "--linkage", "static"], 2, "Name it: --embed"),
        (["wheel", "cpu", "--origin", "source", "--embed", "mylib._ort"], 2, "Add --linkage static"),
        ([*_STATIC, "my-lib"], 2, "'my-lib' is no name of a Python package"),
        ([*_STATIC, "mylib.import"], 2, "'mylib.import' is no name"),
        ([*_STATIC, "ortpack._ort"], 2, "belongs to the loader"),
    ],
)
def test_mistakes(
    arguments: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "junk.zst").write_bytes(os.urandom(1000))
    given = [argument.format(folder=tmp_path) for argument in arguments]
    assert main([*given, "--cache", str(tmp_path / "cache")]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in " ".join(err.split())
    assert "Traceback" not in err


@pytest.mark.skipif(_OWN not in kit_settings.load().targets, reason="kits are not made for this machine")
@pytest.mark.parametrize(
    ("toolchain", "target", "code", "message"),
    [
        ("gc", _OWN, 2, "Did you mean gcc"),
        ("gcc", _OWN, 8, "is not on this machine"),
        ("gcc", "linux-armv7l", 2, "compiles for linux-x86_64, not for linux-armv7l. Use --toolchain zig."),
    ],
)
def test_toolchains(
    toolchain: str,
    target: str,
    code: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["kit", target, "--toolchain", toolchain, "--cache", str(tmp_path)]) == code
    assert message in " ".join(capsys.readouterr().err.split())
