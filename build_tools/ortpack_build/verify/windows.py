"""Runs a model with a Windows library where there is no Windows: under wine, by a program compiled for it.

The program is `run_model.c` beside this file. Python and the loader are not needed there, so what runs is the library
of the wheel, with its C API and its CPU kernels.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.errors import BuildError, ToolError
from ortpack_build.hashing import sha256
from ortpack_build.tiny_model import SUM, A, B, tiny_model
from ortpack_build.toolchain import tools
from ortpack_build.verify import Row, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ortpack_build.cache import Cache
    from ortpack_build.kit.model import Tool
    from ortpack_build.report import Reporter
    from ortpack_build.verify.subject import Subject

SOURCE = Path(__file__).with_name("run_model.c")
_ZIG = {"amd64": "x86_64-windows-gnu", "arm64": "aarch64-windows-gnu"}  # zig's names by architecture
_COMPILE_TIMEOUT = 900  # seconds; the first time, zig compiles Windows' C library too
_RUN_TIMEOUT = 600  # seconds
# Wine: no messages of its own, no browser or .NET to install, no entries in the user's menus, no screen
_SETTINGS = {"WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml=;winemenubuilder.exe="}
_UNWANTED = ("DISPLAY", "WAYLAND_DISPLAY", "WINEARCH", "WINEPATH")


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A value of a model, in the bytes of this machine.

    Attributes:
        type: of outputs: number of ONNXTensorElementDataType; inputs have that of the model.
    """

    shape: tuple[int, ...]
    data: bytes
    type: int = 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run gave: the library's version, and the outputs by name, in order."""

    version: str
    outputs: dict[str, Tensor]


def trial(subject: Subject, *, emulator: str, model: Path | None, tool: Tool, cache: Cache, report: Reporter) -> Row:
    """The row of running a model with the wheel's library; skipped where that can't be tried.

    Args:
        subject: the wheel; every check of it has passed.
        emulator: the program `wine`.
        model: an .onnx or .ort file, fed with zeros (free dimensions are 1); a made-up one if None.
        tool: zig for this machine.
    """
    place = subject.scratch / "windows"
    runtime = place / "runtime"
    runtime.mkdir(parents=True)
    for name, data in subject.contents.items():
        file = runtime / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    path, feeds = model, {}
    if path is None:
        path = place / "tiny.onnx"
        path.write_bytes(tiny_model())
        feeds = {name: Tensor(shape=(len(values),), data=_floats(values)) for name, values in (("a", A), ("b", B))}
    try:
        program = compiled(subject.tag.arch, tool, cache, report)
    except BuildError as error:
        return Row(check="run", verdict=Verdict.SKIP, detail=f"the program to run it with: {error.paragraph()}")
    try:
        outcome = run(
            runtime / str(subject.runtime.library), path, feeds, program=program, emulator=emulator, scratch=place
        )
    except ToolError as error:
        return Row(check="run", verdict=Verdict.FAIL, detail=str(error))
    if outcome.version != subject.version:
        said = f"the library says that it is ORT {outcome.version}, the wheel {subject.version}"
        return Row(check="run", verdict=Verdict.FAIL, detail=said)
    if model is None and [value.data for value in outcome.outputs.values()] != [_floats(SUM)]:
        return Row(check="run", verdict=Verdict.FAIL, detail=f"{A} + {B} gave {outcome.outputs}")
    shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in outcome.outputs.items())
    detail = f"under wine, ORT {outcome.version}: {path.name} gave {shapes}"
    return Row(check="run", verdict=Verdict.PASS, detail=detail)


def find(emulator: str) -> str | None:
    """The emulator's program on this machine."""
    return shutil.which(emulator)


def compiled(arch: str, tool: Tool, cache: Cache, report: Reporter) -> Path:
    """`run_model.exe` for an architecture.

    Raises:
        FetchError: zig can't be had.
        ToolError: it does not compile.
    """
    zig = tools.obtain(tool, cache, report)
    text = SOURCE.read_bytes()

    def make(folder: Path) -> None:
        program = folder / "run_model.exe"
        target = ["-target", _ZIG[arch], "-O1", "-s", "-fno-sanitize=all"]
        shared = cache.root / "toolchain" / "zig"
        with report.step("Compiling a program for Windows that runs models"):
            done = subprocess.run(
                [str(zig), "cc", *target, "-o", str(program), str(SOURCE)],
                env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(shared), "ZIG_LOCAL_CACHE_DIR": str(folder / "cache")},
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                check=False,
                timeout=_COMPILE_TIMEOUT,
            )
            if done.returncode != 0:
                raise ToolError(f"{SOURCE.name} can't be compiled for {_ZIG[arch]}: {done.stderr.strip()[-2000:]}")
            shutil.rmtree(folder / "cache", ignore_errors=True)

    return cache.get("programs", sha256(text + f"{_ZIG[arch]} {tool.sha256}".encode()), make) / "run_model.exe"


def run(
    library: Path, model: Path, feeds: Mapping[str, Tensor], *, program: Path, emulator: str, scratch: Path
) -> Outcome:
    """Run a model once with a library, on the CPU.

    Args:
        library: of ONNX Runtime for Windows, with what it needs beside it.
        feeds: inputs by name; one that is missing is fed with zeros, its free dimensions being 1.
        program: as `compiled` made it.
        emulator: wine's program.
        scratch: a folder of this run; wine's C: drive goes there (0.7 GB).

    Raises:
        ToolError: the library can't be loaded or refuses the model, with what it says.
    """
    place = scratch / "run"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    arguments = []
    for number, (name, value) in enumerate(feeds.items()):
        file = place / f"feed{number}"
        file.write_bytes(value.data)
        arguments.append(f"{name}={'x'.join(map(str, value.shape))}:{_path(file)}")
    command = [emulator, str(program), _path(library), _path(model), _path(place), *arguments]
    environ = {key: value for key, value in os.environ.items() if key not in _UNWANTED}
    environ |= {**_SETTINGS, "WINEPREFIX": str(scratch / "prefix")}
    try:
        done = subprocess.run(
            command,
            env=environ,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=_RUN_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"no end after {_RUN_TIMEOUT} s under wine") from None
    except OSError as error:
        raise ToolError(f"{emulator}: {error.strerror}") from error
    finally:
        _stop(emulator, environ)
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise ToolError(lines[-1] if lines else f"run_model.exe ended with exit code {done.returncode} under wine")
    return _outcome(done.stdout, place)


def _stop(emulator: str, environ: Mapping[str, str]) -> None:
    """End the processes that wine keeps for this prefix, so that its folder can go."""
    server = shutil.which("wineserver", path=str(Path(emulator).parent)) or shutil.which("wineserver")
    if server and Path(environ["WINEPREFIX"]).is_dir():
        subprocess.run([server, "--kill"], env=environ, capture_output=True, check=False, timeout=60)


def _path(path: Path) -> str:
    """As wine sees it: the root of this machine is its drive Z:."""
    return "Z:" + str(path.resolve()).replace("/", "\\")


def _outcome(text: str, place: Path) -> Outcome:
    version, outputs = "", {}
    for line in text.splitlines():
        words = line.split(" ", 3)
        if words[0] == "version":
            version = words[1]
        elif len(words) == 4 and words[0].isdigit():
            shape = tuple(int(size) for size in words[2].split("x")) if words[2] != "-" else ()
            data = (place / f"{words[0]}.bin").read_bytes()
            outputs[words[3]] = Tensor(shape=shape, data=data, type=int(words[1]))
    if not version or not outputs:
        raise ToolError(f"run_model.exe gave no result under wine: {text[:200]!r}")
    return Outcome(version=version, outputs=outputs)


def _floats(values: tuple[float, ...]) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)
