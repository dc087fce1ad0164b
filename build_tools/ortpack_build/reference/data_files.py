"""Lists all data files of `variants/`, each with its model: every schema and reference page is made from the list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ortpack_build.base.errors import UsageError, nearest
from ortpack_build.catalog.model import (
    DefaultsFile,
    PackagesFile,
    PartFile,
    PoliciesFile,
    ProvidersFile,
    TargetsFile,
    Variant,
)
from ortpack_build.kit.settings import Kits
from ortpack_build.link.binding_sources import BindingFile
from ortpack_build.machines.emulation import Emulation
from ortpack_build.ops.rules import ClosureFile
from ortpack_build.ops.usage import TypesFile
from ortpack_build.ops.vocabulary import OperatorsFile
from ortpack_build.origin.source.manifest import ComponentsFile, ReleaseFile
from ortpack_build.sizes.model import Subsystems

if TYPE_CHECKING:
    from ortpack_build.base.data_file import Model


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """A kind of data file.

    Attributes:
        name: of its schema and its page.
        file: below `variants/`; a pattern where there are several.
        models: what it may hold.
        example: the file that the page's example is taken from, if `file` is a pattern.
        example_line: the line of it that the example begins with; a blank line ends it.
    """

    name: str
    file: str
    models: tuple[type[Model], ...]
    example: str = ""
    example_line: str

    @property
    def example_file(self) -> str:
        """The shipped file that the example is taken from."""
        return self.example or self.file


DATA_FILES = (
    DataFile(
        name="variant",
        file="*.toml",
        models=(Variant, PartFile),
        example="webgpu.toml",
        example_line="schema = 1",
    ),
    DataFile(name="targets", file="targets.toml", models=(TargetsFile,), example_line="[[targets]]"),
    DataFile(name="policies", file="policies.toml", models=(PoliciesFile,), example_line="[policies.symbols]"),
    DataFile(name="providers", file="providers.toml", models=(ProvidersFile,), example_line="providers = ["),
    DataFile(name="defaults", file="defaults.toml", models=(DefaultsFile,), example_line="schema = 1"),
    DataFile(name="packages", file="packages.toml", models=(PackagesFile,), example_line="[[packages]]"),
    DataFile(
        name="sources",
        file="sources/onnxruntime-*.toml",
        models=(ReleaseFile,),
        example="sources/onnxruntime-1.28.2.toml",
        example_line="[suppliers.upstream.archive]",
    ),
    DataFile(name="components", file="sources/components.toml", models=(ComponentsFile,), example_line="[[archives]]"),
    DataFile(name="kits", file="kits/kits.toml", models=(Kits,), example_line="[targets.linux-x86_64]"),
    DataFile(name="subsystems", file="kits/subsystems.toml", models=(Subsystems,), example_line="[[subsystems]]"),
    DataFile(name="binding", file="kits/binding.toml", models=(BindingFile,), example_line="[[headers]]"),
    DataFile(
        name="emulation",
        file="emulation/emulation.toml",
        models=(Emulation,),
        example_line="[roots.linux-x86_64]",
    ),
    DataFile(name="closure", file="ops/closure.toml", models=(ClosureFile,), example_line="[[rules]]"),
    DataFile(name="operators", file="ops/operators.toml", models=(OperatorsFile,), example_line="schema = 1"),
    DataFile(name="types", file="ops/types.toml", models=(TypesFile,), example_line="[[tracked]]"),
)


def data_file(name: str) -> DataFile:
    """Look up a kind of data file by its name.

    Raises:
        UsageError: there is none.
    """
    found = next((entry for entry in DATA_FILES if entry.name == name), None)
    if found is None:
        raise UsageError(
            f"There is no kind of data file called {name!r}.", hint=nearest(name, [entry.name for entry in DATA_FILES])
        )
    return found
