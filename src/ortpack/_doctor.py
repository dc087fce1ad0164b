"""`python -m ortpack doctor`: what is installed, what would be taken, why, and what to do about the rest."""

from __future__ import annotations

import json
import os
import platform
import sys
from typing import TYPE_CHECKING, Any

from ortpack._installed import Runtime, installed, search_folders
from ortpack._machine import this_machine
from ortpack._runtime import LIBRARY_VARIABLE, RUNTIME_VARIABLE, LoadedRuntime, explain, runtime
from ortpack.errors import ResolutionError

if TYPE_CHECKING:
    from ortpack._resolve import Resolution


def examine(*, verify: bool) -> dict[str, Any]:
    """Everything that doctor prints, as JSON values. Loads the chosen runtime.

    Args:
        verify: compare the SHA-256 of every installed file with its `runtime.json`.
    """
    resolution = explain()
    report: dict[str, Any] = {
        "machine": str(this_machine()),
        "python": f"{platform.python_version()} ({sys.executable})",
        "variables": {name: os.environ.get(name) for name in (LIBRARY_VARIABLE, RUNTIME_VARIABLE)},
        "searched": [str(folder) for folder in search_folders()],
        "runtimes": _verdicts(resolution),
        "damage": {r.name: found for r in installed() if isinstance(r, Runtime) and (found := r.damage(hashes=verify))},
        "verified": verify,
        "loaded": None,
        "error": None,
    }
    try:
        report["loaded"] = _loaded(runtime())
    except ResolutionError as error:
        report["error"] = str(error)
    return report


def _verdicts(resolution: Resolution) -> list[dict[str, Any]]:
    return [
        {
            "name": candidate.runtime.name,
            "verdict": "chosen" if candidate.runtime is resolution.chosen else candidate.verdict,
            "reason": candidate.reason,
            "path": str(candidate.runtime.path),
        }
        for candidate in resolution.candidates
    ]


def _loaded(loaded: LoadedRuntime) -> dict[str, Any]:
    return {
        "name": loaded.info.name,
        "library": str(loaded.info.library),
        "ort_version": loaded.library.version,
        "api_version": loaded.library.api_version,
        "providers": list(loaded.library.available_providers()),
    }


def healthy(report: dict[str, Any]) -> bool:
    """Whether a runtime was loaded and no installed file is damaged."""
    return report["error"] is None and not report["damage"]


def doctor(*, as_json: bool, verify: bool) -> int:
    """Print the examination; 0 when all is well, 1 otherwise."""
    report = examine(verify=verify)
    print(json.dumps(report, indent=2) if as_json else _text(report))
    return 0 if healthy(report) else 1


def _text(report: dict[str, Any]) -> str:
    lines = [f"machine   {report['machine']}", f"python    {report['python']}"]
    lines += [f"variable  {name}={value}" for name, value in report["variables"].items() if value]
    lines.append("runtimes")
    rows = [(entry["name"], entry["verdict"], entry["reason"]) for entry in report["runtimes"]]
    width = max((len(name) for name, _, _ in rows), default=0)
    lines += [f"  {name:<{width}}  {verdict:<8}  {reason}" for name, verdict, reason in rows]
    if not rows:
        lines.append("  none is installed: pip install ortpack[cpu]; searched:")
        lines += [f"    {folder}" for folder in report["searched"]]
    if loaded := report["loaded"]:
        lines.append(f"loaded    {loaded['name']}: ORT {loaded['ort_version']}, C API {loaded['api_version']}")
        lines.append(f"          {loaded['library']}")
        lines.append(f"          providers: {', '.join(loaded['providers'])}")
    for name, problems in report["damage"].items():
        lines += [f"damaged   {name}: {problem}: reinstall the package that brought it" for problem in problems]
    if report["verified"] and not report["damage"]:
        lines.append("verified  every file is as it was installed")
    if report["error"]:
        lines.append(f"error     {report['error']}")
    return "\n".join(lines)
