"""Runs a model where there is no Python of the target: a program compiled for it opens the library through its C API.

The program is `run_model.c` beside this file. What runs is the library, with its C API and its CPU kernels, and not the
loader.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ortpack_build.base.errors import ToolError
from ortpack_build.base.hashing import sha256
from ortpack_build.toolchain import pinned_programs
from ortpack_build.verify.row import Row, Verdict
from ortpack_build.verify.tiny_model import SUM, A, B, tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ortpack_build.base.cache import Cache
    from ortpack_build.base.report import Reporter
    from ortpack_build.toolchain.settings import Tool
    from ortpack_build.verify.wheel_reader import Subject

SOURCE = Path(__file__).with_name("run_model.c")
ALL = 99  # every optimization
_COMPILE_TIMEOUT = 900  # seconds; the first time, zig compiles a C library too
_RUN_TIMEOUT = 600  # seconds


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A value of a model, in the bytes of this machine; strings have a zero byte at their ends.

    Attributes:
        type: of outputs: number of ONNXTensorElementDataType; inputs have that of the model.
    """

    shape: tuple[int, ...]
    data: bytes
    type: int = 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came out: the library's version, and for each run the tensors by name, in order."""

    version: str
    runs: tuple[dict[str, Tensor], ...]


@dataclass(frozen=True, kw_only=True)
class Runner:
    """What runs models with libraries of a target.

    Attributes:
        start: the command that starts the program.
        below: name of what the program runs below, for messages.
        environ: of the process.
        shown: a path as the program sees it.
        ended: called after each run.
    """

    start: Sequence[str]
    below: str
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    shown: Callable[[Path], str] = str
    ended: Callable[[], None] = lambda: None

    def run(
        self,
        library: Path,
        model: Path,
        runs: Sequence[Mapping[str, Tensor]],
        *,
        scratch: Path,
        level: int = ALL,
        timeout: float = _RUN_TIMEOUT,
    ) -> Outcome:
        """Run a model in one session, on the CPU.

        Args:
            library: of ONNX Runtime, with what it needs beside it.
            model: .onnx or .ort file.
            runs: of each, the inputs by name; one that is missing is fed with zeros, its free dimensions being 1.
            scratch: a folder of this runner.
            level: of optimization.
            timeout: seconds.

        Raises:
            ToolError: the library can't be loaded or refuses the model, with what it says.
        """
        place = scratch / "run"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        arguments = [self.shown(library), self.shown(model), self.shown(place), str(level)]
        for number, feeds in enumerate(runs):
            arguments.append(str(len(feeds)))
            for index, (name, value) in enumerate(feeds.items()):
                file = place / f"feed{number}-{index}"
                file.write_bytes(value.data)
                arguments += [name, "x".join(map(str, value.shape)) or "-", self.shown(file)]
        try:
            done = subprocess.run(
                [*self.start, *arguments],
                env=dict(self.environ),
                capture_output=True,
                stdin=subprocess.DEVNULL,
                encoding="utf-8",
                errors="replace",
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise ToolError(f"no end after {timeout:.0f} s below {self.below}") from None
        except OSError as error:
            raise ToolError(f"{self.start[0]}: {error.strerror}") from error
        finally:
            self.ended()
        if done.returncode < 0:
            raise ToolError(f"killed by signal {-done.returncode} below {self.below}")
        if done.returncode != 0:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            raise ToolError(lines[-1] if lines else f"ended with exit code {done.returncode} below {self.below}")
        return self._outcome(done.stdout, place, len(runs))

    def _outcome(self, text: str, place: Path, expected: int) -> Outcome:
        version = ""
        runs: list[dict[str, Tensor]] = []
        for line in text.split("\n"):  # a name may hold other ends of lines
            words = line.split(" ", 3)
            if words[0] == "version" and not version:
                version = words[1]
            elif line == "run":
                runs.append({})
            elif runs and len(words) == 4 and words[0].isdigit():
                shape = tuple(int(size) for size in words[2].split("x")) if words[2] != "-" else ()
                data = (place / f"{words[0]}.bin").read_bytes()
                runs[-1][words[3]] = Tensor(shape=shape, data=data, type=int(words[1]))
        if not version or len(runs) != expected:
            raise ToolError(f"{SOURCE.stem} gave no result below {self.below}: {text[:200]!r}")
        return Outcome(version=version, runs=tuple(runs))


def compiled(target: str, tool: Tool, cache: Cache, report: Reporter) -> Path:
    """The program for a target.

    Args:
        target: zig's name of it.
        tool: zig for this machine.

    Raises:
        FetchError: zig can't be had.
        ToolError: it does not compile.
    """
    zig = pinned_programs.obtain(tool, cache, report)
    name = f"{SOURCE.stem}.exe"  # Windows wants the ending, others don't mind
    # -dynamic: for musl, zig makes programs that can't open a library.
    command = [str(zig), "cc", "-target", target, "-O1", "-s", "-fno-sanitize=all", "-dynamic"]

    def make(folder: Path) -> None:
        shared = cache.root / "toolchain" / "zig"
        with report.step(f"Compiling a program for {target} that runs models"):
            done = subprocess.run(
                [*command, "-o", str(folder / name), str(SOURCE)],
                env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(shared), "ZIG_LOCAL_CACHE_DIR": str(folder / "cache")},
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                check=False,
                timeout=_COMPILE_TIMEOUT,
            )
            if done.returncode != 0:
                raise ToolError(f"{SOURCE.name} can't be compiled for {target}: {done.stderr.strip()[-2000:]}")
            shutil.rmtree(folder / "cache", ignore_errors=True)

    key = sha256(SOURCE.read_bytes() + " ".join([*command[1:], tool.sha256]).encode())
    return cache.get("programs", key, make) / name


def trial(subject: Subject, runner: Runner, *, model: Path | None, scratch: Path) -> Row:
    """The row of running a model with the wheel's library.

    Args:
        subject: the wheel; every check of it has passed.
        runner: of its target.
        model: an .onnx or .ort file, fed with zeros (free dimensions are 1); a made-up one if None.
        scratch: a folder of the runner.
    """
    runtime = scratch / "runtime"
    for name, data in subject.contents.items():
        file = runtime / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    path, feeds = model, {}
    if path is None:
        path = scratch / "tiny.onnx"
        path.write_bytes(tiny_model())
        feeds = {name: Tensor(shape=(len(values),), data=_floats(values)) for name, values in (("a", A), ("b", B))}
    try:
        outcome = runner.run(runtime / str(subject.runtime.library), path, [feeds], scratch=scratch)
    except ToolError as error:
        return Row(check="run", verdict=Verdict.FAIL, detail=str(error))
    (outputs,) = outcome.runs
    if outcome.version != subject.version:
        said = f"the library says that it is ORT {outcome.version}, the wheel {subject.version}"
        return Row(check="run", verdict=Verdict.FAIL, detail=said)
    if model is None and [value.data for value in outputs.values()] != [_floats(SUM)]:
        return Row(check="run", verdict=Verdict.FAIL, detail=f"{A} + {B} gave {outputs}")
    shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in outputs.items())
    detail = f"below {runner.below}, ORT {outcome.version}: {path.name} gave {shapes}"
    return Row(check="run", verdict=Verdict.PASS, detail=detail)


def _floats(values: tuple[float, ...]) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)
