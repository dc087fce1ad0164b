"""The context of a command, which every stage takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ortpack_build.base.cache import Cache
    from ortpack_build.base.report import Reporter


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the stages take from the outside: where they keep things, where they report, what programs they start see.

    Attributes:
        cache: where fetched and made things are kept.
        report: where progress is shown.
        environ: the variables of the process, for the programs that a stage starts.
        variants: the user's own folder of data files, if there is one.
    """

    cache: Cache
    report: Reporter
    environ: Mapping[str, str]
    variants: Path | None = None
