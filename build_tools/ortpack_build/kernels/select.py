"""Selects the kernels that serve an operator set, and writes the C source of the tables that register them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ortpack_build.ops.opset import ONNX, TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ortpack_build.kernels.index import KernelId
    from ortpack_build.ops.opset import Need, OpSet
    from ortpack_build.origin.source.tables import Table


def tables_source(tables: Sequence[Table], kernels: Iterable[KernelId]) -> str:
    """Write the C source that defines the array and the count of every table.

    Args:
        tables: of the kit.
        kernels: the ones to register, in the order in which they are.
    """
    chosen = list(dict.fromkeys(kernels))
    lines = ["#include <stddef.h>"]
    names: dict[str, str] = {}
    for index, kernel in enumerate(chosen):
        names[kernel.symbol] = f"k{index}"
        lines.append(f'extern void k{index}(void) __asm__("{kernel.symbol}");')
    for table in tables:
        entries = [names[kernel.symbol] for kernel in chosen if kernel.table == table.id]
        # An array of no elements is not C; the null pointer is beyond the count.
        lines.append(f"void (*const {table.symbol}[])(void) = {{{', '.join(entries or ['0'])}}};")
        lines.append(f"const size_t {table.symbol}_count = {len(entries)};")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The kernels that serve an operator set, and what of it none serves."""

    kernels: tuple[KernelId, ...]  # in the kit's order
    missing: tuple[Need, ...]  # sorted


def select(kernels: Sequence[KernelId], ops: OpSet) -> Selection:
    """Select the kernels of a kit that are needed, and no others.

    A kernel serves a need when domain, operator and opset are right and, if both the kernel's name and the operator
    set say something of types, they have one in common. Where types would leave a need without any kernel they are
    not looked at: some names tell less than the kernel can do.
    """
    if ops.everything:
        kept = [kernel for kernel in kernels if _allowed(kernel, ops)]
        return Selection(kernels=tuple(kept), missing=())
    by_operator: dict[tuple[str, str], list[KernelId]] = defaultdict(list)
    for kernel in kernels:
        by_operator[kernel.domain or ONNX, kernel.op].append(kernel)
    chosen: set[KernelId] = set()
    missing: list[Need] = []
    for need in sorted(ops.needs):
        serving = [kernel for kernel in by_operator[need.domain, need.name] if kernel.serves(need.opset)]
        if not serving:
            missing.append(need)
        chosen.update([kernel for kernel in serving if _typed(kernel, need, ops)] or serving)
    return Selection(kernels=tuple(kernel for kernel in kernels if kernel in chosen), missing=tuple(missing))


def _typed(kernel: KernelId, need: Need, ops: OpSet) -> bool:
    """Tell whether a kernel serves types that the operator is used with."""
    types = ops.types_of(need.operator)
    names = _types(kernel)
    if not names or not _allowed(kernel, ops):
        return not names
    if types.custom and len(names) == len(next(iter(types.custom))):
        return names in types.custom
    used = frozenset[str]().union(*(found for _, found in (*types.inputs, *types.outputs)))
    return not used or not used.isdisjoint(names)


def _allowed(kernel: KernelId, ops: OpSet) -> bool:
    names = _types(kernel)
    return ops.allowed is None or not names or not ops.allowed.isdisjoint(names)


def _types(kernel: KernelId) -> tuple[str, ...]:
    """Return the types in the kernel's name as configs name them; none if a config can't name them all."""
    names = tuple(_SPELLED.get(name, name) for name in kernel.types)
    return names if set(names) <= set(TYPES) else ()


_SPELLED = {"string": "std::string"} | {f"{u}int{n}": f"{u}int{n}_t" for u in ("", "u") for n in (8, 16, 32, 64)}


def described(kernel: KernelId) -> str:
    """Describe a kernel for readers: `ai.onnx;11-21;Conv`, `ai.onnx;13;Abs<float>` for one of the newest version."""
    until = f"-{kernel.until}" if kernel.until is not None else ""
    types = f"<{','.join(kernel.types)}>" if kernel.types else ""
    return f"{kernel.domain or ONNX};{kernel.since}{until};{kernel.op}{types}"
