"""The distribution of ortpack-build itself: the manifests travel with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def python(*arguments: object, **environ: str) -> str:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | environ)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the build needs, so that nothing is left in the tree."""
    for folder in ("build_tools", "variants", "src"):
        shutil.copytree(ROOT / folder, tmp_path / "tree" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "LICENSE", tmp_path / "tree")
    return tmp_path / "tree" / "build_tools"


def test_the_wheel_brings_the_manifests_and_works_alone(checkout: Path, tmp_path: Path) -> None:
    python("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, checkout)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == "ortpack_build-0.1.0-py3-none-any.whl"
    data = [path for path in (ROOT / "variants").rglob("*") if path.is_file()]
    shipped = {f"ortpack_build/_variants/{path.relative_to(ROOT / 'variants').as_posix()}" for path in data}
    sources = (path for path in (ROOT / "src" / "binding").rglob("[a-z]*") if path.is_file())
    shipped |= {f"ortpack_build/_loader/{path.relative_to(ROOT / 'src')}" for path in sources}
    shipped |= {"ortpack_build/_loader/LICENSE"}
    shipped |= {f"ortpack_build/_loader/ortpack/{path.name}" for path in (ROOT / "src" / "ortpack").glob("*.py*")}
    assert names(wheel) >= shipped | {"ortpack_build/py.typed", "ortpack_build-0.1.0.dist-info/licenses/LICENSE"}
    # From the wheel itself, far from the checkout.
    where = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); "
    python("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", tmp_path / "site", wheel)
    where += "from ortpack_build.base.data_file import shipped_folder; from ortpack_build.cli.main import main; "
    said = python("-c", f"{where} print(shipped_folder()); main(['list'])")
    assert said.startswith(str(tmp_path / "site" / "ortpack_build" / "_variants"))
    assert "linux-aarch64" in said
    said = python(
        "-c", f"{where} from ortpack_build.link import binding_sources as b; print(b.sources_folder(), *b.modules())"
    )
    assert said.startswith(str(tmp_path / "site" / "ortpack_build" / "_loader"))
    assert "_runtime.py" in said


def test_the_source_distribution_makes_the_same_wheel(checkout: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    python("-m", "pip", "install", "--quiet", "--target", tools, "hatchling>=1.27")
    build = "import os, sys; os.chdir(sys.argv[1]); from hatchling.build import build_sdist; build_sdist(sys.argv[2])"
    python("-c", build, checkout, tmp_path, PYTHONPATH=str(tools))
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        assert "ortpack_build-0.1.0/variants/cpu.toml" in source.getnames()
    for origin, folder in ((archive, "from-sdist"), (checkout, "from-tree")):
        python("-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path / folder, origin)
    (one,) = (tmp_path / "from-sdist").iterdir()
    (other,) = (tmp_path / "from-tree").iterdir()
    assert names(one) == names(other)
