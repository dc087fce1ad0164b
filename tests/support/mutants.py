"""Damaged models, the same for one seed, and what a runtime makes of them: loaded and run in a process that may die.

`python mutants.py REQUEST` is the worker: it tries mutants one after the other and says when each begins and ends, so
that a death or a hang belongs to one of them. It needs the loader and NumPy only.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

MEMORY = 4 << 30  # bytes of address space that a worker has: more is an allocation that fails
HANG = 60.0  # seconds without a word; a run is told to end after _RUN of them
_RUN = 5.0
_LARGEST = 1 << 20  # elements of an input that is made up
# What is done to a model → how often. Small changes go furthest: what is plainly broken is refused at the door.
_KINDS = {"bit": 0.4, "byte": 0.15, "near": 0.15, "length": 0.1, "bits": 0.05}
_KINDS |= {"varint": 0.03, "cut": 0.04, "lost": 0.03, "twice": 0.03, "more": 0.02}
_INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutant(data: bytes, seed: int, index: int) -> bytes:
    """The mutant of that number: some bits flipped, a number exchanged, cut off, or bytes lost, twice or too many."""
    random = np.random.default_rng([seed, index])
    copy = bytearray(data)
    kinds = random.choice([*_KINDS], int(random.choice([1, 1, 1, 2, 4])), p=[*_KINDS.values()])
    for kind in kinds:
        place = int(random.integers(0, len(copy)))
        if kind == "bit":
            copy[place] ^= 1 << int(random.integers(0, 8))
        elif kind == "bits":
            for at in random.integers(0, len(copy), int(random.integers(2, 9))):
                copy[at] ^= 1 << int(random.integers(0, 8))
        elif kind == "byte":
            copy[place] = int(random.choice([0, 1, 0x7F, 0x80, 0xFF, int(random.integers(0, 256))]))
        elif kind == "near":
            copy[place] = (copy[place] + int(random.choice([-2, -1, 1, 2]))) & 0xFF
        elif kind == "length":  # of a FlatBuffer, whose numbers are aligned
            place &= ~3
            number = int(random.choice(_INTERESTING)) if random.integers(2) else int(random.integers(0, 1 << 32))
            copy[place : place + 4] = number.to_bytes(4, "little")
        elif kind == "varint":  # of a protocol buffer
            copy[place : place + 1] = bytes([0xFF] * int(random.integers(1, 9)) + [0x7F])
        elif kind == "cut":
            del copy[place:]
        elif kind == "lost":
            del copy[place : place + int(random.integers(1, 65))]
        elif kind == "twice":
            copy[place:place] = copy[place : place + int(random.integers(1, 65))]
        else:
            copy[place:place] = random.bytes(int(random.integers(1, 17)))
        copy = copy or bytearray(1)
    return bytes(copy)


@dataclass(kw_only=True)
class Outcome:
    """What became of the mutants.

    Attributes:
        counts: how many ended in which way: "ran", "no input" (that could be made up), or an error's class.
        deaths: number of a mutant → signal or exit code; `hang` for one that did not end.
    """

    counts: Counter[str] = field(default_factory=Counter)
    deaths: dict[int, str] = field(default_factory=dict)


def judge(runtime: Path, files: list[Path], *, seed: int, numbers: range, folder: Path) -> Outcome:
    """Try the mutants of these numbers, each of the next file in turn; those that kill are left in `folder`."""
    outcome = Outcome()
    begin = numbers.start
    while begin < numbers.stop:
        request = {"runtime": str(runtime), "files": [str(file) for file in files], "seed": seed}
        begin = _one_worker(request | {"begin": begin, "end": numbers.stop}, outcome)
    for number in outcome.deaths:
        data = mutant(files[number % len(files)].read_bytes(), seed, number)
        (folder / f"{number}{files[number % len(files)].suffix}").write_bytes(data)
    return outcome


def _one_worker(request: dict[str, Any], outcome: Outcome) -> int:
    """Run a worker as far as it gets; the number to go on with."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ORTPACK_")}
    process = subprocess.Popen(
        [sys.executable, __file__, json.dumps(request)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environ,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said: queue.Queue[str] = queue.Queue()
    errors: list[str] = []
    readers = [threading.Thread(target=_read, args=(process.stdout, said), daemon=True)]
    readers.append(threading.Thread(target=lambda: errors.extend(_last(process.stderr)), daemon=True))
    for reader in readers:
        reader.start()
    current = int(request["begin"]) - 1
    while True:
        try:
            line = said.get(timeout=HANG)
        except queue.Empty:
            process.kill()
            process.wait()
            outcome.deaths[current] = "hang"
            return current + 1
        if not line:
            break
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "try":
            current = int(rest)
        elif word == "end":
            outcome.counts[rest] += 1
    code = process.wait()
    if code == 0:
        return int(request["end"])
    readers[1].join(10)
    if current < int(request["begin"]):
        raise AssertionError("the worker did not begin: " + "".join(errors))
    outcome.deaths[current] = f"signal {-code}" if code < 0 else f"exit code {code}: {''.join(errors)[-300:]}"
    return current + 1


def _read(stream: IO[str], said: queue.Queue[str]) -> None:
    for line in stream:
        said.put(line)
    said.put("")


def _last(stream: IO[str] | None) -> list[str]:
    """The last lines; all are read, so that the writer never waits."""
    lines: list[str] = []
    for line in stream or ():
        lines = [*lines[-19:], line]
    return lines


# --- the worker --------------------------------------------------------------------------------------------------


def main(request: dict[str, Any]) -> None:
    import resource

    import ortpack

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    runtime = ortpack.load_runtime(Path(request["runtime"]))
    ortpack.set_default_logger_severity(4)
    originals = [Path(file).read_bytes() for file in request["files"]]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for number in range(request["begin"], request["end"]):
        data = mutant(originals[number % len(originals)], request["seed"], number)
        print(f"try {number}", flush=True)
        print(f"end {attempt(data, runtime)}", flush=True)


def attempt(data: bytes, runtime: Any) -> str:
    """Load a model and run it once; how that ended."""
    import ortpack

    options = ortpack.SessionOptions()
    options.intra_op_num_threads = 1
    run = ortpack.RunOptions()
    watch = threading.Timer(_RUN, lambda: setattr(run, "terminate", True))
    try:
        session = ortpack.InferenceSession(data, options, runtime=runtime)
        feeds = {port.name: _made_up(port.type, port.shape) for port in session.get_inputs()}
        session.get_outputs()
        session.get_modelmeta()
        if any(value is None for value in feeds.values()):
            return "no input"
        watch.start()
        session.run(None, feeds, run)
    except (ortpack.OrtpackError, MemoryError, UnicodeDecodeError) as error:  # the last: of texts among the outputs
        return type(error).__name__
    finally:
        watch.cancel()
    return "ran"


def _made_up(kind: str, shape: list[Any] | None) -> Any:
    """A value for an input; None if that is beyond us."""
    sizes = [size if isinstance(size, int) and size >= 0 else 2 for size in shape or ()]
    element = kind.removeprefix("tensor(").removesuffix(")")
    names = {"float": "float32", "double": "float64", "float16": "float16", "bool": "bool", "string": "str"}
    dtype = names.get(element, element)
    if (
        not kind.startswith("tensor(")
        or dtype not in (*names.values(), *_INTEGERS)
        or np.prod(sizes, dtype=float) > _LARGEST
    ):
        return None
    if dtype == "str":
        return np.full(sizes, "text", object)
    return np.ones(sizes, dtype)


_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))

if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
