"""The Pythons of this machine that the loader supports."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 10)
_ASK = "import sys, json; print(json.dumps([sys.implementation.name, *sys.version_info[:2]]))"


def interpreters() -> dict[str, Path]:
    """Version ("3.12") → executable; of CPython only, from PATH, from pyenv, and the one that runs this."""
    candidates = [Path(sys.executable)]
    for minor in range(OLDEST[1], 20):
        if found := shutil.which(f"python3.{minor}"):
            candidates.append(Path(found))
    pyenv = os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv"))
    candidates += sorted(Path(pyenv).glob("versions/3.*/bin/python3"))
    found_versions: dict[str, Path] = {}
    for candidate in candidates:
        done = subprocess.run([candidate, "-c", _ASK], capture_output=True, check=False)
        if done.returncode == 0:  # pyenv leaves commands for versions that are not switched on
            name, major, minor = json.loads(done.stdout)
            if name == "cpython" and (major, minor) >= OLDEST:
                found_versions.setdefault(f"{major}.{minor}", candidate)
    return found_versions
