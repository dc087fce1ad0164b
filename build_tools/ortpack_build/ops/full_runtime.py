"""Runs the official library of a release on this machine: only it can optimize and convert models.

The library comes out of the official wheel, like any prebuilt origin. The `ortpack` loader loads it in a process of its
own, so that a model that crashes it crashes nothing else.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ortpack_build.base import process
from ortpack_build.base.errors import ModelError, ToolError, UsageError, nearest
from ortpack_build.base.tags import version_key
from ortpack_build.catalog import host, spec
from ortpack_build.origin import prebuilt
from ortpack_build.origin import source as origin_source
from ortpack_build.origin.pip_wheel import fetch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ortpack_build.base.context import Context
    from ortpack_build.catalog.model import Catalog

_WORKER = Path(__file__).with_name("_optimize.py")
_SLOTS = threading.BoundedSemaphore(os.cpu_count() or 1)  # processes at once, each with a model in memory
_HINT = "pip install 'ortpack-build[models]'."


@dataclass(frozen=True, kw_only=True)
class Job:
    """One task of the process: load a model, optimize it, and write the result.

    Attributes:
        level: of optimization: 0 none, 1 basic, 2 extended, 3 layout, 99 all.
        out: where the model is written.
        format: that it is written in.
        config: entries for the session's options.
    """

    level: int
    out: Path
    format: Literal["ORT", "ONNX"] = "ORT"
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FullRuntime:
    """The official library of a release for this machine.

    Attributes:
        ort: release.
        library: its file.
        arch: of this machine, as targets name it.
        key: hash of what it is.
    """

    ort: str
    library: Path
    arch: str
    key: str

    def run(self, model: Path, jobs: Sequence[Job], *, custom_ops: Sequence[Path] = ()) -> None:
        """Do the jobs on one model, in one process.

        Args:
            model: ONNX or ORT format.
            jobs: to do, in order.
            custom_ops: libraries that bring operators of the user's.

        Raises:
            ModelError: ONNX Runtime refuses the model, or crashes on it.
            ToolError: the loader is not installed or does not work.
        """
        if importlib.util.find_spec("ortpack") is None:
            raise ToolError("Optimizing and converting models needs the loader, ortpack.", hint=_HINT)
        request = {
            "library": str(self.library),
            "model": str(model.absolute()),
            "custom_ops": [str(path.absolute()) for path in custom_ops],
            "jobs": [
                {"level": job.level, "out": str(job.out), "format": job.format, "config": dict(job.config)}
                for job in jobs
            ],
        }
        try:
            with _SLOTS:
                reply = process.ask(str(_WORKER), request=request)
        except process.OverdueError as error:
            raise ModelError(
                f"{model}: ONNX Runtime {self.ort} had no result after {process.WORKER_TIMEOUT} s."
            ) from error
        self._judge(model, reply)

    def _judge(self, model: Path, reply: process.Reply) -> None:
        answer = reply.answer or {}
        if reply.code == 0 and answer.get("done"):
            return
        if message := answer.get("setup"):
            raise ToolError(f"ONNX Runtime {self.ort} can't be used here: {message}", hint=_HINT)
        if message := answer.get("refused"):
            raise ModelError(f"{model}: ONNX Runtime {self.ort} refuses it: {message}")
        if reply.code < 0:
            raise ModelError(f"{model}: ONNX Runtime {self.ort} died of it (signal {-reply.code}).")
        raise ToolError(f"Running ONNX Runtime {self.ort} on {model} failed: {reply.last}")


def release(catalog: Catalog, wanted: str | None = None) -> str:
    """The release that models are converted and examined for: the wanted one, or that of kits, which run them.

    Raises:
        UsageError: there is no such release.
    """
    if wanted is None:
        return origin_source.default_release(catalog.own)
    variant = catalog.variants[catalog.fallback]
    known = {*origin_source.releases(catalog.own)}
    known.update(*(spec.releases(catalog, variant, target) for target in catalog.targets))
    if wanted not in known:
        names = sorted(known, key=version_key, reverse=True)
        raise UsageError(f"There is no release {wanted} of ONNX Runtime here.", hint=nearest(wanted, names))
    return wanted


def obtain(catalog: Catalog, context: Context, ort: str | None = None) -> FullRuntime:
    """Get the full runtime of a release for this machine, from the cache or from pip's index.

    Args:
        catalog: the manifests.
        context: of the stages; its cache keeps it.
        ort: release; as `release` has it if None.

    Raises:
        UsageError: the release is not pinned for this machine.
        FetchError: it can't be had.
    """
    machine = host.detect()
    target = machine.target(catalog.targets)
    if target is None:
        raise UsageError(f"There is no official runtime for this machine ({machine.os} {machine.arch}).")
    resolved = spec.resolve(catalog, catalog.fallback, target, ort or release(catalog))
    source = resolved.source
    if not isinstance(source, spec.Prebuilt):
        raise UsageError(f"There is no official runtime of ONNX Runtime {resolved.version} for this machine.")

    def make(folder: Path) -> None:
        prebuilt.obtain(source, lambda pin: fetch(pin, context), folder)

    library = next(file.name for file in resolved.files if file.role == "library")
    place = Path("libraries") / library
    entry = context.cache.get("full-runtime", resolved.digest, make, check=lambda folder: (folder / place).is_file())
    return FullRuntime(ort=resolved.version, library=entry / place, arch=resolved.platform.arch, key=resolved.digest)
