"""Packages of a Debian suite, through apt with a configuration of its own.

Nothing of the machine's apt is changed and no root is needed: state, cache and source list lie in a folder that is
thrown away. The mirror is the machine's own; the suite is exchanged and `signed-by` names Debian's keyring, so that
apt checks the signatures. Only the package indexes that are needed are fetched.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base import process
from ortpack_build.base.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ETC = Path("/etc/apt")
_KEYRINGS = tuple(
    Path("/usr/share/keyrings") / name for name in ("debian-archive-keyring.gpg", "debian-archive-keyring.pgp")
)
_TIMEOUT = 600  # seconds, for one call of apt
_OTHERS = "Name other sources: --sources upstream, or --tree DIR."
_CONFIGURATION = """\
Dir::State "{work}/state";
Dir::State::status "{work}/status";
Dir::Cache "{work}/cache";
Dir::Etc::SourceList "{work}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::IndexTargets::deb-src::Contents-dsc::DefaultEnabled "false";
"""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to download: names of source and of binary packages."""

    sources: tuple[str, ...] = ()
    binaries: tuple[str, ...] = ()


def mirrors(texts: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The addresses in apt source lists that can have a Debian suite's `main`, in order.

    Args:
        texts: (file name, content); `.sources` is the deb822 form, anything else one line an entry.
    """
    found: list[str] = []
    for name, text in texts:
        found += _deb822(text) if name.endswith(".sources") else _one_line(text)
    return tuple(dict.fromkeys(uri.rstrip("/") for uri in found))


def _one_line(text: str) -> list[str]:
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*deb(?:-src)?\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)((?:\s+[^#\s]+)*)", line)
        if match and _usable(match[1], [match[2]], match[3].split()):
            found.append(match[1])
    return found


def _deb822(text: str) -> list[str]:
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields[key] = f"{fields.get(key, '')} {line.strip()}"
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if fields.get("enabled", "yes").lower() in {"no", "false", "without", "off", "disable"}:
            continue
        suites, components = fields.get("suites", "").split(), fields.get("components", "").split()
        found += [uri for uri in fields.get("uris", "").split() if _usable(uri, suites, components)]
    return found


def _usable(uri: str, suites: Sequence[str], components: Sequence[str]) -> bool:
    ordinary = [suite for suite in suites if not suite.endswith(("-security", "/updates", "-backports", "/"))]
    return uri.startswith(("http://", "https://", "file:")) and "main" in components and bool(ordinary)


def problem() -> FetchError | None:
    """Say why this machine can't fetch packages of Debian, as far as it is seen without trying."""
    if shutil.which("apt-get") is None:
        return FetchError("This machine has no apt-get.", hint=_OTHERS)
    if not any(path.is_file() for path in _KEYRINGS):
        return FetchError("Debian's keyring is missing.", hint=f"Install debian-archive-keyring. {_OTHERS}")
    return None


def download(
    wanted: Wanted, *, suite: str, work: Path, into: Path, architecture: str = "amd64", etc: Path = _ETC
) -> str:
    """Download what apt can get of `wanted` into `into`; what is missing is for the caller to see.

    Args:
        wanted: the packages.
        suite: of Debian.
        work: an empty folder for apt's state.
        into: an existing folder.
        architecture: of binary packages, in Debian's words.
        etc: where the machine's source lists are.

    Returns:
        What apt complained about, for an error message.

    Raises:
        FetchError: this machine has no apt, no Debian mirror or keyring, or the mirror can't be reached.
    """
    if (error := problem()) is not None:
        raise error
    apt = shutil.which("apt-get") or ""
    keyring = next(path for path in _KEYRINGS if path.is_file())
    found = mirrors(_source_lists(etc))
    if not found:
        raise FetchError("apt on this machine knows no mirror.", hint=_OTHERS)
    environ = _configure(work, found, suite, keyring, architecture)
    complaints = _run([apt, "update", "-q", "-o", "APT::Update::Error-Mode=any"], environ, work)
    if not any((work / "state" / "lists").glob("*_Packages*")):
        raise FetchError(
            f"No mirror of this machine's apt gave the indexes of Debian {suite}: {complaints or 'no reason given'}",
            hint=_OTHERS,
        )
    complaints = ""
    for package in wanted.sources:
        complaints += _run([apt, "source", "-q", "--download-only", "--tar-only", package], environ, into)
    if wanted.binaries:
        complaints += _run([apt, "download", "-q", *wanted.binaries], environ, into)
    return complaints


def _source_lists(etc: Path) -> list[tuple[str, str]]:
    parts = sorted((etc / "sources.list.d").glob("*.sources")) + sorted((etc / "sources.list.d").glob("*.list"))
    files = [etc / "sources.list", *parts]
    return [(file.name, file.read_text(encoding="utf-8", errors="replace")) for file in files if file.is_file()]


def _configure(work: Path, uris: Sequence[str], suite: str, keyring: Path, architecture: str) -> dict[str, str]:
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    lines = [f"{kind} [signed-by={keyring}] {uri} {suite} main\n" for uri in uris for kind in ("deb", "deb-src")]
    (work / "sources.list").write_text("".join(lines), encoding="utf-8")
    configuration = work / "apt.conf"
    configuration.write_text(_CONFIGURATION.format(work=work, architecture=architecture), encoding="utf-8")
    return {**os.environ, "APT_CONFIG": str(configuration), "LC_ALL": "C.UTF-8"}


def _run(command: Sequence[str], environ: dict[str, str], folder: Path) -> str:
    """Run apt; what it complained about. A failure is for the caller to see by what is missing."""
    try:
        done = process.run(command, environ=environ, cwd=folder, timeout=_TIMEOUT)
    except process.OverdueError as error:
        raise FetchError(f"apt gave no answer in {_TIMEOUT} s.", hint=_OTHERS) from error
    lines = [line for line in (done.output + done.errors).splitlines() if line.startswith(("E:", "Err:", "  "))]
    return " ".join(line.strip() for line in lines) if done.code else ""
