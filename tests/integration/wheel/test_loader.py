"""The loader's own wheel, compiled for several targets with zig."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import lief
import platformdirs
import pytest
from packaging.utils import parse_wheel_filename

from ortpack_build.kit import settings as kit_settings
from support.command import run

ROOT = Path(__file__).parents[3]
# All of them where there is time: the first time, zig compiles its libraries for each.
ALWAYS = ("linux-x86_64", "linux-aarch64")
TARGETS = [
    name
    if name in ALWAYS
    else pytest.param(name, marks=pytest.mark.skipif(not os.environ.get("ORTPACK_TEST_KITS"), reason="takes long"))
    for name in kit_settings.load().targets
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="Python's headers come with apt"),
]


def _tool(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", TARGETS)
def test_the_wheel_is_what_its_name_says_and_needs_nothing_else(target: str, tmp_path: Path) -> None:
    cache = os.environ.get("ORTPACK_BUILD_CACHE") or platformdirs.user_cache_path("ortpack-build", appauthor=False)
    done = run("loader", "--tree", ROOT, "--target", target, "--out", tmp_path, "--cache", Path(cache).absolute())
    assert done.returncode == 0, done.stderr
    (wheel,) = map(Path, done.stdout.splitlines())
    platform = kit_settings.load().target(target).wheel_tag
    assert wheel.name.endswith(f"-cp310-abi3-{platform}.whl")
    assert parse_wheel_filename(wheel.name)[0] == "ortpack"

    shown = _tool("auditwheel", "show", wheel)
    assert f'following platform tag: "{platform}"' in " ".join(shown.stdout.split()), shown.stdout + shown.stderr
    audited = _tool("abi3audit", "--strict", wheel)
    assert audited.returncode == 0, audited.stdout + audited.stderr

    with zipfile.ZipFile(wheel) as file:
        (metadata,) = (name for name in file.namelist() if name.endswith("/METADATA"))
        needed = [
            line for line in message_from_bytes(file.read(metadata)).get_all("Requires-Dist", []) if ";" not in line
        ]
        assert [line.partition(">")[0] for line in needed] == ["numpy"]
        binding = lief.ELF.parse(list(file.read("ortpack/_binding.abi3.so")))
    assert binding is not None
    libraries = {str(name).partition(".")[0] for name in binding.libraries if not str(name).startswith("ld-linux")}
    assert libraries <= {"libc", "libm", "libdl", "libpthread"}, libraries
    assert {symbol.name for symbol in binding.exported_symbols} == {"PyInit__binding"}
