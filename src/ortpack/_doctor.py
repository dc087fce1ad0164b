"""`python -m ortpack doctor` tells what is installed, what would be taken and why, and how to mend the rest."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import textwrap
import warnings
from typing import TYPE_CHECKING, Any

from ortpack import _telemetry, _warnings
from ortpack._cpus import limit
from ortpack._facts import KNOWN, these_facts
from ortpack._installed import FALLBACK, PLUGIN_API, Runtime, installed, search_folders
from ortpack._machine import this_machine
from ortpack._plugins import devices_of, vendor_plugins
from ortpack._resolve import USABLE
from ortpack._runtime import LIBRARY_VARIABLE, RUNTIME_VARIABLE, LoadedRuntime, explain, runtime
from ortpack.errors import FallbackWarning, OrtError, ResolutionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ortpack._facts import Facts
    from ortpack._resolve import Resolution

_SHOWN_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_tile", "asimddp", "i8mm", "sve")


def examine(*, verify: bool) -> dict[str, Any]:
    """Collect everything that doctor prints, as JSON values. The chosen runtime is loaded.

    Args:
        verify: compare the SHA-256 of every installed file with its `runtime.json`.
    """
    resolution = explain()
    runtimes = [entry for entry in installed() if isinstance(entry, Runtime)]
    machine, facts, folders = this_machine(), these_facts(), search_folders()
    report: dict[str, Any] = {
        "machine": str(machine),
        "threads": limit(),
        "facts": _facts(facts),
        "python": f"{platform.python_version()} ({sys.executable})",
        "variables": {name: os.environ.get(name) for name in (LIBRARY_VARIABLE, RUNTIME_VARIABLE)},
        "searched": [str(folder) for folder in folders],
        "runtimes": _verdicts(resolution),
        "vendors": [
            {
                "name": plugin.name,
                "distribution": plugin.provenance["distribution"],
                "version": plugin.ort_version,
                "path": str(plugin.path),
            }
            for plugin in vendor_plugins(runtimes)
        ],
        "damage": {entry.name: found for entry in runtimes if (found := entry.damage())},
        "changes": {entry.name: found for entry in runtimes if (found := entry.changes(hashes=verify))},
        "verified": verify,
        "loaded": None,
        "error": None,
    }
    report["warnings"] = [
        *_warnings.unused_devices(runtimes, machine, facts),
        *_warnings.clobbered(folders),
        *_warnings.shadowed(folders),
        *_warnings.writable(runtimes),
        *_warnings.ignored_variables(),
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FallbackWarning)
        try:
            loaded = runtime()
            report["loaded"] = _loaded(loaded)
            _mark_failed(report["runtimes"], loaded.info.name)
        except (ResolutionError, OrtError) as error:
            report["error"] = str(error)
    report["warnings"] += [str(warning.message) for warning in caught]
    on, why = _telemetry.choice()
    report["telemetry"] = {"on": on, "why": why}
    return report


def _facts(facts: Facts) -> dict[str, list[str] | None]:
    found = {}
    for name in KNOWN:
        values = facts[name]
        if values and name == "cpu-feature":
            values = tuple(value for value in values if value in _SHOWN_FEATURES)
        found[name] = None if values is None else list(values)
    return found


def _verdicts(resolution: Resolution) -> list[dict[str, Any]]:
    return [
        {
            "name": candidate.runtime.name,
            "kind": candidate.runtime.kind if isinstance(candidate.runtime, Runtime) else "broken",
            "version": candidate.runtime.ort_version if isinstance(candidate.runtime, Runtime) else "",
            "devices": list(candidate.runtime.devices) if isinstance(candidate.runtime, Runtime) else [],
            "verdict": "chosen" if candidate.runtime is resolution.chosen else candidate.verdict,
            "reason": candidate.reason,
            "path": str(candidate.runtime.path),
        }
        for candidate in resolution.candidates
    ]


def _mark_failed(rows: list[dict[str, Any]], loaded: str) -> None:
    """Mark the rows before the runtime that was loaded in the end as failed; a warning has the reason of each."""
    names = [row["name"] for row in rows]
    if loaded in names[1:] and rows[names.index(loaded)]["verdict"] == USABLE:
        for row in rows[: names.index(loaded)]:
            row["verdict"] = "failed"
        rows[names.index(loaded)]["verdict"] = "chosen"


def _loaded(loaded: LoadedRuntime) -> dict[str, Any]:
    library = loaded.library
    devices = devices_of(library) if library.api_version >= PLUGIN_API else []
    return {
        "name": loaded.info.name,
        "library": str((loaded.base or loaded.info).library),
        "ort_version": library.version,
        "api_version": library.api_version,
        "providers": list(library.available_providers()),
        "devices": [f"{device.ep_name} on {device.device.vendor} {device.device.type.name}" for device in devices],
    }


def healthy(report: dict[str, Any]) -> bool:
    """Whether a runtime was loaded and no library is damaged; if all files were verified, none may have changed."""
    return report["error"] is None and not report["damage"] and not (report["verified"] and report["changes"])


def doctor(*, as_json: bool, verify: bool) -> int:
    """Print the examination; 0 when all is well, 1 otherwise."""
    report = examine(verify=verify)
    print(json.dumps(report, indent=2) if as_json else _text(report))
    return 0 if healthy(report) else 1


def _text(report: dict[str, Any]) -> str:
    width = max(shutil.get_terminal_size((100, 24)).columns, 60)
    lines = [f"machine   {report['machine']}", f"python    {report['python']}"]
    if threads := report["threads"]:
        lines.append(f"threads   {threads}: the process may not use all CPUs of the machine")
    told = [f"{name} {', '.join(values)}" for name, values in report["facts"].items() if values]
    lines += textwrap.wrap(f"devices   {'; '.join(told) or 'nothing is known'}", width, subsequent_indent=" " * 10)
    lines += [f"variable  {name}={value}" for name, value in report["variables"].items() if value]
    lines.append("runtimes")
    rows = [(e["name"], e["verdict"], e["version"], ",".join(e["devices"]), e["reason"]) for e in report["runtimes"]]
    lines += _table(("name", "verdict", "version", "devices", "why"), rows, width) if rows else []
    if not rows:
        lines.append(f"  none is installed: pip install ortpack[{FALLBACK}]; searched:")
        lines += [f"    {folder}" for folder in report["searched"]]
    lines += [
        f"plugin    {found['distribution']} {found['version']}: used with device={found['name']!r}, never unasked"
        for found in report["vendors"]
    ]
    if loaded := report["loaded"]:
        lines.append(f"loaded    {loaded['name']}: ORT {loaded['ort_version']}, C API {loaded['api_version']}")
        lines.append(f"          {loaded['library']}")
        lines.append(f"          providers: {', '.join(loaded['providers'])}")
        lines += [f"          offered: {device}" for device in loaded["devices"]]
    telemetry = report["telemetry"]
    lines.append(f"telemetry {'on' if telemetry['on'] else 'off'} ({telemetry['why']})")
    for name, problems in report["damage"].items():
        lines += [f"damaged   {name}: {problem}: reinstall the package that brought it" for problem in problems]
    for name, changes in report["changes"].items():
        lines += [f"changed   {name}: {change}" for change in changes]
    if report["changes"] and not report["verified"]:
        lines.append("          as after strip, patchelf or codesign; if nobody changed it, reinstall the package")
    if report["verified"] and not report["damage"] and not report["changes"]:
        lines.append("verified  every file is as it was installed")
    lines += [f"warning   {text}" for text in report["warnings"]]
    if report["error"]:
        lines.append(f"error     {report['error']}")
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Lay rows out in columns; the last column is wrapped to what the others leave of `width`."""
    sizes = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head) - 1)]
    before = sum(sizes) + 2 * len(sizes) + 2
    lines = []
    for row in [head, *rows]:
        start = "  " + "".join(f"{cell:<{size}}  " for cell, size in zip(row, sizes, strict=False))
        last = textwrap.wrap(row[-1], max(width - before, 30)) or [""]
        lines.append((start + last[0]).rstrip())
        lines += [" " * before + more for more in last[1:]]
    return lines
