"""Files and folders out of pinned wheels, fetched with pip the first time and kept in the user's cache folder."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file inside a wheel, pinned by the wheel's SHA-256."""

    requirement: str
    sha256: str
    member: str
    tags: tuple[str, ...] = ()  # pip's options that choose the wheel, where it is not a py3-none-any one


def fetch(source: Source) -> Path:
    """The file that `source` names."""
    place = _place(source)
    file = place / Path(source.member).name
    if not file.exists():
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            unpacked = Path(zipfile.ZipFile(_download(source, Path(scratch))).extract(source.member, scratch))
            # The first one stays: another file in its place would be another library to who has loaded it.
            with contextlib.suppress(FileExistsError):
                os.link(unpacked, file)
    return file


def fetch_folder(source: Source) -> Path:
    """The folder that `source` names, with everything in it."""
    place = _place(source)
    folder = place / Path(source.member).name
    if not folder.exists():
        with (
            tempfile.TemporaryDirectory(dir=place) as scratch,
            zipfile.ZipFile(_download(source, Path(scratch))) as wheel,
        ):
            wheel.extractall(scratch, [name for name in wheel.namelist() if name.startswith(f"{source.member}/")])
            try:
                (Path(scratch) / source.member).rename(folder)
            except OSError:  # another process was first
                if not folder.exists():
                    raise
    return folder


def _place(source: Source) -> Path:
    place = platformdirs.user_cache_path("ortpack") / "tests" / source.sha256[:16]
    place.mkdir(parents=True, exist_ok=True)
    return place


def _download(source: Source, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{source.requirement} --hash=sha256:{source.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", *source.tags, f"--dest={folder}", f"--requirement={requirements}"]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel
