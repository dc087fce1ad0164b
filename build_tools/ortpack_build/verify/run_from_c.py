"""Runs a model where the target has no Python here: a program compiled for it opens the library through its C API.

The program is `run_model.c` beside this file. It tests the library, with its C API and its CPU kernels, but not the
loader.
"""

from __future__ import annotations

import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ortpack_build.base import process
from ortpack_build.base.errors import ToolError
from ortpack_build.base.hashing import sha256
from ortpack_build.kit import settings as kit_settings
from ortpack_build.machines import emulation
from ortpack_build.toolchain import pinned_programs
from ortpack_build.verify.row import RUN, failed, passed
from ortpack_build.verify.tiny_model import SUM, A, B, tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ortpack_build.base.context import Context
    from ortpack_build.catalog.host import Host
    from ortpack_build.catalog.model import Target
    from ortpack_build.verify.row import Row
    from ortpack_build.verify.wheel_reader import WheelReader
    from ortpack_build.verify.wish import Wish

NO_LIBRARY = "an extension module, which only Python can load"
SOURCE = Path(__file__).with_name("run_model.c")
ALL = 99  # the level with every optimization
_COMPILE_TIMEOUT = 900  # seconds; the first time, zig compiles a C library too
_RUN_TIMEOUT = 600  # seconds


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output of a model, as bytes.

    Attributes:
        shape: its dimensions.
        data: its elements in this machine's byte order; each string ends with a zero byte.
        type: an output's number in ONNXTensorElementDataType; 0 for an input, whose type the model says.
    """

    shape: tuple[int, ...]
    data: bytes
    type: int = 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the program reported: the library's version, and for each run the outputs by name, in the model's order."""

    version: str
    runs: tuple[dict[str, Tensor], ...]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program that runs models with libraries of a target, and how it is started here.

    Attributes:
        command: starts the program; its own arguments follow.
        below: name of the emulator that it runs below, for messages.
        environ: of the process; this process's own if None.
        path_there: turns a path of this machine into one that the program understands.
        clean_up: called after each run.
    """

    command: Sequence[str]
    below: str
    environ: Mapping[str, str] | None = None
    path_there: Callable[[Path], str] = str
    clean_up: Callable[[], None] = lambda: None

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
            library: ONNX Runtime's, with what it needs beside it.
            model: an .onnx or .ort file.
            runs: the inputs of each run by name; an input that is not named is fed with zeros, its free dimensions
                being 1.
            scratch: a folder that no other run uses meanwhile.
            level: optimization level.
            timeout: seconds for all runs together.

        Raises:
            ToolError: the library can't be loaded or refuses the model, with what it says.
        """
        place = scratch / "run"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        arguments = [self.path_there(library), self.path_there(model), self.path_there(place), str(level)]
        for number, feeds in enumerate(runs):
            arguments.append(str(len(feeds)))
            for index, (name, value) in enumerate(feeds.items()):
                file = place / f"feed{number}-{index}"
                file.write_bytes(value.data)
                arguments += [name, "x".join(map(str, value.shape)) or "-", self.path_there(file)]
        try:
            done = process.run([*self.command, *arguments], environ=self.environ, timeout=timeout)
        except process.OverdueError:
            raise ToolError(f"no end after {timeout:.0f} s below {self.below}") from None
        finally:
            self.clean_up()
        if done.code < 0:
            raise ToolError(f"killed by signal {-done.code} below {self.below}")
        if done.code != 0:
            lines = [line.strip() for line in done.errors.splitlines() if line.strip()]
            raise ToolError(lines[-1] if lines else f"ended with exit code {done.code} below {self.below}")
        return self._outcome(done.output, place, len(runs))

    def _outcome(self, text: str, place: Path, expected: int) -> Outcome:
        """Read what the program printed (`run_model.c` says in which form) and the files of outputs that it wrote."""
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


@dataclass(frozen=True)
class FromCBelowEmulator:
    """Runs a model with a library whose target has no Python here: a program opens it, below an emulator."""

    context: Context
    here: Host
    name: ClassVar[str] = "from C, below an emulator"

    def why_not(self, wheel: WheelReader) -> str | None:
        """Why it can't run this wheel; None if it can.

        Raises:
            UsageError: nothing emulates its target.
        """
        emulation.load().check_emulated(wheel.target)
        return NO_LIBRARY if wheel.package else None

    def run(self, wheel: WheelReader, wish: Wish, scratch: Path) -> list[Row]:
        """The row of running a model.

        Raises:
            ToolError: the emulator is not on this machine, or the program can't be compiled.
            FetchError: the root's packages or the compiler can't be had.
        """
        program = below_emulator(wheel.target, self.here.target(wheel.catalog.targets), self.context)
        return [run_library(wheel, program, model=wish.model, scratch=scratch)]


def below_emulator(target: Target, host: str | None, context: Context) -> Program:
    """The program that opens libraries of a target, started below the target's emulator.

    Args:
        target: the libraries' target.
        host: name of this machine's target, if it has one.
        context: cache, reporter and environment.

    Raises:
        UsageError: nothing emulates the target, or no compiler is pinned for this machine.
        ToolError: the emulator is not on this machine, or the program can't be compiled.
        FetchError: the root's packages or the compiler can't be had.
    """
    machine = emulation.machine(target, context)
    command = machine.command(compiled(target, host, context))
    return Program(command=command, below=machine.emulator.name, environ=context.environ)


def can_compile(host: str | None, context: Context) -> bool:
    """Whether the compiler of the program is pinned for this machine, by the name of the target that it is."""
    return any((tool.name, tool.host) == ("zig", host) for tool in kit_settings.load(context.variants).tools)


def compiled(target: Target, host: str | None, context: Context) -> Path:
    """The program for a target, compiled if the cache has none.

    Args:
        target: what it is for.
        host: name of this machine's target, if it has one.
        context: cache, reporter and environment.

    Raises:
        UsageError: no compiler is pinned for this machine, or its name of the target is not known.
        FetchError: the compiler can't be had.
        ToolError: the program does not compile.
    """
    kits = kit_settings.load(context.variants)
    tool = kits.tool("zig", host)
    zig = pinned_programs.obtain(tool, context)
    zig_target = target.zig or kits.target(target.name).zig_target
    name = f"{SOURCE.stem}.exe"  # Windows wants the ending, others don't mind
    # -dynamic: without it, zig makes programs for musl that can't open a library.
    command = [str(zig), "cc", "-target", zig_target, "-O1", "-s", "-fno-sanitize=all", "-dynamic"]

    def make(folder: Path) -> None:
        shared, own = context.cache.root / "toolchain" / "zig", folder / "cache"
        with context.report.step(f"Compiling a program for {zig_target} that runs models"):
            done = process.run(
                [*command, "-o", str(folder / name), str(SOURCE)],
                environ={**context.environ, "ZIG_GLOBAL_CACHE_DIR": str(shared), "ZIG_LOCAL_CACHE_DIR": str(own)},
                timeout=_COMPILE_TIMEOUT,
            )
            if done.code != 0:
                raise ToolError(f"{SOURCE.name} can't be compiled for {zig_target}: {done.errors.strip()[-2000:]}")
            shutil.rmtree(own, ignore_errors=True)

    key = sha256(SOURCE.read_bytes() + " ".join([*command[1:], tool.sha256]).encode())
    return context.cache.get("programs", key, make) / name


def run_library(wheel: WheelReader, program: Program, *, model: Path | None, scratch: Path) -> Row:
    """The row of running a model with a wheel's library.

    Args:
        wheel: the wheel; every check of it has passed.
        program: runs models with libraries of its target.
        model: an .onnx or .ort file, fed with zeros (free dimensions are 1); a tiny one if None.
        scratch: a folder of this run.
    """
    runtime = scratch / "runtime"
    for name, data in wheel.contents.items():
        file = runtime / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    path, feeds = model, {}
    if path is None:
        path = scratch / "tiny.onnx"
        path.write_bytes(tiny_model())
        feeds = {name: Tensor(shape=(len(values),), data=_floats(values)) for name, values in (("a", A), ("b", B))}
    try:
        outcome = program.run(runtime / str(wheel.runtime.library), path, [feeds], scratch=scratch)
    except ToolError as error:
        return failed(RUN, str(error))
    (outputs,) = outcome.runs
    if outcome.version != wheel.version:
        return failed(RUN, f"the library says that it is ORT {outcome.version}, the wheel {wheel.version}")
    if model is None and [value.data for value in outputs.values()] != [_floats(SUM)]:
        return failed(RUN, f"{A} + {B} gave {outputs}")
    shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in outputs.items())
    return passed(RUN, f"below {program.below}, ORT {outcome.version}: {path.name} gave {shapes}")


def _floats(values: tuple[float, ...]) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)
