"""Reads models of either format, ONNX or ORT; the first bytes tell which."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ortpack_build.base.errors import ModelError
from ortpack_build.ops import onnx_model, ort_model, usage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ortpack_build.ops.opset import OpSet
    from ortpack_build.ops.usage import Use

Format = Literal["onnx", "ort"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model as its file has it.

    Attributes:
        version: of the format: ORT's, or ONNX's IR version.
        opsets: domain → version that the model imports; empty for ORT's format, whose nodes say it themselves.
        uses: its nodes, and what optimizations that an ORT-format model carries may put in.
    """

    path: Path
    format: Format
    version: str
    uses: tuple[Use, ...]
    opsets: Mapping[str, int] = field(default_factory=dict)

    @property
    def ops(self) -> OpSet:
        """The operators of the model as it is written; optimizers may put in others."""
        return usage.opset(self.uses)


def format_of(path: Path) -> Format:
    """Tell a model's format by its first bytes.

    Raises:
        ModelError: it can't be read, or is empty.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise ModelError(f"{path} can't be read: {error.strerror}.", hint="A model file is expected.") from error
    if not head:
        raise ModelError(f"{path} is empty.")
    return "ort" if ort_model.is_ort_model(head) else "onnx"


def read(path: Path, *, types: bool = True) -> Model:
    """Read a model.

    Args:
        path: its file.
        types: whether to infer the types of an ONNX model's values, in a process; ORT-format models state them.

    Raises:
        ModelError: unreadable, damaged, or of a version that is not known.
        ToolError: it is an ONNX model, and the `onnx` package is not installed.
    """
    if format_of(path) == "ort":
        found = ort_model.read(path.read_bytes(), where=str(path))
        return Model(path=path, format="ort", version=found.version, uses=found.uses + found.produced)
    model = onnx_model.read(path, types=types)
    return Model(path=path, format="onnx", version=str(model.ir_version), uses=model.uses, opsets=model.opsets)
