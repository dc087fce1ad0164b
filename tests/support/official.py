"""The official C library of several releases, for this machine's platform, to test the loader with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.packages import Source, fetch

if TYPE_CHECKING:
    from pathlib import Path

NEWEST, OLDER = "1.32.0", "1.21.0"
ANCIENT = "1.14.1"  # older than the oldest C API that the binding speaks

_CP312 = ("--python-version=3.12", "--implementation=cp", "--abi=cp312")
_LIBRARIES = {
    NEWEST: Source(
        requirement="onnxruntime==1.32.0",
        sha256="99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
        member="onnxruntime/capi/libonnxruntime.so.1.32.0",
        tags=("--platform=manylinux_2_28_x86_64", *_CP312),
    ),
    OLDER: Source(
        requirement="onnxruntime==1.21.0",
        sha256="9a04aafb802c1e5573ba4552f8babcb5021b041eb4cfa802c9b7644ca3510eca",
        member="onnxruntime/capi/libonnxruntime.so.1.21.0",
        tags=("--platform=manylinux_2_28_x86_64", *_CP312),
    ),
    ANCIENT: Source(  # no official wheel of that time holds the C library, but this package brought it along
        requirement="piper-phonemize==1.1.0",
        sha256="c1062e00c94835e9115df7ce1d7b3b5c40c6d845cd70b2c121954faf5b8d23c7",
        member="piper_phonemize.libs/libonnxruntime-9a682863.so.1.14.1",
        tags=("--platform=manylinux_2_28_x86_64", "--python-version=3.11", "--implementation=cp", "--abi=cp311"),
    ),
}


def library(release: str) -> Path:
    """The official library of `release` for Linux x86_64."""
    return fetch(_LIBRARIES[release])
