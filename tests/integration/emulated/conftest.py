"""What the emulated tests share: the user's cache, and of each target that it has a kit of, a minimal runtime."""

from __future__ import annotations

import functools
import json
import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
import pytest

from ortpack_build.base.cache import Cache
from ortpack_build.base.context import Context
from ortpack_build.base.errors import ToolError
from ortpack_build.base.report import Reporter
from ortpack_build.catalog import host, manifests
from ortpack_build.machines import emulation
from ortpack_build.products import kit as kit_product
from support import models
from support.command import run

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
_SMALL = Path(models.__file__).with_name("small_models")


@dataclass(frozen=True, kw_only=True)
class Minimal:
    """A minimal wheel of silero-vad and small models, and what runs it."""

    wheel: Path
    runtime: dict[str, Any]  # runtime.json
    machine: emulation.Machine

    def model(self, stem: str) -> Path:
        """A converted model."""
        return self.wheel.with_name(f"{stem}.ort")

    def library(self, folder: Path) -> Path:
        """The library, unpacked into a folder."""
        with zipfile.ZipFile(self.wheel) as archive:
            return Path(archive.extract(f"ortpack_runtimes/silero-ort/{self.runtime['library']}", folder))


@pytest.fixture(scope="session")
def loader_command() -> tuple[object, ...]:
    """Compiles the loader of this checkout."""
    return "loader", "--tree", ROOT


@pytest.fixture(scope="session")
def cache() -> Path:
    """The user's own: roots and compiled loaders are kept from one run to the next."""
    root = os.environ.get("ORTPACK_BUILD_CACHE") or platformdirs.user_cache_path("ortpack-build", appauthor=False)
    return Path(root).absolute()


@pytest.fixture(scope="session")
def kit(cache: Path) -> Callable[[str], list[object]]:
    """The arguments of `minimal` for a target; skips where the cache has no kit or nothing runs its programs."""

    def found(target: str) -> list[object]:
        catalog = manifests.load()
        own = host.detect().target(catalog.targets)
        if not os.environ.get("ORTPACK_TEST_KITS") or own != "linux-x86_64":
            pytest.skip("ORTPACK_TEST_KITS is not set, or this is not where kits are made")
        context = Context(cache=Cache(root=cache), report=Reporter(), environ=dict(os.environ))
        wanted = kit_product.KitRequest(target=target, host=own, flavour="ort", ort="1.21.0")
        job = kit_product.resolve(wanted, context)
        build = kit_product.kit_build(job, kit_product.toolchain(job))
        if not context.cache.path("kits", build.inputs.key).is_dir():
            pytest.skip(f"the cache has no kit for {target}")
        if shutil.which("apt-get") is None:
            pytest.skip("roots are made with apt")
        return ["--flavour", "ort", "--ort", "1.21.0", "--target", target, "--cache", cache]

    return found


@pytest.fixture(scope="session")
def minimal(
    cache: Path, kit: Callable[[str], list[object]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Minimal]:
    """Makes the wheel of a target, once; it is proven there."""

    @functools.cache
    def made(target: str) -> Minimal:
        arguments, out = kit(target), tmp_path_factory.mktemp(target)
        try:
            context = Context(cache=Cache(root=cache), report=Reporter(), environ=os.environ)
            machine = emulation.machine(manifests.load().targets[target], context)
        except ToolError as error:
            pytest.skip(str(error))
        given = [models.model("silero_vad"), *sorted(_SMALL.glob("*.onnx"))]
        done = run("minimal", "--name", "silero-ort", *arguments, "--model", *given, "--out", out)
        assert done.returncode == 0, done.stderr
        wheel = Path(done.stdout.splitlines()[-1])
        with zipfile.ZipFile(wheel) as archive:
            runtime = json.loads(archive.read("ortpack_runtimes/silero-ort/runtime.json"))
        return Minimal(wheel=wheel, runtime=runtime, machine=machine)

    return made
