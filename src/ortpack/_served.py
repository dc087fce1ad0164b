"""Which variants use a device that a machine may have, the first to advise first.

Written by `ortpack-build served --write`; change `serves` in the manifests of variants/ instead.
"""

from __future__ import annotations

from ortpack._value import Value


class Serving(Value):
    """A variant that uses a device."""

    extra: str  # of the loader, by which it is installed
    device: str  # name for `device=`
    platforms: tuple[tuple[str, str, str | None], ...]  # that it is made for: os, arch, libc
    needs: tuple[tuple[str, str, tuple[str, ...]], ...] = ()  # fact, oldest version, systems where it counts; none: all


SERVED: dict[str, tuple[Serving, ...]] = {
    "amd-gpu": (
        Serving(
            extra="migraphx",
            device="migraphx",
            platforms=(("linux", "x86_64", "glibc"),),
            needs=(("rocm", "7.2", ()),),
        ),
        Serving(
            extra="directml",
            device="directml",
            platforms=(("windows", "amd64", None),),
            needs=(("windows-build", "10.0.18362", ()), ("directx", "12.0", ())),
        ),
        Serving(
            extra="webgpu",
            device="webgpu",
            platforms=(
                ("linux", "x86_64", "glibc"),
                ("linux", "aarch64", "glibc"),
                ("macos", "arm64", None),
                ("windows", "amd64", None),
                ("windows", "arm64", None),
            ),
            needs=(("directx", "12.0", ("windows",)),),
        ),
    ),
    "apple-gpu": (
        Serving(
            extra="coreml",
            device="coreml",
            platforms=(("macos", "arm64", None),),
        ),
        Serving(
            extra="webgpu",
            device="webgpu",
            platforms=(
                ("linux", "x86_64", "glibc"),
                ("linux", "aarch64", "glibc"),
                ("macos", "arm64", None),
                ("windows", "amd64", None),
                ("windows", "arm64", None),
            ),
            needs=(("directx", "12.0", ("windows",)),),
        ),
    ),
    "directx": (
        Serving(
            extra="directml",
            device="directml",
            platforms=(("windows", "amd64", None),),
            needs=(("windows-build", "10.0.18362", ()), ("directx", "12.0", ())),
        ),
    ),
    "intel-gpu": (
        Serving(
            extra="openvino",
            device="openvino",
            platforms=(("linux", "x86_64", "glibc"), ("windows", "amd64", None)),
        ),
        Serving(
            extra="directml",
            device="directml",
            platforms=(("windows", "amd64", None),),
            needs=(("windows-build", "10.0.18362", ()), ("directx", "12.0", ())),
        ),
        Serving(
            extra="webgpu",
            device="webgpu",
            platforms=(
                ("linux", "x86_64", "glibc"),
                ("linux", "aarch64", "glibc"),
                ("macos", "arm64", None),
                ("windows", "amd64", None),
                ("windows", "arm64", None),
            ),
            needs=(("directx", "12.0", ("windows",)),),
        ),
    ),
    "intel-npu": (
        Serving(
            extra="openvino",
            device="openvino",
            platforms=(("linux", "x86_64", "glibc"), ("windows", "amd64", None)),
        ),
    ),
    "nvidia-gpu": (
        Serving(
            extra="cuda",
            device="cuda",
            platforms=(("linux", "x86_64", "glibc"), ("linux", "aarch64", "glibc"), ("windows", "amd64", None)),
            needs=(("cuda-driver", "13.0", ()), ("cuda-compute", "7.5", ())),
        ),
        Serving(
            extra="cuda12",
            device="cuda",
            platforms=(("linux", "x86_64", "glibc"), ("windows", "amd64", None)),
            needs=(("cuda-driver", "12.0", ()),),
        ),
        Serving(
            extra="tensorrt",
            device="tensorrt",
            platforms=(("linux", "x86_64", "glibc"), ("windows", "amd64", None)),
            needs=(("cuda-driver", "13.0", ()), ("cuda-compute", "7.5", ())),
        ),
        Serving(
            extra="tensorrt-rtx",
            device="tensorrt-rtx",
            platforms=(
                ("linux", "x86_64", "glibc"),
                ("linux", "aarch64", "glibc"),
                ("windows", "amd64", None),
                ("windows", "arm64", None),
            ),
            needs=(("cuda-driver", "13.0", ()), ("cuda-compute", "8.0", ())),
        ),
        Serving(
            extra="tensorrt-rtx-cuda12",
            device="tensorrt-rtx-cuda12",
            platforms=(("linux", "x86_64", "glibc"), ("windows", "amd64", None)),
            needs=(("cuda-driver", "12.0", ()), ("cuda-compute", "8.0", ())),
        ),
        Serving(
            extra="directml",
            device="directml",
            platforms=(("windows", "amd64", None),),
            needs=(("windows-build", "10.0.18362", ()), ("directx", "12.0", ())),
        ),
        Serving(
            extra="webgpu",
            device="webgpu",
            platforms=(
                ("linux", "x86_64", "glibc"),
                ("linux", "aarch64", "glibc"),
                ("macos", "arm64", None),
                ("windows", "amd64", None),
                ("windows", "arm64", None),
            ),
            needs=(("directx", "12.0", ("windows",)),),
        ),
    ),
}
