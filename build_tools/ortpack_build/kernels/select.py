"""The C source of the kernel tables: a few lines that say which kernels a library has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ortpack_build.kernels.index import KernelId
    from ortpack_build.kernels.tables import Table


def tables_source(tables: Sequence[Table], kernels: Iterable[KernelId]) -> str:
    """Defines the array and the count of every table.

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
