"""Runtimes, plugins and extensions as their `runtime.json` would describe them, and a machine."""

from __future__ import annotations

from typing import Any

from ortpack._installed import EXTENSION, PLUGIN, BaseRuntime, Need, Runtime
from ortpack._machine import Machine

LINUX = Machine(os="linux", arch="x86_64", libc="glibc", libc_version="2.36")
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
_CUDA_NEEDS = (
    Need(fact="nvidia-driver", mend="install NVIDIA's driver"),
    Need(
        fact="cuda-driver",
        at_least="13.0",
        mend="update the NVIDIA driver to 580 or newer, or pip install ortpack[cuda12]",
    ),
    Need(fact="nvidia-gpu", mend="install another variant"),
)
_CUDA_REQUIRES: tuple[dict[str, Any], ...] = (
    {"library": "libstdc++.so.6", "from": "system"},
    {"library": "libcuda.so.1", "from": "driver"},
    {"library": "libcudnn.so.9", "from": "pip", "distribution": "nvidia-cudnn-cu13", "path": "nvidia/cudnn/lib/x"},
    {"library": "libnvrtc.so.13", "from": "pip", "distribution": "nvidia-cuda-nvrtc", "optional": True},
)


def cpu(name: str = "cpu", **changes: Any) -> Runtime:
    described = Runtime(
        name=name,
        variant=name,
        target="linux-x86_64",
        ort_version="1.32.0",
        api_version=32,
        linkage="shared",
        folder=f"/site/ortpack_runtimes/{name}",
        file=f"/site/ortpack_runtimes/{name}/libonnxruntime.so",
        providers=(PROVIDERS["cpu"],),
        devices={"cpu": (PROVIDERS["cpu"],)},
        priority=0,
        model_formats=("onnx", "ort"),
        reduced=False,
        platform={"os": "linux", "arch": "x86_64", "libc": "glibc", "libc_version": "2.28"},
        files={},
        requires=(),
        provenance={},
    )
    return described._replace(**changes)


def cuda(**changes: Any) -> Runtime:
    both = (PROVIDERS["cuda"], PROVIDERS["cpu"])
    devices = {"cuda": both, "cpu": both[1:]}
    given = {"priority": 100, "needs": _CUDA_NEEDS, "requires": _CUDA_REQUIRES, **changes}
    return cpu("cuda", providers=both, devices=devices, **given)


def plugin(name: str = "openvino", **changes: Any) -> Runtime:
    provider = PROVIDERS.get(name, f"{name}_ep")
    base = BaseRuntime(ort_versions=">=1.24", registration=name)
    given = {"priority": 50, "base": base, "api_version": 22, "ort_version": "1.8.1", **changes}
    return cpu(name, kind=PLUGIN, providers=(provider,), devices={name: (provider,)}, **given)


def extension(**changes: Any) -> Runtime:
    providers = (PROVIDERS["tensorrt"], PROVIDERS["cuda"], PROVIDERS["cpu"])
    base = BaseRuntime(runtime="cuda", ort_versions="==1.32.0")
    given = {"priority": 110, "base": base, **changes}
    return cpu("tensorrt", kind=EXTENSION, providers=providers, devices={"tensorrt": providers}, **given)
