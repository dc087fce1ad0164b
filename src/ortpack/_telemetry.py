"""ONNX Runtime's telemetry is off unless the user asks for it.

Official libraries since 1.29 report usage and write a lasting device id when their environment (OrtEnv) is made, unless
the process's environment has `ORT_DISABLE_TELEMETRY=1` by then. So `prepare` puts it there before a library is loaded.
Child processes inherit it, and stay quiet too. Older builds for Windows have ETW events instead and do not look at the
variable; for them the binding calls `DisableTelemetryEvents` as soon as OrtEnv is made.

`os.environ` reaches native code: on POSIX Python calls `setenv`, the library `getenv`. On Windows Python changes both
the C runtime's variables and those of the process, and the library asks for the latter.
"""

from __future__ import annotations

import os
import sys

DISABLE_VARIABLE = "ORT_DISABLE_TELEMETRY"  # ONNX Runtime's own
WISH_VARIABLE = "ORTPACK_TELEMETRY"
_TRUE = ("1", "true", "yes", "on", "y")  # as ONNX Runtime reads its variable

_called: bool | None = None  # what enable_telemetry_events() or disable_telemetry_events() said last
_ours = False  # whether the variable in the environment is of this module's making


def enable_telemetry_events() -> None:
    """Let ONNX Runtime report usage, as its official package does unasked.

    Call it before the first session: a library whose environment was made with telemetry off keeps it off for good
    (only older builds for Windows can start later). `ORT_DISABLE_TELEMETRY=1`, set by the user, is stronger.
    """
    _call(on=True)


def disable_telemetry_events() -> None:
    """Let ONNX Runtime report nothing, which is the default; after `enable_telemetry_events`, nothing more.

    What was reported before stays reported: a library with telemetry on tells of the process as soon as it starts.
    """
    _call(on=False)


def prepare() -> None:
    """Bring the environment of the process in line with the choice; to be called before a library is loaded."""
    global _ours  # noqa: PLW0603 - a setting of the process
    on, _ = choice()
    if on and _ours:
        os.environ.pop(DISABLE_VARIABLE, None)
        _ours = False
    elif not on and not os.environ.get(DISABLE_VARIABLE):
        os.environ[DISABLE_VARIABLE] = "1"
        _ours = True
    binding = sys.modules.get(f"{__package__}._binding")
    if binding is not None:
        binding.set_telemetry(on)


def choice() -> tuple[bool, str]:
    """Tell whether telemetry is on, and who decided so."""
    if not _ours and (given := os.environ.get(DISABLE_VARIABLE)):
        off = given.strip().lower() in _TRUE
        if off or _called is None:
            return not off, f"{DISABLE_VARIABLE}={given} in the environment"
    if _called is not None:
        return _called, f"{'enable' if _called else 'disable'}_telemetry_events() was called"
    if os.environ.get(WISH_VARIABLE, "").strip().lower() in _TRUE:
        return True, f"{WISH_VARIABLE}={os.environ[WISH_VARIABLE]} in the environment"
    return False, f"{DISABLE_VARIABLE}=1 set by ortpack"


def _call(*, on: bool) -> None:
    global _called  # noqa: PLW0603 - a setting of the process
    _called = on
    prepare()
