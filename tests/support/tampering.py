"""Wheels changed on purpose."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUNTIME_JSON = "ortpack_runtimes/cpu/runtime.json"
INFO = "ortpack_cpu-1.32.0.dist-info"
SBOM = f"{INFO}/sboms/ortpack-cpu.cdx.json"

Files = dict[str, bytes]


def read(wheel: Path) -> Files:
    """Every file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(wheel: Path, files: Files) -> Path:
    """A wheel of these files, not compressed."""
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return wheel


def edit_runtime(files: Files, change: Callable[[dict[str, Any]], object]) -> None:
    """Change runtime.json as the object that it is."""
    data = json.loads(files[RUNTIME_JSON])
    change(data)
    files[RUNTIME_JSON] = json.dumps(data).encode()


def cover_up(files: Files) -> None:
    """Make every list of hashes fit the files again, as someone would who knows the format."""
    folder = RUNTIME_JSON.removesuffix("runtime.json")
    own = {name.removeprefix(folder): data for name, data in files.items() if name.startswith(folder)}
    listed = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for name, data in own.items()
        if name != "runtime.json"
    }
    edit_runtime(files, lambda data: data.update(files=listed))
    bom = json.loads(files[SBOM])
    for component in bom["components"]:
        if component["name"] in listed:
            component["hashes"] = [{"alg": "SHA-256", "content": listed[component["name"]]["sha256"]}]
    files[SBOM] = json.dumps(bom).encode()
    record(files)


def record(files: Files) -> None:
    """Write RECORD anew."""
    own = f"{INFO}/RECORD"
    files.pop(own, None)
    lines = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"
        for name, data in files.items()
    ]
    files[own] = "\n".join([*lines, f"{own},,", ""]).encode()
