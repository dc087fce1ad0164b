"""Runtimes that are installed, found, resolved and loaded, each in a new process."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.models import model
from support.official import ANCIENT, NEWEST, OLDER, library
from support.runs import last_line

if TYPE_CHECKING:
    from pathlib import Path

    from support.sites import Site

VERSION = "import ortpack; print(ortpack.get_version_string())"
LOADED = "import ortpack; print(ortpack.runtime().info.name)"
MAPPED = "print([line for line in open('/proc/self/maps') if 'onnxruntime' in line or '_binding' in line])"


def test_importing_loads_nothing_native_and_no_numpy(site: Site) -> None:
    site.add("cpu")
    code = "import sys, ortpack; ortpack.runtimes(); ortpack.explain(); print('numpy' in sys.modules)"
    done = site.code(f"{code}; {MAPPED}")
    assert done.stdout.split() == ["False", "[]"], done.stderr


IMPORTED = """
import sys
{first}
before = set(sys.modules)
{code}
print(*{{name.split(".")[0] for name in {{*sys.modules}} - before}})
"""


def test_the_way_to_a_first_result_imports_little(site: Site) -> None:
    """Most of the time to a first result goes into imports: what is added to these has to be worth its while."""
    folder = site.add("cpu", reduced=True)
    done = site.code(IMPORTED.format(first="", code="import ortpack"))
    assert set(done.stdout.split()) == {"ortpack", "__future__"}, done.stderr
    for runtime in ("cpu", str(folder)):
        session = f"import ortpack; ortpack.InferenceSession({str(model('silero_vad'))!r}, runtime={runtime!r})"
        done = site.code(IMPORTED.format(first="import numpy", code=session))
        few = {"ortpack", "nanobind_backend", "__future__", "atexit", "json", "_json"}
        assert {"ortpack", "json"} <= set(done.stdout.split()) <= few, done.stderr


def test_a_runtime_that_is_named_is_the_only_one_that_is_looked_at(site: Site) -> None:
    folder = site.add("cpu")
    site.add("other", priority=10)
    opened = (
        "import os, sys; read = []; "
        "sys.addaudithook(lambda e, a: e == 'open' and str(a[0]).endswith('runtime.json') and read.append(str(a[0])));"
    )
    tell = "print(ortpack.runtime().info.name, *[os.path.basename(os.path.dirname(file)) for file in read])"
    for variables in ({"ORTPACK_RUNTIME": "cpu"}, {"ORTPACK_LIBRARY": str(folder)}):
        done = site.code(f"{opened} import ortpack; {tell}", **variables)
        assert done.stdout.split() == ["cpu", "cpu"], done.stderr
    done = site.code(f"{opened} import ortpack; {tell}")
    assert sorted(done.stdout.split()) == ["cpu", "other", "other"], done.stderr


@pytest.mark.parametrize("name", [".", "..", "_cpu", ".cpu"])
def test_a_name_is_no_way_out_of_the_folder(site: Site, name: str) -> None:
    site.add("cpu")
    done = site.code(f"import ortpack; ortpack.load_runtime({name!r})")
    assert f"the runtime {name!r}, which is not installed" in last_line(done)


def test_the_installed_runtime_is_loaded_at_first_use(site: Site) -> None:
    site.add("cpu")
    done = site.code(VERSION)
    assert (done.stdout.strip(), done.stderr) == (NEWEST, "")


def test_the_highest_priority_wins_and_a_variable_overrides_it(site: Site) -> None:
    site.add("cpu")
    site.add("better", release=OLDER, priority=10)
    assert site.code(VERSION).stdout.strip() == OLDER
    assert site.code(VERSION, ORTPACK_RUNTIME="cpu").stdout.strip() == NEWEST
    assert site.code(VERSION, ORTPACK_RUNTIME="").stdout.strip() == OLDER


def test_a_library_or_a_folder_is_taken_by_path(site: Site) -> None:
    folder = site.add("mine", reduced=True, release=OLDER)
    assert site.code(VERSION, ORTPACK_LIBRARY=str(library(NEWEST))).stdout.strip() == NEWEST
    assert site.code(VERSION, ORTPACK_LIBRARY=str(folder)).stdout.strip() == OLDER
    code = f"import ortpack; print(ortpack.load_runtime({str(folder)!r}).library.version)"
    assert site.code(code).stdout.strip() == OLDER


def test_two_releases_run_in_one_process(site: Site) -> None:
    site.add("cpu")
    site.add("old", release=OLDER)
    done = site.code("import ortpack; print(*[ortpack.load_runtime(n).library.version for n in ('old', 'cpu', 'old')])")
    assert done.stdout.split() == [OLDER, NEWEST, OLDER], done.stderr


def test_a_runtime_that_fails_to_load_is_passed_over_with_one_warning(site: Site, tmp_path: Path) -> None:
    broken = tmp_path / "libonnxruntime.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", broken], input=b"int nothing;", check=True)
    site.add("cpu")
    site.add("fast", source=broken, release=NEWEST, priority=10)
    done = site.code(LOADED)
    assert done.stdout.strip() == "cpu"
    assert done.stderr.count("FallbackWarning") == 1
    assert "OrtGetApiBase" in done.stderr
    assert "RuntimeLoadError" in last_line(site.code(LOADED, ORTPACK_RUNTIME="fast"))


def test_nothing_installed_says_what_to_install(site: Site) -> None:
    assert "RuntimeNotFoundError: no ONNX Runtime is installed for ortpack: pip install ortpack[cpu]" in last_line(
        site.code(VERSION)
    )


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"ORTPACK_RUNTIME": "cup"}, "did you mean 'cpu'"),
        (
            {"ORTPACK_LIBRARY": "/nowhere/libonnxruntime.so"},
            "ORTPACK_LIBRARY: /nowhere/libonnxruntime.so does not exist",
        ),
        ({"ORTPACK_LIBRARY": "/usr"}, "/usr/runtime.json is missing"),
    ],
)
def test_a_wrong_variable_is_named(site: Site, variables: dict[str, str], says: str) -> None:
    site.add("cpu")
    assert says in last_line(site.code(VERSION, **variables))


def test_a_runtime_for_another_platform_is_refused(site: Site) -> None:
    site.add("cpu", target="win-amd64", platform={"os": "windows", "arch": "amd64"})
    message = last_line(site.code(VERSION))
    assert "it is built for win-amd64; this machine is linux on x86_64" in message


def truncated(path: Path) -> None:
    path.write_bytes(library(NEWEST).read_bytes()[:20_000_000])


def of_another_architecture(path: Path) -> None:
    content = bytearray(library(OLDER).read_bytes())
    content[18:20] = (183).to_bytes(2, "little")  # e_machine: EM_AARCH64
    path.write_bytes(content)


def not_ort(path: Path) -> None:
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", path], input=b"int nothing;", check=True)


def with_a_missing_dependency(path: Path) -> None:
    needed = path.parent / "libnotthere.so"
    not_ort(needed)
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-Wl,--no-as-needed", "-x", "c", "-", "-o", path, "-x", "none", needed],
        input=b"int nothing;",
        check=True,
    )
    needed.unlink()


def ancient(path: Path) -> None:
    shutil.copy(library(ANCIENT), path)


def text(path: Path) -> None:
    path.write_text("INPUT(libc.so.6)")


def empty(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (truncated, "truncated"),
        (of_another_architecture, "library for linux on aarch64; this process is linux on x86_64"),
        (not_ort, "OrtGetApiBase"),
        (with_a_missing_dependency, "libnotthere.so"),
        (ancient, "1.14.1"),
        (text, "no native library"),
        (empty, "empty"),
    ],
)
def test_a_bad_library_is_refused_with_its_reason_and_no_crash(
    site: Site, tmp_path: Path, make: object, says: str
) -> None:
    file = tmp_path / "libonnxruntime.so"
    assert callable(make)
    make(file)
    done = site.code(VERSION, ORTPACK_LIBRARY=str(file))
    message = last_line(done)
    assert "RuntimeLoadError" in message
    assert says in message
    assert str(file) in message
    assert done.stdout == ""


def test_doctor_shows_the_choice_and_its_reason(site: Site) -> None:
    site.add("cpu")
    site.add("mine", reduced=True, release=OLDER)
    done = site.run("-m", "ortpack", "doctor", COLUMNS="200")
    assert done.returncode == 0, done.stderr
    assert "cpu   chosen" in done.stdout
    assert "load it by name or path" in done.stdout
    report = json.loads(site.run("-m", "ortpack", "doctor", "--json").stdout)
    assert report["loaded"]["ort_version"] == NEWEST
    assert [entry["verdict"] for entry in report["runtimes"]] == ["chosen", "rejected"]


def test_doctor_finds_changed_bytes_when_asked_to_verify(site: Site, tmp_path: Path) -> None:
    changed = tmp_path / library(OLDER).name
    content = bytearray(library(OLDER).read_bytes())
    folder = site.add("cpu", release=OLDER)
    content[-1] ^= 1
    changed.write_bytes(content)
    (folder / changed.name).unlink()
    (folder / changed.name).symlink_to(changed)
    assert site.run("-m", "ortpack", "doctor").returncode == 0
    done = site.run("-m", "ortpack", "doctor", "--verify")
    assert done.returncode == 1
    assert "SHA-256 differs" in done.stdout


def test_a_library_that_a_packager_stripped_is_used_and_doctor_tells(site: Site) -> None:
    folder = site.add("cpu", release=OLDER)
    (file,) = folder.glob("lib*")
    content = bytes(file.read_bytes())
    file.unlink()
    file.write_bytes(content)
    subprocess.run(["strip", "--strip-unneeded", file], check=True)
    assert file.stat().st_size < len(content)
    assert site.code(VERSION).stdout.split()[0] == OLDER
    done = site.run("-m", "ortpack", "doctor", COLUMNS="200")
    assert done.returncode == 0, done.stdout
    assert f"changed   cpu: {file.name} has {file.stat().st_size:,} bytes instead of {len(content):,}" in done.stdout
    assert site.run("-m", "ortpack", "doctor", "--verify").returncode == 1


def test_a_library_that_was_cut_off_is_damage_whatever_else_is_there(site: Site) -> None:
    folder = site.add("cpu")
    (file,) = folder.glob("lib*")
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:20_000_000])
    message = last_line(site.code(VERSION))
    assert f"{file.name}: the file is truncated: 20,000,000 bytes of" in message
    assert "reinstall the package that brought it" in message
    assert site.run("-m", "ortpack", "doctor").returncode == 1


def test_doctor_without_any_runtime_exits_1_and_names_the_folders(site: Site) -> None:
    done = site.run("-m", "ortpack", "doctor")
    assert done.returncode == 1
    assert "pip install ortpack[cpu]" in done.stdout
    assert str(site.folder) in done.stdout


def test_what_is_planted_in_the_working_directory_or_on_library_paths_is_not_loaded(site: Site, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    planted = tmp_path / "cwd"
    folder = planted / "ortpack_runtimes" / "cpu"
    folder.mkdir(parents=True)
    code = f'#include <stdio.h>\n__attribute__((constructor)) void go(void) {{ fclose(fopen("{marker}", "w")); }}'
    for name in ("libonnxruntime.so", "libonnxruntime.so.1", "libonnxruntime_providers_shared.so"):
        target = planted / name
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", target], input=code.encode(), check=True)
        shutil.copy(target, folder)
    real = site.add("cpu")
    shutil.copy(real / "runtime.json", folder)
    done = site.run("-c", VERSION, cwd=planted, LD_LIBRARY_PATH=str(planted), PATH=str(planted))
    assert done.stdout.strip() == NEWEST, done.stderr
    assert not marker.exists()
