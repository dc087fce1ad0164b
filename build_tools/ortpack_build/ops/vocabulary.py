"""The names of all operators of ONNX Runtime, which tell a misspelt operator from a real one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from ortpack_build.base.data_file import Model, Release, read, shipped_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class OperatorsFile(Model, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """ops/operators.toml: the operators that ONNX Runtime knows, to tell a wrong name from a right one."""

    schema: Literal[1]
    ort: Annotated[Release, Meta(description="The release whose operators these are")]
    operators: Annotated[dict[str, tuple[str, ...]], Meta(description="Domain → names")]


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The names of operators, by domain.

    Attributes:
        operators: domain → its operators.
        custom: domains whose operators a library of the user's brings; any name is right there.
        any_custom: whether every other domain counts as custom, because the user names a library.
    """

    operators: Mapping[str, frozenset[str]]
    custom: frozenset[str] = frozenset()
    any_custom: bool = False

    def has_domain(self, domain: str) -> bool:
        return self.any_custom or domain in self.operators or domain in self.custom

    def has_operator(self, domain: str, name: str) -> bool:
        return domain not in self.operators or name in self.operators[domain]

    def builtin(self, domain: str) -> bool:
        """Whether the operators of this domain come with ONNX Runtime."""
        return domain in self.operators


@cache
def _shipped() -> Mapping[str, frozenset[str]]:
    path = shipped_folder() / "ops" / "operators.toml"
    found = read(path, OperatorsFile).operators
    return {domain: frozenset(names) for domain, names in found.items()}


def shipped(*, custom: Iterable[str] = (), any_custom: bool = False) -> Vocabulary:
    """Return the operators of operators.toml, with the user's own domains."""
    return Vocabulary(operators=_shipped(), custom=frozenset(custom), any_custom=any_custom)
