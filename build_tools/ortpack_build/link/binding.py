"""The one recipe that compiles the binding: for the loader's own wheel, and for modules with ONNX Runtime in them.

(The loader's build from source, CMakeLists.txt, is the other way to a module: for the machine itself, with its compiler
and with nanobind's code in a package of its own.)
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ortpack_build.link.linker import run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ortpack_build.link.binding_sources import Binding
    from ortpack_build.toolchain import Workplace

_MODULE = "_binding"
MODULE_FILE = f"{_MODULE}.abi3.so"
INIT = f"PyInit_{_MODULE}"  # the one symbol that a module exports


@dataclass(frozen=True, kw_only=True)
class BindingJob:
    """The binding as it is compiled for one package on one target.

    Attributes:
        binding: its sources and what they include, in the folder of the workplace.
        package: dotted name of the Python package that the module is for.
        flags: the target's, for C and C++.
        ort: folder with ONNX Runtime's C header.
        linked: whether ONNX Runtime is linked in; it is loaded at run time otherwise.
    """

    binding: Binding
    package: str
    flags: Sequence[str]
    ort: Path
    linked: bool

    @property
    def arguments(self) -> list[str]:
        """The compiler's arguments for every file."""
        words = [*self.flags, *self.binding.flags, *(["-DORTPACK_STATIC_ORT=1"] if self.linked else [])]
        words += [f'-DORTPACK_PACKAGE="{self.package}"', f"-DNB_DOMAIN={self.package}"]
        words += [f"-D{name}" for name in self.binding.define]
        return words + [word for path in (*self.binding.include, self.ort) for word in ("-isystem", str(path))]

    def compile(self, place: Workplace, into: Path) -> list[Path]:
        """The objects, left in the folder `into`; nanobind's first, which take longest.

        Raises:
            ToolError: the compiler failed.
        """
        binding, common = self.binding, self.arguments

        def compile_one(source: Path) -> Path:
            target = into / object_name(source)
            level = "-O2" if source.name in binding.fast else "-Os"
            own = ["-DNB_BUILD"] if source in binding.nanobind else []
            command = [str(place.compilers.cxx), "-c", level, *common, *own, str(source), "-o", str(target)]
            run(command, place.environ, f"Compiling {source.name}")
            return target

        with ThreadPoolExecutor(place.jobs) as pool:
            return list(pool.map(compile_one, sorted(binding.sources, key=lambda file: file not in binding.nanobind)))


def object_name(source: Path) -> str:
    """The file that a source becomes."""
    return f"{source.stem}.o"


def module_flags(flags: Sequence[str], work: Path) -> tuple[str, ...]:
    """The linker's flags for a module: those for libraries, but that Python's functions come from the interpreter.

    Args:
        flags: for libraries of the target.
        work: an existing folder, for the list of exports.
    """
    script = work / "exports.lds"
    script.write_text(f"{{ global: {INIT}; local: *; }};\n", encoding="utf-8")
    return (*(flag for flag in flags if flag != "--no-undefined"), "--version-script", str(script))
