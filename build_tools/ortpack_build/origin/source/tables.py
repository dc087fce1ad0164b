"""Turns ORT's kernel tables from static arrays into arrays that are chosen at link time.

Upstream registers kernels from function-local tables of pointers. `externalise` rewrites a source file so that each
table becomes two arrays with C linkage:

    ortpack_all_<id>        every kernel that was compiled, as the preprocessor left it; nothing refers to it, so it is
                            only read (its relocations are the index of the kit) and falls away at link time
    ortpack_kernels_<id>    the kernels to register, with ortpack_kernels_<id>_count beside it; defined at link time
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ortpack_build.base.errors import SourceError

_TABLE = "function_table"
_START = re.compile(
    r"^Status (?P<function>Register\w+)\(KernelRegistry& kernel_registry\) \{\n"
    rf"  static const BuildKernelCreateInfoFn {_TABLE}\[\] = \{{\n",
    re.MULTILINE,
)
_END = re.compile(r"^  \};\n", re.MULTILINE)
_LOOP = f"  for (auto& {_TABLE}_entry : {_TABLE}) {{\n"
_ENTRY = re.compile(
    r"BuildKernelCreateInfo\s*<\s*(?:(?P<void>void)|"
    r"(?P<macro>ONNX_OPERATOR_(?:VERSIONED_)?(?:TYPED_|TWO_TYPED_)?KERNEL_CLASS_NAME)\s*"
    r"\(\s*(?P<arguments>\w+(?:\s*,\s*\w+)*)\s*\))\s*>\s*,"
)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_IF = re.compile(r"^\s*#\s*if", re.MULTILINE)
_ENDIF = re.compile(r"^\s*#\s*endif", re.MULTILINE)
_DIRECTIVE = re.compile(r"^\s*#[^\n]*(?:\\\n[^\n]*)*$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table as the source has it.

    Attributes:
        id: suffix of its symbols, unique in a kit.
        entries: registrations outside of any `#if`: all of them are in the objects.
        conditional: registrations inside of an `#if`: any number of them is.
        optional: whether the whole table is inside of an `#if`.
    """

    id: str
    entries: int
    conditional: int
    optional: bool

    @property
    def all_symbol(self) -> str:
        return f"ortpack_all_{self.id}"

    @property
    def symbol(self) -> str:
        return f"ortpack_kernels_{self.id}"


def externalise(text: str, *, prefix: str, where: str) -> tuple[str, tuple[Table, ...]]:
    """Rewrites the tables of one source file.

    Args:
        text: the file as upstream released it.
        prefix: goes in front of each table's function name, to tell tables of two files apart.
        where: the file's name, for messages.

    Raises:
        SourceError: if the file holds no table, or one that does not look as expected.
    """
    tables: list[Table] = []
    out: list[str] = []
    position = 0
    for start in _START.finditer(text):
        name = f"{prefix}_{start['function']}"
        end = _END.search(text, start.end())
        if end is None or start.end() < position:
            raise SourceError(f"{where}: the table in {start['function']} has no end")
        body = text[start.end() : end.start()]
        before = text[: start.start()]
        optional = len(_IF.findall(before)) > len(_ENDIF.findall(before))
        table = _read(body, id_=name, optional=optional, where=f"{where}: {start['function']}")
        function_end = text.find("\n}\n", end.end())
        loop = text.find(_LOOP, end.end(), function_end)
        if loop < 0:
            raise SourceError(f"{where}: {start['function']} does not walk its table as expected")
        out += [text[position : start.start()], _arrays(table, body)]
        out.append(f"Status {start['function']}(KernelRegistry& kernel_registry) {{\n")
        out.append(text[end.end() : loop])
        out.append(
            f"  for (size_t ortpack_i = 0; ortpack_i < {table.symbol}_count; ++ortpack_i) {{\n"
            f"    const auto {_TABLE}_entry = {table.symbol}[ortpack_i];\n"
        )
        position = loop + len(_LOOP)
        tables.append(table)
    out.append(text[position:])
    result = "".join(out)
    if not tables:
        raise SourceError(f"{where}: no kernel table found")
    if re.search(rf"\b{_TABLE}\b", result):
        raise SourceError(f"{where}: a kernel table is used in a way that is not understood")
    if len({table.id for table in tables}) != len(tables):
        raise SourceError(f"{where}: two tables have the same name")
    return result, tuple(tables)


def _arrays(table: Table, body: str) -> str:
    return (
        'extern "C" {\n'
        f"extern const BuildKernelCreateInfoFn {table.all_symbol}[];\n"
        f"const BuildKernelCreateInfoFn {table.all_symbol}[] = {{\n{body}}};\n"
        f"extern const BuildKernelCreateInfoFn {table.symbol}[];\n"
        f"extern const size_t {table.symbol}_count;\n"
        "}\n\n"
    )


def _read(body: str, *, id_: str, optional: bool, where: str) -> Table:
    """Counts a table's registrations; what is neither registration, comment nor directive is an error."""
    depth = 0
    counts = [0, 0]
    code = _COMMENT.sub("", body)
    position = 0
    seen_void = False
    for directive in (*_DIRECTIVE.finditer(code), None):
        piece = code[position : directive.start() if directive else len(code)]
        rest = _ENTRY.sub("", piece).strip()
        if rest:
            raise SourceError(f"{where}: not understood in the kernel table: {rest.splitlines()[0].strip()[:120]!r}")
        for entry in _ENTRY.finditer(piece):
            seen_void |= entry["void"] is not None
            counts[depth > 0] += 1
        if directive is None:
            break
        word = directive[0].strip().lstrip("#").split(maxsplit=1)[0]
        if word.startswith("if"):
            depth += 1
        elif word == "endif":
            depth -= 1
        elif word not in {"else", "elif"}:
            raise SourceError(f"{where}: not understood in the kernel table: {directive[0].strip()!r}")
        position = directive.end()
    if depth != 0:
        raise SourceError(f"{where}: an #if of the kernel table has no #endif")
    if not seen_void:
        raise SourceError(f"{where}: the kernel table lacks its <void> entry")
    return Table(id=id_, entries=counts[0], conditional=counts[1], optional=optional)
