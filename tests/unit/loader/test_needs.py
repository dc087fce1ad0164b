"""Verdicts over machines that are described, and versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortpack._needs import fits, unmet
from ortpack._resolve import Resolution, Wish, demand, resolve
from ortpack.errors import RuntimeNotFoundError, RuntimeUnusableError
from support.described import LINUX, PROVIDERS, cpu, cuda, extension, plugin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ortpack._facts import Fact
    from ortpack._installed import Runtime


@dataclass(frozen=True)
class Described:
    """A machine: its facts, and the libraries that are not there."""

    facts: Mapping[str, Fact] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Fact:
        return self.facts.get(name)

    def find(self, requirement: Mapping[str, object]) -> Path | None:
        library = str(requirement["library"])
        return None if library in self.missing else Path("/site") / library


def gpu(cuda_version: str, **changes: Any) -> Described:
    facts = {"nvidia-driver": ("1.0",), "cuda-driver": (cuda_version,), "nvidia-gpu": ("NVIDIA L4",)}
    return Described(facts, **changes)


NO_GPU = Described({"nvidia-driver": (), "cuda-driver": (), "nvidia-gpu": ()})


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        (gpu("13.0"), None),
        (gpu("13.1"), None),
        (Described(), None),  # nothing is known, so nothing speaks against it
        (NO_GPU, "this machine has no NVIDIA driver: install NVIDIA's driver"),
        (
            gpu("12.4"),
            "the NVIDIA driver supports CUDA 12.4, 13.0 or newer is needed: "
            "update the NVIDIA driver to 580 or newer, or pip install ortpack[cuda12]",
        ),
        (
            Described({"nvidia-driver": ("580.1",), "cuda-driver": ("13.0",), "nvidia-gpu": ()}),
            "this machine has no NVIDIA GPU: install another variant",
        ),
        (
            gpu("13.0", missing=frozenset({"libcudnn.so.9"})),
            'libcudnn.so.9 is missing, which nvidia-cudnn-cu13 brings: pip install "ortpack[cuda]"',
        ),
        (
            gpu("13.0", missing=frozenset({"libcuda.so.1"})),
            "libcuda.so.1 is missing, which the device's driver brings: install the driver",
        ),
        (gpu("13.0", missing=frozenset({"libnvrtc.so.13", "libstdc++.so.6"})), None),  # optional; the system's
    ],
)
def test_the_first_thing_that_is_missing_is_named_with_what_mends_it(machine: Described, reason: str | None) -> None:
    assert unmet(cuda(), machine) == reason


@pytest.mark.parametrize(
    ("version", "clauses", "fitting"),
    [
        ("1.32.0", "", True),
        ("1.32.0", ">=1.24", True),
        ("1.32.0", ">=1.24,<2", True),
        ("1.32.0", ">=1.33", False),
        ("1.9.0", ">=1.24", False),
        ("1.32.0", "==1.32.0", True),
        ("1.32.0", "==1.32", True),
        ("1.32.1", "==1.32.0", False),
        ("2.0.0", ">=1.24, <2", False),
        ("1.24", ">=1.24", True),
    ],
)
def test_versions_are_held_against_clauses(version: str, clauses: str, fitting: bool) -> None:
    assert fits(version, clauses) is fitting


def judged(*found: Runtime, machine: Described = NO_GPU, wish: Wish | None = None) -> Resolution:
    return resolve(found, LINUX, wish or Wish(), {}, machine)


def test_without_a_gpu_the_cpu_is_taken_and_cuda_was_passed_over_for_its_driver() -> None:
    resolution = judged(cpu(), cuda())
    assert demand(resolution).name == "cpu"
    (passed,) = resolution.passed_over
    assert passed.reason.startswith("this machine has no NVIDIA driver")
    with pytest.raises(RuntimeUnusableError, match="no NVIDIA driver"):
        demand(judged(cpu(), cuda(), wish=Wish(device="cuda")))
    assert demand(judged(cpu(), cuda(), machine=gpu("13.0"))).name == "cuda"
    assert judged(cpu(), cuda(), machine=gpu("13.0")).passed_over == ()


def test_on_the_cpu_a_runtime_needs_nothing_of_what_its_gpu_does() -> None:
    assert demand(judged(cuda(), wish=Wish(device="cpu"))).name == "cuda"
    assert demand(judged(cuda(), wish=Wish(device="cpu", runtime="cuda"))).name == "cuda"
    assert demand(judged(cuda(), cpu(), wish=Wish(device="cpu"))).name == "cpu"
    with pytest.raises(RuntimeUnusableError, match="no NVIDIA driver"):
        demand(judged(cuda()))


def test_facts_are_asked_only_for_what_a_candidate_needs() -> None:
    class Asked(Described):
        def __getitem__(self, name: str) -> Fact:
            raise AssertionError(f"asked for {name}")

    assert demand(judged(cpu(), machine=Asked())).name == "cpu"
    assert demand(judged(cpu(), cuda(), machine=Asked(), wish=Wish(runtime="cpu"))).name == "cpu"


def test_a_plugin_works_with_the_plainest_runtime_that_fits() -> None:
    resolution = judged(cuda(), cpu(), cpu("old", ort_version="1.21.0", api_version=21), plugin(), machine=gpu("13.0"))
    bases = {candidate.runtime.name: candidate.base for candidate in resolution.candidates}
    assert bases["openvino"] == cpu()
    wish = Wish(runtime="cuda", device="openvino")
    resolution = judged(cuda(), cpu(), plugin(), machine=gpu("13.0"), wish=wish)
    assert (demand(resolution).name, resolution.candidates[0].base) == ("openvino", cuda())


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ((cpu("old", ort_version="1.21.0", api_version=21),), "it is for ORT >=1.24, this is 1.21.0"),
        ((cpu(api_version=21),), "it needs ORT's API 22, this has 21"),
        ((cpu("mine", reduced=True),), "no ONNX Runtime is installed for it to work with"),
        ((cuda(),), "not with 'cuda': this machine has no NVIDIA driver"),
    ],
)
def test_a_plugin_without_a_runtime_that_fits_says_why(found: tuple[Runtime, ...], says: str) -> None:
    with pytest.raises(RuntimeUnusableError) as caught:
        demand(judged(*found, plugin(), wish=Wish(device="openvino")))
    assert says in str(caught.value)


def test_a_plugin_alone_is_no_runtime() -> None:
    with pytest.raises(RuntimeNotFoundError, match="openvino only adds to an ONNX Runtime"):
        demand(judged(plugin()))


def test_an_extension_works_with_its_own_runtime_of_the_same_release_only() -> None:
    machine = gpu("13.0")
    resolution = judged(cpu(), cuda(), extension(), machine=machine)
    assert (demand(resolution).name, resolution.candidates[0].base) == ("tensorrt", cuda())
    resolution = judged(cpu(), extension(), machine=machine)
    assert "it extends the runtime 'cuda', which is not installed" in resolution.candidates[1].reason
    resolution = judged(cuda(ort_version="1.30.0"), extension(), machine=machine)
    assert "it is for ORT ==1.32.0, this is 1.30.0" in resolution.candidates[1].reason
    assert demand(judged(cpu(), cuda(), extension())).name == "cpu"  # no GPU


def test_what_is_asked_for_by_device_comes_first_where_it_is_the_default() -> None:
    machine = gpu("13.0")
    assert demand(judged(cpu(), cuda(), machine=machine, wish=Wish(device="cpu"))).name == "cpu"
    assert demand(judged(cuda(), machine=machine, wish=Wish(device="cpu"))).name == "cuda"


def test_a_negative_priority_is_never_taken_automatically() -> None:
    assert demand(judged(cpu(), plugin(priority=-1))).name == "cpu"
    assert demand(judged(cpu(), plugin(priority=-1), wish=Wish(device="openvino"))).name == "openvino"
    assert demand(judged(cpu(), plugin(priority=-1), wish=Wish(providers=(PROVIDERS["openvino"],)))).name == "openvino"
    assert demand(judged(cpu(), plugin(priority=-1), wish=Wish(runtime="openvino"))).name == "openvino"


machines = st.builds(
    Described,
    st.fixed_dictionaries(
        {
            "nvidia-driver": st.sampled_from([None, (), ("550.1",), ("580.1",)]),
            "cuda-driver": st.sampled_from([None, (), ("12.4",), ("13.0",)]),
            "nvidia-gpu": st.sampled_from([None, (), ("NVIDIA L4",)]),
        }
    ),
    st.frozensets(st.sampled_from(["libcudnn.so.9", "libcuda.so.1", "libnvrtc.so.13"])),
)
everything = [cpu(), cuda(), extension(), plugin(), plugin("nxrt", priority=-1), cpu("old", ort_version="1.20.0")]
installations = st.lists(st.sampled_from(everything), unique_by=lambda r: r.name)
wishes = st.builds(
    Wish,
    runtime=st.none() | st.sampled_from(["cpu", "cuda", "tensorrt", "openvino", "absent"]),
    device=st.none() | st.sampled_from(["cpu", "cuda", "openvino", "nxrt"]),
    providers=st.just(()) | st.just((PROVIDERS["cuda"],)),
)


@given(installations, machines, wishes, st.randoms())
def test_the_order_of_installation_never_matters(
    found: list[Runtime], machine: Described, wish: Wish, random: Any
) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    assert judged(*found, machine=machine, wish=wish) == judged(*shuffled, machine=machine, wish=wish)


@given(installations, machines, wishes)
def test_every_verdict_has_a_reason_and_what_is_usable_really_is(
    found: list[Runtime], machine: Described, wish: Wish
) -> None:
    resolution = judged(*found, machine=machine, wish=wish)
    assert len(resolution.candidates) == len(found)
    for candidate in resolution.candidates:
        runtime = candidate.runtime
        assert candidate.reason
        assert not (candidate.usable and candidate.unfit)
        if candidate.usable:
            on_cpu = getattr(runtime, "devices", {}).get(wish.device or "") == (PROVIDERS["cpu"],)
            for needed in () if on_cpu else filter(None, (runtime, candidate.base)):
                assert unmet(needed, machine) is None  # type: ignore[arg-type]
            assert (candidate.base is None) == (getattr(runtime, "kind", "") == "runtime")
            assert wish.device is None or wish.device in getattr(runtime, "devices", ())


@given(installations, machines)
def test_automatic_mode_takes_the_best_that_works_and_reports_all_better_ones(
    found: list[Runtime], machine: Described
) -> None:
    resolution = judged(*found, machine=machine)
    chosen = resolution.chosen
    if chosen is None:
        assert not any(r.kind == "runtime" and unmet(r, machine) is None for r in found)
        return
    better = {r.name for r in found if r.priority > chosen.priority}
    assert better == {c.runtime.name for c in resolution.passed_over}
