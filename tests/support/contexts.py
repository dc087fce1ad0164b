"""A context for stages that a test calls itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.base.report import Reporter

if TYPE_CHECKING:
    from pathlib import Path


def context(cache: Path) -> Context:
    """A context with its cache in that folder, and the environment of this process."""
    return Context(cache=Cache(root=cache), report=Reporter(), environ=dict(os.environ))
