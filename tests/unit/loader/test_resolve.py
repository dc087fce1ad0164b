"""Resolution is a pure function: described machines and runtimes in, verdicts with reasons out."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortpack._installed import BrokenRuntime, Runtime
from ortpack._machine import Machine
from ortpack._resolve import Resolution, Wish, demand, resolve
from ortpack.errors import (
    RuntimeNotFoundError,
    RuntimeUnusableError,
    UnknownDeviceError,
    UnknownProviderError,
)

LINUX = Machine(os="linux", arch="x86_64", libc="glibc", libc_version="2.36")
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def runtime(name: str = "cpu", **changes: Any) -> Runtime:
    values: dict[str, Any] = {
        "name": name,
        "variant": name,
        "target": "linux-x86_64",
        "ort_version": "1.32.0",
        "api_version": 32,
        "linkage": "shared",
        "folder": f"/site/ortpack_runtimes/{name}",
        "file": f"/site/ortpack_runtimes/{name}/libonnxruntime.so",
        "providers": (CPU,),
        "devices": {"cpu": (CPU,)},
        "priority": 0,
        "model_formats": ("onnx", "ort"),
        "reduced": False,
        "platform": {"os": "linux", "arch": "x86_64", "libc": "glibc", "libc_version": "2.28"},
        "files": {},
        "requires": (),
        "provenance": {},
    }
    return Runtime(**{**values, **changes})


def cuda(**changes: Any) -> Runtime:
    return runtime("cuda", providers=(CUDA, CPU), devices={"cuda": (CUDA, CPU), "cpu": (CPU,)}, priority=50, **changes)


def judged(*found: Runtime | BrokenRuntime, machine: Machine = LINUX, wish: Wish | None = None) -> Resolution:
    return resolve(found, machine, wish or Wish(), {})


def test_automatic_mode_takes_the_highest_priority() -> None:
    resolution = judged(runtime(), cuda())
    assert [c.runtime.name for c in resolution.candidates] == ["cuda", "cpu"]
    assert demand(resolution).name == "cuda"


def test_a_reduced_runtime_is_taken_only_by_name() -> None:
    reduced = runtime("mine", reduced=True, priority=99)
    assert demand(judged(reduced, runtime())).name == "cpu"
    assert demand(judged(reduced, runtime(), wish=Wish(runtime="mine"))).name == "mine"
    with pytest.raises(RuntimeUnusableError, match="by name or path"):
        demand(judged(reduced))


@pytest.mark.parametrize(
    ("platform", "machine", "says"),
    [
        ({"os": "windows", "arch": "amd64"}, LINUX, "this machine is linux on x86_64, glibc 2.36"),
        ({"os": "linux", "arch": "aarch64"}, LINUX, "this machine is linux on x86_64"),
        ({"os": "linux", "arch": "x86_64", "libc": "musl"}, LINUX, "this machine is linux"),
        (
            {"os": "linux", "arch": "x86_64", "libc": "glibc", "libc_version": "2.38"},
            LINUX,
            "it needs glibc 2.38 or newer, this machine has 2.36",
        ),
        (
            {"os": "macos", "arch": "arm64", "os_version": "14.0"},
            Machine(os="macos", arch="arm64", os_version="13.6.1"),
            "it needs macos 14.0 or newer, this machine has 13.6.1",
        ),
    ],
)
def test_a_runtime_for_another_platform_is_rejected_with_both_sides_named(
    platform: dict[str, str], machine: Machine, says: str
) -> None:
    resolution = judged(runtime(platform=platform, target="elsewhere"), machine=machine)
    assert says in resolution.candidates[0].reason
    assert "elsewhere" in resolution.candidates[0].reason
    with pytest.raises(RuntimeUnusableError):
        demand(resolution)


def test_versions_are_compared_as_numbers() -> None:
    here = Machine(os="linux", arch="x86_64", libc="glibc", libc_version="2.100")
    assert judged(runtime(), machine=here).chosen


def test_an_unknown_libc_version_is_no_reason_to_reject() -> None:
    assert judged(runtime(), machine=Machine(os="linux", arch="x86_64", libc="glibc")).chosen


def test_damage_rejects_and_says_to_reinstall() -> None:
    resolution = resolve([runtime()], LINUX, Wish(), {"cpu": ["libonnxruntime.so is missing"]})
    assert "libonnxruntime.so is missing: reinstall" in resolution.candidates[0].reason


def test_a_library_older_than_the_base_is_rejected() -> None:
    assert "older than API 17" in judged(runtime(api_version=16)).candidates[0].reason


def test_nothing_installed_says_what_to_install() -> None:
    with pytest.raises(RuntimeNotFoundError, match=r"pip install ortpack\[cpu\]"):
        demand(judged())
    with pytest.raises(RuntimeNotFoundError, match=r"pip install ortpack\[cuda\]"):
        demand(judged(wish=Wish(device="cuda")))


def test_a_misspelt_runtime_gets_the_nearest_name_and_who_asked() -> None:
    with pytest.raises(RuntimeNotFoundError, match=r"ORTPACK_RUNTIME asks for .*'cdua'.*did you mean 'cuda'"):
        demand(judged(runtime(), cuda(), wish=Wish(runtime="cdua", asked_by="ORTPACK_RUNTIME")))


def test_a_device_that_nobody_serves_is_an_error_never_a_fallback() -> None:
    with pytest.raises(UnknownDeviceError, match=r"device='cuda'.*pip install ortpack\[cuda\]"):
        demand(judged(runtime(), wish=Wish(device="cuda")))


def test_a_provider_that_nobody_has_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownProviderError, match="did you mean 'CUDAExecutionProvider'"):
        demand(judged(runtime(), cuda(), wish=Wish(providers=("CudaExecutionProvider",))))


def test_a_named_runtime_that_is_broken_gives_its_reason() -> None:
    broken = BrokenRuntime(name="cpu", folder="/x", reason="runtime.json is missing")
    with pytest.raises(RuntimeUnusableError, match=r"runtime\.json is missing"):
        demand(judged(broken, cuda(), wish=Wish(runtime="cpu")))


def test_a_named_runtime_must_serve_the_device_too() -> None:
    with pytest.raises(RuntimeUnusableError, match="does not serve the device 'cuda'"):
        demand(judged(runtime(), cuda(), wish=Wish(runtime="cpu", device="cuda")))


def test_the_text_marks_the_chosen_one_and_gives_every_reason() -> None:
    text = str(judged(runtime(), cuda(platform={"os": "windows"})))
    assert "-> cpu: usable" in text
    assert "cuda: rejected: it is built for" in text
    assert "pip install" in str(judged())


runtimes_lists = st.lists(
    st.builds(
        runtime,
        name=st.sampled_from(["cpu", "cuda", "openvino", "mine", "old"]),
        priority=st.integers(0, 3),
        reduced=st.booleans(),
        api_version=st.sampled_from([16, 17, 32]),
        platform=st.sampled_from([{"os": "linux", "arch": "x86_64"}, {"os": "windows", "arch": "amd64"}]),
    ),
    unique_by=lambda r: r.name,
)
wishes = st.builds(
    Wish,
    runtime=st.none() | st.sampled_from(["cpu", "mine", "absent"]),
    device=st.none() | st.sampled_from(["cpu", "cuda"]),
)


@given(runtimes_lists, wishes, st.randoms())
def test_the_order_of_installation_never_matters(found: list[Runtime], wish: Wish, random: Any) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    assert judged(*found, wish=wish) == judged(*shuffled, wish=wish)


@given(runtimes_lists, wishes)
def test_every_verdict_has_a_reason_and_no_usable_one_is_skipped_for_a_worse(found: list[Runtime], wish: Wish) -> None:
    resolution = judged(*found, wish=wish)
    assert len(resolution.candidates) == len(found)
    assert all(candidate.reason for candidate in resolution.candidates)
    usable = resolution.usable
    assert all(a.priority >= b.priority for a, b in pairwise(usable))
    assert resolution.chosen == (usable[0] if usable else None)
    if wish.runtime:
        assert all(r.name == wish.runtime for r in usable)
    else:
        assert not any(r.reduced for r in usable)
