from __future__ import annotations

import itertools

import pytest

from ortpack_build.base.errors import FetchError, HashMismatchError, StorageError
from ortpack_build.origin.pip_wheel import Pin, _failure, _pip_arguments

PIN = Pin(
    distribution="onnxruntime", version="1.32.0", file="onnxruntime-1.32.0-cp312-cp312-win_amd64.whl", sha256="0" * 64
)


def pairs(file: str) -> list[tuple[str, str]]:
    arguments = _pip_arguments(Pin(distribution="x", version="1", file=file, sha256="0" * 64), live=False)
    return list(itertools.pairwise(arguments))


def test_pip_is_told_the_platform_of_the_pinned_file() -> None:
    found = pairs("onnxruntime-1.21.0-cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl")
    assert ("--python-version", "3.12") in found
    assert ("--implementation", "cp") in found
    assert ("--abi", "cp312") in found
    assert {value for option, value in found if option == "--platform"} == {
        "manylinux_2_27_x86_64",
        "manylinux_2_28_x86_64",
    }
    plugin = pairs("onnxruntime_ep_openvino-1.8.1-py3-none-win_amd64.whl")
    assert ("--implementation", "py") in plugin
    assert ("--abi", "none") in plugin
    assert not [option for option, _ in plugin if option == "--python-version"]


def test_pip_never_resolves_builds_or_skips_the_hash() -> None:
    arguments = _pip_arguments(PIN, live=False)
    assert {"--require-hashes", "--no-deps", "--no-input"} <= set(arguments)
    assert ("--only-binary", ":all:") in pairs(PIN.file)
    assert not [word for word in arguments if "index" in word]


@pytest.mark.parametrize(
    ("output", "kind", "message"),
    [
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n"
            f"    onnxruntime: Expected sha256 {'0' * 64}\n             Got        {'1' * 64}\n",
            HashMismatchError,
            "1" * 64,
        ),
        ("ERROR: Could not install: [Errno 28] No space left on device\n", StorageError, "disk is full"),
        (
            "× Download failed after 6 attempts because not enough bytes were received (2.1 MB/16.0 MB)\n",
            StorageError,
            "disk is full",
        ),
        (
            "× Download failed after 6 attempts because not enough bytes were received (0.1 MB/3.0 MB)\n",
            FetchError,
            "not enough bytes",
        ),
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...)'\n"
            "ERROR: Could not find a version that satisfies the requirement onnxruntime==1.32.0\n",
            FetchError,
            "can't reach the package index",
        ),
        ("ERROR: No matching distribution found for onnxruntime==1.32.0\n", FetchError, "No matching distribution"),
        ("", FetchError, "pip said: nothing"),
    ],
)
def test_what_pip_says_becomes_an_error_with_a_meaning(output: str, kind: type[Exception], message: str) -> None:
    error = _failure(PIN, output, room=4_000_000)
    assert type(error) is kind
    assert message in error.paragraph()
    assert error.hint
