"""Makes the extras of the loader (`pip install ortpack[cuda]`): each is a variant's wheel and what that needs from pip.

They are a function of the manifests, and live between two comments of the loader's pyproject.toml.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from ortpack_build.base.errors import UsageError
from ortpack_build.catalog.spec import distribution, releases

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ortpack_build.catalog.model import Catalog, Target, Variant

_BEGIN = "# --- extras: written by `ortpack-build extras --write` ---"
_END = "# --- end of the extras ---"


def extras(catalog: Catalog) -> dict[str, list[str]]:
    """Make the requirements (PEP 508) of each extra; where a variant is not made, it installs the fallback."""
    own = sorted(name for name, variant in catalog.variants.items() if variant.part is None)
    return {name: _extra(catalog, catalog.variants[name]) for name in own}


def _extra(catalog: Catalog, variant: Variant) -> list[str]:
    made = _of(catalog, variant)
    python = "" if variant.requires_python == "3.10" else f"python_version >= '{variant.requires_python}'"
    own = f"{distribution(variant.name)}{_marker(_any(made), python)}"
    if variant.name == catalog.fallback:
        return [distribution(variant.name)]
    found = []
    if variant.extends is not None:
        found.append(f"ortpack[{variant.extends.variant}]")
    elif variant.kind == "plugin":
        found.append(distribution(catalog.fallback))  # a plugin needs a runtime
    else:
        others = [target for target in _of(catalog, catalog.variants[catalog.fallback]) if target not in made]
        if others:
            found.append(f"{distribution(catalog.fallback)}{_marker(_any(others))}")
    found.append(own)
    for name in variant.packages:
        package = catalog.packages[name]
        found.append(f"{package.requirement}{_marker(_any([t for t in made if t.os in package.libraries]))}")
    return found


def _of(catalog: Catalog, variant: Variant) -> list[Target]:
    """List the targets of a variant that an environment marker tells apart from others."""
    return [t for t in catalog.targets.values() if t.marker and releases(catalog, variant, t.name)]


def _any(targets: Sequence[Target]) -> str:
    """Join the markers of targets into one that holds on each of them."""
    markers = [target.marker or "" for target in targets]
    return markers[0] if len(markers) == 1 else " or ".join(f"({marker})" for marker in markers)


def _marker(*parts: str) -> str:
    wanted = [part for part in parts if part]
    if len(wanted) > 1:
        wanted = [f"({part})" for part in wanted]
    return f" ; {' and '.join(wanted)}" if wanted else ""


def replaced(pyproject: str, wanted: Mapping[str, Sequence[str]]) -> str:
    """Put the extras between the two comments of a pyproject.toml.

    Raises:
        UsageError: the comments are missing.
    """
    lines = []
    for name, requirements in wanted.items():
        lines += [f"{name} = [", *(f"    {json.dumps(text)}," for text in requirements), "]"]
    block = "\n".join([_BEGIN, *lines, _END])
    text, count = re.subn(f"{re.escape(_BEGIN)}.*?{re.escape(_END)}", lambda _: block, pyproject, flags=re.DOTALL)
    if count != 1:
        raise UsageError(
            f"There is not one place for the extras, but {count}.", hint=f"It begins with the line `{_BEGIN}`."
        )
    return text
