"""`python -m ortpack doctor` in environments of several kinds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.plugins import install

if TYPE_CHECKING:
    from support.sites import Site


def test_everything_that_a_person_can_act_on_is_in_the_table(site: Site) -> None:
    site.add("cpu")
    needs = [{"fact": "cpu-feature", "one_of": ["telepathy"], "mend": "buy a better CPU"}]
    site.add("fast", priority=9, needs=needs)
    site.add("other", target="win-amd64", platform={"os": "windows", "arch": "amd64"})
    install("nxrt-ep-cpu", site.folder)
    done = site.run("-m", "ortpack", "doctor", COLUMNS="200")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert any(line.split()[:4] == ["cpu", "chosen", "1.32.0", "cpu"] for line in lines)
    (fast,) = [line for line in lines if line.startswith("  fast")]
    assert "rejected" in fast
    assert "the CPU does not have it, telepathy is needed: buy a better CPU" in fast
    assert "plugin    nxrt-ep-cpu 0.1.0.dev6: used with device='nxrt-ep-cpu', never unasked" in lines
    assert any(line.startswith("          offered: CPUExecutionProvider on ") for line in lines)
    assert any(line.startswith("warning   ortpack runs on 'cpu' because: fast: ") for line in lines)
    assert all(len(line) <= 200 for line in lines if not line.startswith("warning"))


def test_a_narrow_terminal_wraps_the_reasons_and_loses_nothing(site: Site) -> None:
    site.add("cpu")
    site.add("mine", reduced=True)
    done = site.run("-m", "ortpack", "doctor", COLUMNS="60")
    lines = done.stdout.splitlines()
    (start,) = [number for number, line in enumerate(lines) if line.startswith("  mine ")]
    (end,) = [number for number, line in enumerate(lines) if line.startswith("loaded ")]
    assert end - start > 1
    assert "it holds only the operators of some models: load it by name or path" in " ".join(
        " ".join(lines[start:end]).split()
    )


def test_a_folder_that_everyone_can_write_is_a_warning(site: Site) -> None:
    site.add("cpu").chmod(0o777)
    report = json.loads(site.run("-m", "ortpack", "doctor", "--json").stdout)
    assert any("can be written by everyone" in warning for warning in report["warnings"])


def test_facts_are_in_the_json(site: Site) -> None:
    site.add("cpu")
    facts = json.loads(site.run("-m", "ortpack", "doctor", "--json").stdout)["facts"]
    assert {"nvidia-driver", "cuda-driver", "intel-npu", "cpu-vendor", "vulkan"} <= set(facts)
    assert all(value is None or isinstance(value, list) for value in facts.values())
