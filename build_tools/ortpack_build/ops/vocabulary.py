"""The operators that ONNX Runtime knows, to tell a wrong name from a right one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from ortpack_build.catalog import manifests

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class OperatorsFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """ops/operators.toml"""

    schema: Literal[1]
    ort: manifests.Release
    operators: dict[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The names of operators, by domain.

    Attributes:
        operators: domain → its operators.
        custom: domains whose operators a library of the user's brings; any name is right there.
        any_custom: every domain that `operators` lacks is such a one.
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
    path = manifests.shipped_folder() / "ops" / "operators.toml"
    found = manifests.read(path, OperatorsFile).operators
    return {domain: frozenset(names) for domain, names in found.items()}


def shipped(*, custom: Iterable[str] = (), any_custom: bool = False) -> Vocabulary:
    """All operators of the newest release that was looked at."""
    return Vocabulary(operators=_shipped(), custom=frozenset(custom), any_custom=any_custom)
