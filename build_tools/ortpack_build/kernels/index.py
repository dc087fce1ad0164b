"""Reads the kernels of a kit from its objects, not from the sources: so they are those that the compiler saw."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from ortpack_build.base.ar import read_archive
from ortpack_build.base.errors import BinaryError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ortpack_build.base.ar import Archive
    from ortpack_build.origin.source.tables import Table

# The constants of ORT's sources → the domains that they stand for.
DOMAINS = {
    "kOnnxDomain": "",
    "kMLDomain": "ai.onnx.ml",
    "kMSDomain": "com.microsoft",
    "kMSNchwcDomain": "com.microsoft.nchwc",
    "kMSInternalNHWCDomain": "com.ms.internal.nhwc",
    "kPytorchAtenDomain": "org.pytorch.aten",
}
_FUNCTION = re.compile(r"\d+BuildKernelCreateInfoI(?:NS\d?_|N\w*?)?(?P<length>\d+)(?=k[A-Z])")
_CLASS = re.compile(
    r"(?P<provider>k\w+?Provider)_(?P<op>\w+)_(?P<domain>k\w+?Domain)_ver(?P<since>\d+)(?:_(?P<until>\d+))?"
    r"(?:_(?P<types>[A-Za-z]\w*))?"
)
_TYPE = re.compile(
    r"(?:u?int(?:8|16|32|64)(?:_t)?|U?Int4x2|float|double|string|bool|MLFloat16|BFloat16|Float8E\w+?)(?=_|$)"
)
_VOID = "BuildKernelCreateInfoIvE"
_PREFIX = "ortpack_all_"


class KernelId(Struct, frozen=True, kw_only=True):
    """One kernel registration: an operator, the opsets and types it serves, and its symbol in the kit."""

    domain: str
    op: str
    since: int
    until: int | None  # last opset served; None while it is the newest
    types: tuple[str, ...]  # of the registration's name; () if it has none in it
    table: str
    symbol: str

    @property
    def operator_name(self) -> str:
        """The operator as tables for readers name it: `Conv`, `com.microsoft:FusedConv`."""
        return f"{self.domain}:{self.op}" if self.domain else self.op

    def serves(self, opset: int) -> bool:
        """Tell whether it implements the operator as of that opset."""
        return self.since <= opset and (self.until is None or opset <= self.until)


def parse_symbol(symbol: str, table: str) -> KernelId:
    """Return the registration that a mangled function name stands for.

    Raises:
        SourceError: the name is not of the known form.
    """
    found = _FUNCTION.search(symbol)
    name = symbol[found.end() : found.end() + int(found["length"])] if found else ""
    parts = _CLASS.fullmatch(name)
    if parts is None or parts["domain"] not in DOMAINS:
        raise SourceError(f"The kernel symbol {symbol} is of a form that is not understood.")
    return KernelId(
        domain=DOMAINS[parts["domain"]],
        op=parts["op"],
        since=int(parts["since"]),
        until=int(parts["until"]) if parts["until"] else None,
        types=_types(parts["types"] or ""),
        table=table,
        symbol=symbol,
    )


def _types(text: str) -> tuple[str, ...]:
    """Return the types in the name of a registration; a suffix that is no list of types is kept whole."""
    types: list[str] = []
    rest = text
    while rest:
        found = _TYPE.match(rest)
        if found is None:
            return (text,)
        types.append(found[0])
        rest = rest[found.end() + 1 :]
    return tuple(types)


def read_index(archives: Sequence[Path], tables: Iterable[Table]) -> tuple[KernelId, ...]:
    """Read every kernel that the objects register, and check them against the tables of the sources.

    Raises:
        SourceError: a table is missing or twice, its count is not that of the sources, or a kernel is not defined.
        BinaryError: an archive is damaged.
    """
    opened = [read_archive(path) for path in archives]
    found = _tables(opened)
    defined = frozenset[str]().union(*(archive.symbols for archive in opened))
    index: list[KernelId] = []
    for table in tables:
        symbols = found.pop(table.id, [])
        if not symbols and table.optional:
            continue
        if not table.entries <= len(symbols) <= table.entries + table.conditional:
            raise SourceError(
                f"The kernel table {table.id} has {len(symbols)} entries in the objects, but {table.entries} to "
                f"{table.entries + table.conditional} in the sources."
            )
        kernels = [symbol for symbol in symbols if _VOID not in symbol]
        if missing := [symbol for symbol in kernels if symbol not in defined]:
            raise SourceError(f"{len(missing)} kernels of {table.id} are not in the kit, {missing[0]} among them.")
        index += [parse_symbol(symbol, table.id) for symbol in kernels]
    if found:
        raise SourceError(f"The objects have kernel tables that the sources lack: {', '.join(found)}.")
    if not index:
        raise SourceError("The objects hold no kernel table.")
    return tuple(index)


def _tables(archives: Iterable[Archive]) -> dict[str, list[str]]:
    """Return table → the functions in it, in order, from the relocations of its section."""
    import lief  # noqa: PLC0415 - slow, and a kit that is made has its index

    found: dict[str, list[tuple[int, str]]] = {}
    for archive in archives:
        if not any(symbol.startswith(_PREFIX) for symbol in archive.symbols):
            continue
        for name, data in archive.members():
            if _PREFIX.encode() not in data:
                continue
            parsed = lief.ELF.parse(list(data))
            if parsed is None:
                raise BinaryError(f"{archive.path.name}: {name} can't be read.")
            for relocation in parsed.relocations:
                section, target = relocation.section, relocation.symbol
                _, has, table = _text(section.name if section else "").partition(_PREFIX)
                if has and target is not None:
                    found.setdefault(table, []).append((relocation.address, _text(target.name)))
    return {table: [name for _, name in sorted(entries)] for table, entries in found.items()}


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("utf-8", "replace")
