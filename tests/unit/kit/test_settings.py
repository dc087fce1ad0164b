"""kits.toml: what a folder of the user's own adds, and mistakes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from ortpack_build.base.errors import ManifestError
from ortpack_build.kit import settings

if TYPE_CHECKING:
    from pathlib import Path

_TARGET = """
[targets.linux-mine]
baseline = "2.39"
tag = "manylinux_{baseline}_mine"
zig = "mine-linux-gnu.{baseline}"
system = "Linux"
processor = "mine"
library = "libonnxruntime.so.{ort}"
[processors.mine]
flags = ["-Dmine"]
"""


def _own(folder: Path, text: str) -> Path:
    (folder / "kits").mkdir()
    (folder / "kits" / "kits.toml").write_text(text)
    return folder


def test_a_target_is_added_by_a_file_alone(tmp_path: Path) -> None:
    shipped, own = settings.load(), settings.load(_own(tmp_path, _TARGET))
    assert list(own.targets) == [*shipped.targets, "linux-mine"]
    assert own.target("linux-mine").zig_target == "mine-linux-gnu.2.39"
    assert own.processor("linux-mine").flags == ("-Dmine",)
    assert own.with_baseline("linux-mine", "2.40").target("linux-mine").wheel_tag == "manylinux_2_40_mine"
    assert {name: own.targets[name] for name in shipped.targets} == shipped.targets


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"mine"', '"minde"', r"targets\.linux-mine\.processor: 'minde' is unknown\. Did you mean mine\?"),
        ('baseline = "2.39"', 'baseline = "new"', r"targets\.linux-mine\.baseline: expected `str` matching"),
        ('system = "Linux"', "", r"targets\.linux-mine: system missing"),
        ("flags =", "flag =", r"processors\.mine\.flag: unknown key\. Did you mean flags\?"),
        ("[targets", "[flavours.full]\nmodel_formats = []\n[targets", r"flavours\.full: unknown key"),
        (
            "flags = [",
            'groups = [{ name = "g", files = "[", flags = [] }]\nflags = [',
            r"groups \(g\)\.files: unterminated character set",
        ),
    ],
)
def test_mistakes(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in _TARGET
    own = _own(tmp_path, _TARGET.replace(old, new))
    with pytest.raises(ManifestError) as caught:
        settings.load(own)
    assert str(caught.value).startswith(f"{own / 'kits' / 'kits.toml'}: ")
    assert re.search(message, str(caught.value)), caught.value
