"""Fetches pinned wheels with pip, as the user has configured it, and keeps them in the cache by their hash.

No index is named here: whatever pip's configuration says (mirror, proxy, credentials, find-links) holds. pip checks
the hash, and it is checked again here, after the download and on every use.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from ortpack_build.base.errors import FetchError, HashMismatchError, StorageError
from ortpack_build.base.hashing import sha256_of
from ortpack_build.base.process import follow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ortpack_build.base.cache import Cache
    from ortpack_build.base.context import Context
    from ortpack_build.base.report import Step

_RAW_PROGRESS = Version("24.1")  # the first pip with --progress-bar raw
_MISMATCH = "DO NOT MATCH THE HASHES"
_FULL = ("No space left on device", "Disk quota exceeded", "File too large")
_UNREACHABLE = re.compile(
    r"NewConnectionError|Failed to establish a new connection|Connection refused|Name or service not known"
    r"|Temporary failure in name resolution|getaddrinfo failed|Max retries exceeded|timed out|ProxyError|SSLError"
    r"|connection broken|ConnectionResetError|ConnectionError|Network is unreachable|HTTP error|\b40[13]\b|\b50\d\b",
    re.IGNORECASE,
)
_CUT_OFF = re.compile(r"not enough bytes were received \([^/)]*/([\d.]+) ?(bytes|[kMG]B)\)")
_UNITS = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}


class Pin(Struct, frozen=True, kw_only=True):
    """A wheel, named so that it can't be another one."""

    distribution: str
    version: str
    file: str
    sha256: str


def fetch(pin: Pin, context: Context, *, environ: Mapping[str, str] | None = None) -> Path:
    """Fetch a wheel into the cache, unless it is there; returns its file.

    Args:
        pin: what to get.
        context: of the stages; its cache keeps the wheel.
        environ: of the pip process; this process's own if None.

    Raises:
        FetchError: pip is missing, the index can't be reached, or doesn't have the file.
        HashMismatchError: the index has the file with other bytes.
        StorageError: the disk is full, or the cache can't be written.
    """

    def intact(folder: Path) -> bool:
        file = folder / pin.file
        good = file.is_file() and sha256_of(file) == pin.sha256
        if not good:
            context.report.warning(f"The cached {pin.file} is damaged; it is fetched anew.")
        return good

    def make(folder: Path) -> None:
        with context.report.step(f"Fetching {pin.file}") as step:
            size = _download(pin, folder, step, environ, live=context.report.live)
            step.detail(f"{size / 1e6:.1f} MB")

    return context.cache.get("artifacts", pin.sha256, make, check=intact) / pin.file


def is_cached(pin: Pin, cache: Cache) -> bool:
    """Say whether `fetch` needs no network: the wheel is in the cache, with the right bytes."""
    file = cache.path("artifacts", pin.sha256) / pin.file
    return file.is_file() and sha256_of(file) == pin.sha256


def _download(pin: Pin, folder: Path, step: Step, environ: Mapping[str, str] | None, *, live: bool) -> int:
    _pip_version()
    # A folder with a name of its own: should this process be killed, a pip that lives on writes nowhere that a later
    # run looks.
    work = Path(tempfile.mkdtemp(dir=folder))
    requirement = work / "requirement.txt"
    requirement.write_text(f"{pin.distribution}=={pin.version} --hash=sha256:{pin.sha256}\n", encoding="utf-8")
    target = work / "wheel"
    command = [sys.executable, "-m", "pip", *_pip_arguments(pin, live=live)]
    command += ["--requirement", str(requirement), "--dest", str(target)]
    code, output = _run(command, step, environ)
    if code != 0:
        raise _failure(pin, output, room=_room(work))
    found = list(target.glob("*.whl"))
    if len(found) != 1 or sha256_of(found[0]) != pin.sha256:
        raise HashMismatchError(f"pip handed over something else than the pinned {pin.file}.")
    size = found[0].stat().st_size
    found[0].rename(folder / pin.file)
    requirement.unlink()
    target.rmdir()
    work.rmdir()
    return size


def _pip_arguments(pin: Pin, *, live: bool) -> list[str]:
    arguments = ["download", "--no-input", "--require-hashes", "--no-deps", "--only-binary", ":all:"]
    tags = sorted(parse_wheel_filename(pin.file)[3], key=str)
    interpreter, abi = tags[0].interpreter, tags[0].abi
    if versioned := re.fullmatch(r"([a-z]+)(\d)(\d+)", interpreter):
        arguments += ["--implementation", versioned[1], "--python-version", f"{versioned[2]}.{versioned[3]}"]
    else:  # py3
        arguments += ["--implementation", interpreter[:2]]
    arguments += ["--abi", abi]
    for platform in dict.fromkeys(tag.platform for tag in tags):
        arguments += ["--platform", platform]
    raw = live and _pip_version() >= _RAW_PROGRESS
    return [*arguments, "--progress-bar", "raw" if raw else "off"]


def _pip_version() -> Version:
    try:
        return Version(importlib.metadata.version("pip"))
    except importlib.metadata.PackageNotFoundError as error:
        raise FetchError(
            f"pip is not installed for {sys.executable}, and artifacts are fetched with it.",
            hint="Install it: `python -m ensurepip`, or `uv pip install pip` in an environment made by uv.",
        ) from error


def _run(command: list[str], step: Step, environ: Mapping[str, str] | None) -> tuple[int, str]:
    """Run pip; returns exit code and output. Its progress lines become the step's."""
    lines: list[str] = []

    def read(line: str) -> None:
        if progress := re.match(r"Progress (\d+) of (\d+)", line):
            step.advance(int(progress[1]), int(progress[2]) or None)
        else:
            lines.append(line)

    return follow(command, read, environ=environ), "".join(lines)


def _room(folder: Path) -> float:
    """Find the largest size of a file that pip could have written: to `folder` or where it keeps temporary files."""
    room: float = min(shutil.disk_usage(at).free for at in (folder, tempfile.gettempdir()))
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - not on Windows

        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if limit != resource.RLIM_INFINITY:
            room = min(room, limit)
    return room


def _failure(pin: Pin, output: str, *, room: float) -> FetchError | StorageError:
    """Make the error that pip's output means, where a file of `room` bytes would still fit."""
    said = [line.strip() for line in output.splitlines() if line.strip()]
    last = next((line for line in said if line.startswith("ERROR:")), said[-1] if said else "nothing")
    if _MISMATCH in output:
        got = re.search(r"Got\s+([0-9a-f]{64})", output)
        return HashMismatchError(
            f"The index has a {pin.distribution} {pin.version} whose SHA-256 is {got[1] if got else 'another one'}, "
            f"but the manifest pins {pin.sha256} ({pin.file}).",
            hint="Nothing of it was kept. Either the mirror is not to be trusted, or the pin is wrong.",
        )
    # Since 25.1 pip takes a disk that fills up for an interrupted connection.
    cut_off = _CUT_OFF.search(output)
    if any(words in output for words in _FULL) or (cut_off and room < float(cut_off[1]) * _UNITS[cut_off[2]]):
        return StorageError(
            f"The disk is full: {pin.file} could not be downloaded.",
            hint="Nothing half-written was kept; make room (or set TMPDIR, --cache) and run the same command again.",
        )
    if unreachable := next((line for line in said if _UNREACHABLE.search(line)), None):
        return FetchError(
            f"{pin.file} could not be fetched: pip can't reach the package index. It said: {unreachable}",
            hint="Check the network and pip's configuration (`pip config list`), then run the same command again.",
        )
    nothing = "(from versions: none)" in output
    return FetchError(
        f"{pin.file} could not be fetched. pip said: {last}",
        hint="Either the index can't be reached, or it does not have this project: see `pip config list`."
        if nothing
        else "The index that pip is configured for does not seem to have this file.",
    )
