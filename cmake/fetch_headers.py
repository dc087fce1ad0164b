"""Find or fetch ONNX Runtime's C header; print the folder that holds it.

Called by CMakeLists.txt. What is wanted, and its SHA-256, stands in `ort_headers.json` beside this file; every origin
is checked against that one hash. Standard library only, Python >= 3.10.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NoReturn

PINS = Path(__file__).with_name("ort_headers.json")
UPSTREAM_TIMEOUT = 6.0  # seconds
APT_TIMEOUT = 300.0  # seconds, for each apt command
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class NoHeaderError(Exception):
    """An origin can't give the header; the message says why."""


def cache_folder() -> Path:
    """The user's cache folder for headers, so that a rebuild needs no network."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "ortpack" / "headers"


def check(pin: dict[str, Any], data: bytes, where: str) -> bytes:
    """`data`, if it is the pinned file.

    Raises:
        NoHeaderError: its hash differs.
    """
    digest = hashlib.sha256(data).hexdigest()
    if digest != pin["sha256"]:
        raise NoHeaderError(f"{where} is not the header of ONNX Runtime {pin['release']} (SHA-256 {digest})")
    return data


def from_folder(pin: dict[str, Any], folder: Path) -> Path:
    """`folder`, or the one below it where ONNX Runtime's packages keep the header."""
    places = [
        folder,
        folder / "onnxruntime",
        folder / "include",
        folder / "include/onnxruntime",
        folder / "include/onnxruntime/core/session",
    ]
    for place in places:
        file = place / pin["file"]
        if file.is_file():
            check(pin, file.read_bytes(), str(file))
            return place
    raise NoHeaderError(f"no {pin['file']} in {folder}")


def from_upstream(pin: dict[str, Any], scratch: Path) -> bytes:  # noqa: ARG001 - every origin has the same shape
    try:
        with urllib.request.urlopen(pin["upstream"], timeout=UPSTREAM_TIMEOUT) as reply:  # noqa: S310 - https, pinned
            data: bytes = reply.read()
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise NoHeaderError(f"{pin['upstream']}: {error}") from None
    return check(pin, data, pin["upstream"])


def debian_mirrors(root: Path = Path("/etc/apt")) -> list[str]:
    """URIs of the Debian mirrors that this machine's apt uses, in order, without doubles.

    Reads both formats: deb822 (`*.sources`) and one line (`*.list`). A mirror counts when one of its suites is a
    Debian release with component `main`; security archives and third parties' repositories do not.
    """
    found: list[str] = []

    def add(uri: str, components: list[str]) -> None:
        uri = uri.rstrip("/")
        if "main" in components and re.search(r"/debian$", uri) and uri not in found:
            found.append(uri)

    for file in [*sorted((root / "sources.list.d").glob("*.sources"))]:
        for stanza in re.split(r"\n\s*\n", file.read_text(encoding="utf-8", errors="replace")):
            fields: dict[str, str] = {}
            name = ""
            for line in stanza.splitlines():
                if line.startswith("#") or not line.strip():
                    continue
                if line[0].isspace() and name:
                    fields[name] += " " + line.strip()
                elif ":" in line:
                    name, value = line.split(":", 1)
                    name = name.strip().lower()
                    fields[name] = value.strip()
            if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() != "no":
                for uri in fields.get("uris", "").split():
                    add(uri, fields.get("components", "").split())
    for file in [root / "sources.list", *sorted((root / "sources.list.d").glob("*.list"))]:
        if not file.is_file():
            continue
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            match = re.match(r"deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+\S+\s+(.*)", line.split("#", 1)[0].strip())
            if match:
                add(match[1], match[2].split())
    return found


def configure_apt(folder: Path, repositories: list[str]) -> dict[str, str]:
    """Write an apt configuration for these repositories into `folder`; return the environment that makes apt use it.

    State, lists, cache and sources lie in the folder, so the machine's apt is left alone.
    """
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    # apt drops to the user _apt while it downloads, which may not enter a private folder
    folder.chmod(0o755)
    (folder / "sources.list").write_text(
        "".join(f"deb [signed-by={KEYRING}] {repository}\n" for repository in repositories), encoding="utf-8"
    )
    settings = {
        "Dir::State": "state",
        "Dir::State::status": "status",
        "Dir::Cache": "cache",
        "Dir::Etc::SourceList": "sources.list",
    }
    (folder / "apt.conf").write_text(
        "".join(f'{name} "{folder / value}";\n' for name, value in settings.items())
        + 'Dir::Etc::SourceParts "/dev/null";\n'
        'Acquire::Languages "none";\n'
        'Acquire::Retries "2";\n'
        # only the package index: no contents, icons or component metadata that the machine may ask for
        "#clear Acquire::IndexTargets::deb;\n"
        'Acquire::IndexTargets::deb::Packages { MetaKey "$(COMPONENT)/binary-$(ARCHITECTURE)/Packages";'
        ' flatMetaKey "Packages"; ShortDescription "Packages"; Description "$(RELEASE) Packages";'
        ' Optional "no"; };\n',
        encoding="utf-8",
    )
    return {**os.environ, "APT_CONFIG": str(folder / "apt.conf"), "LC_ALL": "C.UTF-8"}


def run_or_refuse(command: tuple[str, ...], folder: Path, environment: dict[str, str]) -> None:
    """Run a command in `folder`.

    Raises:
        NoHeaderError: it failed; with the last line that it wrote.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            timeout=APT_TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoHeaderError(f"{command[0]}: {error}") from None
    if done.returncode:
        lines = done.stdout.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise NoHeaderError(f"{' '.join(command[:2])}: {lines[-1]}")


def from_debian(pin: dict[str, Any], scratch: Path) -> bytes:
    """The header out of Debian's binary package, through apt with a configuration of its own.

    Needs no root and leaves the machine's apt alone: state, lists, cache and sources lie in `scratch`.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise NoHeaderError(f"there is no {tool} on this machine")
    if not KEYRING.is_file():
        raise NoHeaderError(f"{KEYRING} is missing (package debian-archive-keyring)")
    mirrors = debian_mirrors()
    if not mirrors:
        raise NoHeaderError("this machine's apt has no Debian mirror")
    want = pin["debian"]
    environment = configure_apt(scratch, [f"{uri} {want['suite']} {want['component']}" for uri in mirrors])

    def run(*command: str) -> None:
        run_or_refuse(command, scratch, environment)

    run("apt-get", "-q", "update")
    run("apt-get", "-q", "download", f"{want['package']}={want['version']}")
    packages = list(scratch.glob("*.deb"))
    if not packages:
        raise NoHeaderError(f"apt-get download gave no package {want['package']}")
    run("dpkg-deb", "-x", packages[0].name, "tree")
    for file in (scratch / "tree").rglob(pin["file"]):
        return check(pin, file.read_bytes(), f"{want['package']} {want['version']}")
    raise NoHeaderError(f"{want['package']} {want['version']} holds no {pin['file']}")


ORIGINS = {"upstream": from_upstream, "debian": from_debian}


def keep(pin: dict[str, Any], data: bytes, folder: Path) -> Path:
    """Write the header into `folder`, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(name).replace(folder / pin["file"])
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return folder


def fail(pin: dict[str, Any], reasons: list[str]) -> NoReturn:
    print(
        f"ONNX Runtime's C header {pin['file']} ({pin['release']}) could not be found or fetched:\n"
        + "".join(f"  - {reason}\n" for reason in reasons)
        + f"Get include/onnxruntime/core/session/{pin['file']} of ONNX Runtime {pin['release']} and name its folder\n"
        "in the environment variable ORTPACK_ORT_HEADERS (or pass -DORTPACK_ORT_HEADERS=<folder> to CMake).",
        file=sys.stderr,
    )
    raise SystemExit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--path", default=os.environ.get("ORTPACK_ORT_HEADERS", ""), help="folder that has the header")
    parser.add_argument("--out", type=Path, required=True, help="used where the user's cache can't be written")
    parser.add_argument("--origin", choices=ORIGINS, action="append", help="try only this origin (may be repeated)")
    options = parser.parse_args()
    pin: dict[str, Any] = json.loads(PINS.read_text(encoding="utf-8"))
    reasons: list[str] = []

    if options.path:  # an explicit wish is met or refused, never passed over
        try:
            print(from_folder(pin, Path(options.path)).as_posix())
        except NoHeaderError as error:
            fail(pin, [f"path: {error}"])
        return
    cache = cache_folder() / pin["sha256"][:16]
    for folder in (cache, options.out):
        try:
            print(from_folder(pin, folder).as_posix())
        except (NoHeaderError, OSError):
            continue
        return
    for name in options.origin or ORIGINS:
        try:
            with tempfile.TemporaryDirectory(prefix="ortpack-header-") as scratch:
                data = ORIGINS[name](pin, Path(scratch))
        except (NoHeaderError, OSError) as error:
            reasons.append(f"{name}: {error}")
            continue
        try:
            print(keep(pin, data, cache).as_posix())
        except OSError:
            print(keep(pin, data, options.out).as_posix())
        return
    fail(pin, reasons)


if __name__ == "__main__":
    main()
