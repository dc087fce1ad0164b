"""Makes `src/ortpack/_served.py`, by which the loader advises what to install for a device of the machine.

The table is a function of the manifests (`serves`), as the extras are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortpack_build.catalog.spec import releases

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ortpack_build.catalog.model import Catalog, Need, ServedDevice, Variant

_WIDTH = 120
_HEAD = '''\
"""Which variants use a device that a machine may have, the first to advise first.

Written by `ortpack-build served --write`; change `serves` in the manifests of variants/ instead.
"""

from __future__ import annotations

from ortpack._value import Value


class Serving(Value):
    """A variant that uses a device."""

    extra: str  # of the loader, by which it is installed
    device: str  # name for `device=`
    platforms: tuple[tuple[str, str, str | None], ...]  # that it is made for: os, arch, libc
    needs: tuple[tuple[str, str, tuple[str, ...]], ...] = ()  # fact, oldest version, systems where it counts; none: all


'''


def module(catalog: Catalog) -> str:
    """Make the module's text, laid out as ruff would."""
    ranked: dict[ServedDevice, list[tuple[int, str]]] = {}
    for variant in catalog.variants.values():
        for device, place in variant.serves.items():
            ranked.setdefault(device, []).append((place, variant.name))
    lines = ["SERVED: dict[str, tuple[Serving, ...]] = {"]
    for device in sorted(ranked):
        lines.append(f"    {_text(device)}: (")
        for _place, name in sorted(ranked[device]):
            lines += _serving(catalog, catalog.variants[name])
        lines.append("    ),")
    return _HEAD + "\n".join([*lines, "}", ""])


def _serving(catalog: Catalog, variant: Variant) -> list[str]:
    made = [target for target in catalog.targets.values() if releases(catalog, variant, target.name)]
    platforms = [_tuple(_text(value) for value in (target.os, target.arch, target.libc)) for target in made]
    base = catalog.variants[variant.extends.variant].needs if variant.extends else ()
    needs = [_need(need) for need in (*base, *variant.needs) if need.at_least]
    lines = [f"extra={_text(variant.name)},", f"device={_text(next(iter(variant.devices)))},"]
    lines += _field("platforms", platforms)
    if needs:
        lines += _field("needs", needs)
    return ["        Serving(", *(f"            {line}" for line in lines), "        ),"]


def _need(need: Need) -> str:
    return _tuple((_text(need.fact), _text(need.at_least), _tuple(_text(os) for os in need.os)))


def _field(name: str, items: list[str]) -> list[str]:
    """Write an argument that is a tuple, on one line if it fits."""
    line = f"{name}={_tuple(items)},"
    if len(line) + 12 <= _WIDTH:
        return [line]
    return [f"{name}=(", *(f"    {item}," for item in items), "),"]


def _tuple(items: Iterable[str]) -> str:
    texts = list(items)
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


def _text(value: str | None) -> str:
    return "None" if value is None else f'"{value}"'
