"""Devices and drivers of this machine, as the loader will see them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base import process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ortpack_build.catalog.model import Need

_WORKER = Path(__file__).with_name("_unmet.py")


def unmet(needs: Mapping[str, Sequence[Need]], loader: Path) -> Mapping[str, str]:
    """Ask the loader's probes which runtimes lack something on this machine, and what.

    Args:
        needs: name of a runtime → what it needs.
        loader: folder with the loader's package.

    Returns:
        Name → the first thing that is missing; whoever lacks nothing, or can't be told about, is not in it.
    """
    asked: Mapping[str, list[dict[str, object]]] = {
        name: [{"fact": need.fact, "mend": need.mend, "at_least": need.at_least, "one_of": []} for need in those]
        for name, those in needs.items()
        if those
    }
    if not asked:
        return {}
    reply = process.ask(str(_WORKER), request={"folder": str(loader), "needs": asked})
    found: Mapping[str, str] = (reply.answer or {}).get("unmet", {})
    return found
