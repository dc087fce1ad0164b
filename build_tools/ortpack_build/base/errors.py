"""The errors that ortpack-build raises on purpose.

Each class has the exit code of the command. The message says what is wrong in words for a person, `hint` what to do
next; the command line prints both as one paragraph and never a traceback.
"""

from __future__ import annotations

import difflib
import errno
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class BuildError(Exception):
    """Base of every error that is not a bug of ortpack-build."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def paragraph(self) -> str:
        """Join the message and the hint, as the command line prints them."""
        return f"{self} {self.hint}".strip()


class VerificationError(BuildError):
    """A wheel that does not hold what it promises."""

    exit_code = 1


class UsageError(BuildError):
    """A command line that asks for something that does not exist."""

    exit_code = 2


class ManifestError(BuildError):
    """A file of `variants/` with a mistake; the message names file and key path."""

    exit_code = 3


class FetchError(BuildError):
    """An artifact that could not be had: index unreachable, file gone, no pip."""

    exit_code = 4


class HashMismatchError(FetchError):
    """An artifact whose bytes are not the pinned ones."""


class StorageError(BuildError):
    """The cache or the output folder can't be written: full, read-only, in the way."""

    exit_code = 5


class ArchiveError(BuildError):
    """An archive that is damaged, unsafe to extract, or lacks a member."""

    exit_code = 6


class BinaryError(BuildError):
    """A native library that can't be read, or is not what its manifest says."""

    exit_code = 7


class SourceError(BuildError):
    """A source tree that is not what its pin or a stage expects."""

    exit_code = 9


class KitError(BuildError):
    """A kit that is damaged, or is for something else."""

    exit_code = 10


class ToolError(BuildError):
    """A program that is missing or failed."""

    exit_code = 8


class OpConfigError(BuildError):
    """An operator config with a mistake; the message names file, line and column."""

    exit_code = 11


class ModelError(BuildError):
    """A model that can't be read, or that ONNX Runtime refuses."""

    exit_code = 12


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Write a sentence that guesses the nearest name, if one is near, and lists the allowed ones."""
    names = list(allowed)
    close = difflib.get_close_matches(name.lower(), {n.lower(): n for n in names}, n=1, cutoff=0.5)
    guess = next((n for n in names if close and n.lower() == close[0]), None)
    listing = ", ".join(names) if names else "nothing"
    return (f"Did you mean {guess}? " if guess else "") + f"Allowed: {listing}."


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


def storage_error(what: str, path: Path, cause: OSError) -> StorageError:
    """Turn an `OSError` met while writing `what` at `path` into an error that says what to do."""
    if cause.errno in _FULL:
        return StorageError(
            f"The disk is full (or a size limit is reached): {what} could not be written to {path}.",
            hint="Nothing half-written was kept; make room, or name another folder, and run the same command again.",
        )
    if cause.errno in _READ_ONLY:
        return StorageError(
            f"{what} can't be written to {path}: {cause.strerror}.",
            hint="Name a folder that you may write to (--cache, --out).",
        )
    return StorageError(
        f"{what} can't be written to {path}: {cause.strerror or cause}.", hint="Name another folder (--cache, --out)."
    )
