"""The hooks that PyInstaller finds by the entry point `pyinstaller40`; nothing else imports them."""

from __future__ import annotations

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """The folder with the hooks."""
    return [str(Path(__file__).parent)]
