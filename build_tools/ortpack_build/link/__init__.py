"""Stage `link`: a library out of a kit."""

from __future__ import annotations

from ortpack_build.link.binding import MODULE_FILE
from ortpack_build.link.extension_module import link_static
from ortpack_build.link.library import Embedding, Linked, LinkJob, link_library
from ortpack_build.link.linker import Library
from ortpack_build.link.shared import link_shared

__all__ = [
    "MODULE_FILE",
    "Embedding",
    "Library",
    "LinkJob",
    "Linked",
    "link_library",
    "link_shared",
    "link_static",
]
