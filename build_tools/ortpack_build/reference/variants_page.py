"""Makes docs/variants.md of the manifests: what every variant is, where it works and what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ortpack_build.catalog.spec import distribution, releases, resolve

if TYPE_CHECKING:
    from ortpack_build.catalog.model import Catalog, Variant

_HEAD = """\
<!-- Written by `ortpack-build docs variants --write`; change the manifests in variants/ instead. -->
# Variants

Each is a distribution of its own, and any number of them can be installed side by side: see
[resolution](resolution.md) for how one is taken. `pip install "ortpack[<extra>]"` installs the loader, the variant and
the vendor's wheels that it needs; on a machine that a variant is not made for, its extra installs `{distribution}`.

- a **runtime** brings its own ONNX Runtime;
- an **extension** adds providers to the runtime of another variant, of the same release, which it depends on;
- a **plugin** is a provider library in its vendor's wheel, which ours depends on and describes: it is registered with
  whatever runtime of a fitting release is there;
- a **part** is some of another variant's wheels, by a name to build them by; it has no extra, the other's has them.

Automatic mode takes the variant with the highest priority that works on the machine; one below that of
`{fallback}`, {priority}, is taken only when it is asked for.

No GPU was at hand where these were made: "tried" says what was really run.

"""


def page(catalog: Catalog) -> str:
    """Make the page's text."""
    fallback = catalog.variants[catalog.fallback]
    head = _HEAD.format(fallback=fallback.name, distribution=distribution(fallback.name), priority=fallback.priority)
    rows = ["| extra | what | kind | `device=` | priority | newest | made for |", "| --- " * 7 + "|"]
    order = sorted(catalog.variants.values(), key=lambda variant: (-variant.priority, variant.name))
    rows += [_row(catalog, variant) for variant in order]
    sections = [_section(catalog, variant) for variant in order]
    return head + "\n".join(rows) + "\n\n" + "\n".join(sections)


def _targets(catalog: Catalog, variant: Variant) -> list[str]:
    return [name for name in catalog.targets if releases(catalog, variant, name)]


def _row(catalog: Catalog, variant: Variant) -> str:
    targets = _targets(catalog, variant)
    newest = dict.fromkeys(releases(catalog, variant, target)[0] for target in targets)
    cells = (
        f"[`{variant.name}`](#{variant.name})",
        variant.summary,
        variant.kind,
        ", ".join(f"`{name}`" for name in variant.devices),
        str(variant.priority),
        ", ".join(newest),
        ", ".join(targets),
    )
    return f"| {' | '.join(cells)} |"


def _section(catalog: Catalog, variant: Variant) -> str:
    name = distribution(variant.part.variant if variant.part else variant.name)
    lines = [f"## {variant.name}", "", f"{variant.summary}. Distribution `{name}`.", ""]
    lines.append(f"- providers: {', '.join(f'`{name}`' for name in variant.providers)}")
    origin = catalog.origin(variant)
    if origin is not None:
        lines.append(f"- official distribution: `{origin.distribution}`")
    if variant.extends is not None:
        lines.append(f"- extends `{distribution(variant.extends.variant)}` of the same release")
    if variant.plugin is not None:
        lines.append(f"- ONNX Runtime: `{variant.plugin.ort_versions}`; registered as `{variant.plugin.registration}`")
    if variant.requires_python != "3.10":
        lines.append(f"- Python {variant.requires_python} or newer, as its vendor's wheel wants")
    for need in variant.needs:
        least = f" {need.at_least} or newer" if need.at_least else ""
        where = f" ({', '.join(need.os)})" if need.os else ""
        lines.append(f"- needs {need.fact}{least}{where}; if not: {need.mend}")
    if variant.packages:
        packages = ", ".join(f"`{catalog.packages[name].requirement}`" for name in variant.packages)
        lines.append(f"- its extra installs {packages}")
    if variant.part is not None:
        lines.append(f"- the wheels of `{variant.part.variant}` for {', '.join(variant.part.targets)}")
        for kernels in variant.part.kernels:
            lines.append(f"- {kernels.name}, where the processor has it ({', '.join(kernels.targets)}): {kernels.what}")
    for target in _targets(catalog, variant):
        resolved = resolve(catalog, variant.name, target)
        lines.append(f"- {target}: wheel tag `{resolved.tag}`, from `{getattr(resolved.source, 'file', '')}`")
    if variant.compile is not None:
        options = " ".join(f"`-D{option}`" for option in variant.compile.cmake)
        lines.append(f"- from source, with ONNX Runtime's own build: {options}; wants {variant.compile.wants}")
    if variant.tried:
        lines.append(f"- tried: {variant.tried}")
    return "\n".join(lines) + "\n"
