"""Says what this machine lacks of what runtimes need: a worker, in which the loader's own probes look at the machine.

The request has `folder`, where the loader's package lies, and `needs`: name → needs in the form of `runtime.json`. The
answer has `unmet`: name → the first need that is not met, as the loader says it.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

request = json.load(sys.stdin)
sys.path.insert(0, request["folder"])

from ortpack._facts import Facts  # noqa: E402 - found in the folder of the request
from ortpack._needs import unmet  # noqa: E402

facts = Facts()
found = {}
for name, needs in request["needs"].items():
    runtime: Any = SimpleNamespace(needs=[SimpleNamespace(**need) for need in needs], requires=())
    if reason := unmet(runtime, facts):
        found[name] = reason
print("RESULT " + json.dumps({"unmet": found}))
