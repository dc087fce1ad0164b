"""Runtimes are found wherever Python would import them from, and nowhere else."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from support.official import NEWEST, OLDER, library
from support.sites import Site
from support.wheels import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FOUND = "import ortpack; print(*[f'{r.name}-{r.ort_version}' for r in ortpack.runtimes()])"
LOADED = "import ortpack; print(ortpack.runtime().info.path)"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Site:
    """Another folder, with a runtime and without the loader."""
    other = Site(folder=tmp_path / "elsewhere")
    other.add("cpu")
    return other


def test_each_wheel_may_have_a_folder_of_its_own_on_the_path(site: Site, elsewhere: Site, tmp_path: Path) -> None:
    """As rules_python and `pip install --target` lay them out."""
    third = Site(folder=tmp_path / "third")
    third.add("mine", release=OLDER, reduced=True)
    path = os.pathsep.join(str(place.folder) for place in (elsewhere, third, site))
    done = site.run("-c", FOUND, PYTHONPATH=path)
    assert done.stdout.split() == [f"cpu-{NEWEST}", f"mine-{OLDER}"], done.stderr
    done = site.run("-c", LOADED, cwd=tmp_path, PYTHONPATH=path)
    assert done.stdout.strip() == str(elsewhere.folder / "ortpack_runtimes" / "cpu"), done.stderr


def test_of_two_with_one_name_python_s_order_decides(site: Site, elsewhere: Site) -> None:
    """A layered environment has a newer runtime before the one that lies beside the loader."""
    site.add("cpu", release=OLDER)
    both = [str(elsewhere.folder), str(site.folder)]
    assert site.run("-c", FOUND, PYTHONPATH=os.pathsep.join(both)).stdout.split() == [f"cpu-{NEWEST}"]
    assert site.run("-c", FOUND, PYTHONPATH=os.pathsep.join(reversed(both))).stdout.split() == [f"cpu-{OLDER}"]


def test_pth_files_and_code_may_name_folders(site: Site, elsewhere: Site, tmp_path: Path) -> None:
    (tmp_path / "pth").mkdir()
    (tmp_path / "pth" / "more.pth").write_text(f"{elsewhere.folder}\n")
    added = f"import site; site.addsitedir({str(tmp_path / 'pth')!r}); {FOUND}"
    assert site.code(added).stdout.split() == [f"cpu-{NEWEST}"]
    assert site.code(f"import sys; sys.path.append({str(elsewhere.folder)!r}); {FOUND}").stdout != "\n"
    relative = f"import sys; sys.path.append('elsewhere'); {FOUND}"
    assert site.run("-c", relative, cwd=tmp_path).stdout.split() == [f"cpu-{NEWEST}"]


HOOK = """
import sys
from importlib.machinery import ModuleSpec

class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "ortpack_runtimes":
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [{place!r}]
            return spec

sys.meta_path.append(Finder)
"""


def test_the_import_hook_of_an_editable_install_is_asked(site: Site, elsewhere: Site) -> None:
    place = str(elsewhere.folder / "ortpack_runtimes")
    assert site.code(HOOK.format(place=place) + FOUND).stdout.split() == [f"cpu-{NEWEST}"]
    broken = "import sys\nMAPPING = ['ortpack_runtimes.x']\nclass Hook: pass\nsys.meta_path += [Hook, object()]\n"
    assert site.code(broken + FOUND).stdout == "\n"


@pytest.mark.slow
def test_a_package_that_is_installed_to_be_edited_is_found(site: Site, tmp_path: Path) -> None:
    """Setuptools names no folder on the path then, but a hook."""
    project = Site(folder=tmp_path / "project")
    project.add("mine", reduced=True)
    text = '[project]\nname = "mine"\nversion = "1"\n[tool.setuptools]\npackages = ["ortpack_runtimes.mine"]\n'
    (project.folder / "pyproject.toml").write_text(text)
    python = _environment(tmp_path / "venv")
    command: list[str | Path] = ["-m", "pip", "install", "--quiet", "--no-deps", "-e", project.folder]
    subprocess.run([python, *command], check=True)
    assert list(tmp_path.glob("venv/**/__editable___mine_1_finder.py"))
    environ = {**os.environ, "PYTHONPATH": str(site.folder)}
    runtimes = "from ortpack._installed import installed; print([r.name for r in installed()])"
    done = subprocess.run([python, "-c", runtimes], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["['mine']"]


def _environment(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def start_with_code(place: Path, script: str) -> list[str]:
    return ["-c", script]


def start_a_script(place: Path, script: str) -> list[str]:
    (place / "script.py").write_text(script)
    return [str(place / "script.py")]


def start_a_linked_script(place: Path, script: str) -> list[str]:
    (place / "script.py").write_text(script)
    (place.parent / "link.py").symlink_to(place / "script.py")
    return [str(place.parent / "link.py")]


def start_a_module(place: Path, script: str) -> list[str]:
    (place / "module.py").write_text(script)
    return ["-m", "module"]


@pytest.mark.parametrize("start", [start_with_code, start_a_script, start_a_linked_script, start_a_module])
def test_what_python_adds_for_its_start_is_not_searched_unless_it_is_named(
    site: Site, elsewhere: Site, start: Callable[[Path, str], list[str]]
) -> None:
    arguments = start(elsewhere.folder, FOUND)
    assert site.run(*arguments, cwd=elsewhere.folder).stdout == "\n"
    named = os.pathsep.join([str(site.folder), str(elsewhere.folder)])
    assert site.run(*arguments, cwd=elsewhere.folder, PYTHONPATH=named).stdout.split() == [f"cpu-{NEWEST}"]


def test_an_application_in_a_folder_brings_its_runtimes(site: Site, elsewhere: Site, tmp_path: Path) -> None:
    """As `python -m zipapp` and unpacked pex have it: what is started is what one means."""
    (elsewhere.folder / "__main__.py").write_text(FOUND)
    assert site.run(str(elsewhere.folder), cwd=tmp_path).stdout.split() == [f"cpu-{NEWEST}"]


def test_a_runtime_in_an_archive_is_told_with_what_to_do(site: Site, tmp_path: Path) -> None:
    """As Spark's `--py-files` has it: Python imports from there, and the system loads no library from there."""
    wheel = make_wheel(tmp_path, "mine", "1", {"ortpack_runtimes/mine/runtime.json": "{}"})
    path = os.pathsep.join([str(site.folder), str(wheel)])
    done = site.run("-c", "import ortpack; print(ortpack.explain())", PYTHONPATH=path)
    assert f"mine: rejected: it lies in the archive {wheel}" in done.stdout
    assert f"python -m zipfile -e {wheel} FOLDER" in done.stdout
    done = site.run("-c", "import ortpack; ortpack.load_runtime('mine')", PYTHONPATH=path)
    assert f"it lies in the archive {wheel}" in done.stderr


def test_a_loader_in_an_archive_says_so(site: Site, tmp_path: Path) -> None:
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for module in (site.folder / "ortpack").iterdir():
            if module.is_file():
                file.write(module, f"ortpack/{module.name}")
    done = site.run("-c", "import ortpack; ortpack.InferenceSession", cwd=tmp_path, PYTHONPATH=str(archive))
    message = done.stderr.splitlines()[-1]
    assert message.startswith("ImportError: ortpack lies in an archive")
    assert str(archive) in message
    assert "unpack" in message


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("uv") is None, reason="uv is not installed")
def test_a_layered_environment_of_uv(loader_wheel: Path, tmp_path: Path) -> None:
    """The runtime lies in an environment that uv puts over the loader's."""
    source = Site(folder=tmp_path / "source")
    folder = source.add("cpu")
    files = {f"ortpack_runtimes/cpu/{name}": (folder / name).read_bytes() for name in ("runtime.json",)}
    files[f"ortpack_runtimes/cpu/{library(NEWEST).name}"] = library(NEWEST).read_bytes()
    wheel = make_wheel(tmp_path, "ortpack-cpu", NEWEST, files)
    python = _environment(tmp_path / "base")
    subprocess.run([python, "-m", "pip", "install", "--quiet", loader_wheel], check=True)
    options: list[str | Path] = ["--quiet", "--no-project", "-p", python, "--with", wheel]
    command = [sys.executable, "-m", "uv", "run", *options, "python", "-c", FOUND]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [f"cpu-{NEWEST}"], done.stderr
