"""A reduced runtime's refusal of a model is explained here: why, and the command that mends it.

`runtime.json` and the model are read for it only after the refusal, so that sessions that work pay nothing.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ortpack._nodes import is_ort_format, operators
from ortpack.errors import MissingOperator, ModelFormatError, NotImplemented, OrtError  # noqa: A004 - official name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ortpack._installed import Runtime
    from ortpack._nodes import Operator

_VERSION = re.compile(r"ORT format model version \[(?P<version>[^\]]*)\] is not supported")
_NO_KERNEL = re.compile(r"(?:Could not find an implementation|Failed to find kernel) for (?P<name>[\w.:]*)")
_KERNEL = re.compile(r"(?P<domain>[^;]*);(?P<since>\d+)(?P<range>-(?P<until>\d+))?;(?P<name>\w+)")
_OWN_DOMAINS = re.compile(r"$|ai\.onnx\b|com\.microsoft\b|com\.ms\b|org\.pytorch\.aten$")  # ONNX Runtime's


def explained(error: OrtError, runtime: Runtime, model: str | bytes) -> OrtError:
    """Make an error that says what to do when a session could not be made; return `error` itself if that is not known.

    Args:
        error: what ONNX Runtime reported.
        runtime: the runtime that refused the model.
        model: the model's path or bytes.
    """
    try:
        said = json.loads((runtime.path / "runtime.json").read_text(encoding="utf-8"))
        data = model if isinstance(model, bytes) else Path(model).read_bytes()
    except (OSError, ValueError):  # a bare library has no `runtime.json`
        return error
    formats, minimal = said.get("model_formats", ()), said.get("minimal")
    if not is_ort_format(data):
        if "onnx" not in formats:
            return _other_format(data, said, model)
    elif found := _VERSION.search(str(error)):
        return ModelFormatError(
            f"could not load the model ({_name(model)}): it is an ORT-format model of version {found['version']}, "
            f"which the runtime {said['name']!r} with ONNX Runtime {said['ort_version']} does not read. "
            f"{_convert(said)}"
        )
    if minimal and isinstance(error, NotImplemented) and (found := _NO_KERNEL.search(str(error))):
        return _missing(error, found["name"], data, said, model)
    return error


def _other_format(data: bytes, said: dict[str, Any], model: str | bytes) -> OrtError:
    try:
        operators(data)
        what = "it is an ONNX model, and"
    except ValueError:
        what = "it is neither an ORT-format nor an ONNX model;"
    advice = _convert(said, model) if what.endswith("and") else ""
    return ModelFormatError(
        f"could not load the model ({_name(model)}): {what} the runtime {said['name']!r} loads the ORT format only. "
        f"{advice}".strip()
    )


def _missing(error: OrtError, name: str, data: bytes, said: dict[str, Any], model: str | bytes) -> OrtError:
    try:
        used = operators(data)
    except ValueError:
        used = ()
    lacking = tuple(sorted(set(_lacking(used, said["minimal"]["kernels"]))))
    if lacking:
        what = f"was built without {', '.join(map(str, lacking))}"
    else:  # the operators are there, but not for all the types that the model uses
        what = f"was built without {name or 'a kernel'} for the types that the model uses"
    advice = f"To add what it needs: {_command(said, model)}"
    if foreign := sorted({operator.domain for operator in lacking if not _OWN_DOMAINS.match(operator.domain)}):
        advice += (
            f" Operators of {', '.join(foreign)} are not ONNX Runtime's own: register the library that has them with "
            "SessionOptions.register_custom_ops_library, and give it to that command as --custom-ops."
        )
    return MissingOperator(
        f"could not load the model ({_name(model)}): the runtime {said['name']!r} {what}. {advice} "
        f"(ONNX Runtime: {str(error).partition('): ')[2] or error})",
        lacking,
    )


def _lacking(used: Iterable[Operator], kernels: Iterable[str]) -> Iterable[Operator]:
    """Yield the operators that no kernel serves.

    Args:
        used: the model's operators.
        kernels: the runtime's, as `runtime.json` lists them: `ai.onnx;13-18;Cast<…>`, `ai.onnx;13;Relu`.
    """
    ranges: dict[tuple[str, str], list[tuple[int, int | None]]] = {}
    for kernel in kernels:
        if found := _KERNEL.match(kernel):
            domain = "" if found["domain"] == "ai.onnx" else found["domain"]
            until = int(found["until"]) if found["range"] else None
            ranges.setdefault((domain, found["name"]), []).append((int(found["since"]), until))
    for operator in used:
        served = ranges.get((operator.domain, operator.name), ())
        if not any(since <= operator.opset and (until is None or operator.opset <= until) for since, until in served):
            yield operator


def _command(said: dict[str, Any], model: str | bytes) -> str:
    """Write the command that builds the runtime again, with this model added to its others."""
    minimal = said["minimal"]
    words = ["ortpack-build", "minimal", "--name", minimal["distribution"], "--ort", said["ort_version"]]
    words += ["--target", said["target"]]
    if flavour := said.get("provenance", {}).get("kit", {}).get("flavour"):
        words += ["--flavour", flavour]
    if said.get("linkage") == "static":
        words += ["--linkage", "static", "--embed", said["name"]]
    words += ["--model", "MODEL" if isinstance(model, bytes) else model]
    words += [word for entry in minimal["models"] for word in ("--model", entry["name"])]
    return shlex.join(words) + ", with what else it was made of."


def _convert(said: dict[str, Any], model: str | bytes = b"") -> str:
    name = model if isinstance(model, str) else "MODEL.onnx"
    words = ["ortpack-build", "convert", name, "--ort", said["ort_version"], "--target", said["target"], "--out", "DIR"]
    return f"Convert {'it' if model else 'the ONNX model anew'}: {shlex.join(words)}"


def _name(model: str | bytes) -> str:
    return f"{len(model)} bytes" if isinstance(model, bytes) else repr(model)
