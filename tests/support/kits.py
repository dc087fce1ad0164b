"""The kit that tests of the marker `kit` use, and the command's arguments for it.

It is $ORTPACK_TEST_KIT, a packed one, or the `ort` kit of the user's own cache, which is compiled if need be and kept.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest

from ortpack_build import kit as kit_stage
from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.base.report import Reporter
from ortpack_build.catalog import host, manifests
from ortpack_build.link import Library, link_shared
from ortpack_build.products import kit as kit_product
from ortpack_build.toolchain import set_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from ortpack_build.kernels.index import KernelId
    from ortpack_build.kit import Kit
    from ortpack_build.kit.settings import Flavour

TARGET, ORT = "linux-x86_64", "1.21.0"
NEEDED = [
    pytest.mark.kit,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(not os.environ.get("ORTPACK_TEST_KITS"), reason="ORTPACK_TEST_KITS is not set"),
    pytest.mark.skipif(
        host.detect().target(manifests.load().targets) != TARGET, reason=f"the kit is for {TARGET}, made there"
    ),
]

STATIC = pytest.mark.skipif(
    sys.version_info < (3, 12) and shutil.which("apt-get") is None,
    reason="an older Python's headers do not serve, and Debian's come with apt",
)


def packed() -> Path | None:
    """The file of the packed kit, if one is given."""
    file = os.environ.get("ORTPACK_TEST_KIT")
    return Path(file).absolute() if file else None


@functools.cache
def context() -> Context:
    """The user's own cache: a kit that is there is used, and one that is made is kept."""
    root = os.environ.get("ORTPACK_BUILD_CACHE") or platformdirs.user_cache_path("ortpack-build", appauthor=False)
    return Context(cache=Cache(root=Path(root).absolute()), report=Reporter(), environ=dict(os.environ))


@functools.cache
def request() -> kit_product.KitRequest:
    """What asks for the kit."""
    file = packed()
    flavour: Flavour = "ort" if file is None else kit_stage.unpack(file, context().cache).about.flavour
    return kit_product.KitRequest(
        target=TARGET, host=TARGET, flavour=flavour, ort=ORT, file=file, jobs=os.cpu_count() or 1
    )


@functools.cache
def job() -> kit_product.KitJob:
    """The request, resolved."""
    return kit_product.resolve(request(), context())


@functools.cache
def kit() -> Kit:
    """The kit itself."""
    return kit_product.kit(job())


def arguments() -> list[object]:
    """What makes `ortpack-build wheel` use the kit."""
    given: list[object] = ["--origin", "source", "--ort", ORT, "--target", TARGET, "--flavour", request().flavour]
    given += ["--cache", context().cache.root]
    return [*given, "--from", packed()] if packed() else given


def link(work: Path, wanted: Callable[[KernelId], bool] = lambda _: True) -> Library:
    """A shared library of the kit's kernels that `wanted` picks, in the new folder `work`."""
    work.mkdir()
    chosen = kit_product.toolchain(job())
    place = set_up(chosen, work, context(), 1)
    kernels = [kernel for kernel in kit().kernels if wanted(kernel)]
    return link_shared(kit(), kernels, place)
