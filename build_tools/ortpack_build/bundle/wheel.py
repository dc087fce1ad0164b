"""Packs a bundle into a wheel, with the same bytes on every run and in every folder."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from ortpack_build import __version__
from ortpack_build.base.errors import UsageError, storage_error
from ortpack_build.bundle.assemble import place
from ortpack_build.bundle.sbom import sbom
from ortpack_build.bundle.zip_file import Entry, write_zip
from ortpack_build.link import binding_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ortpack_build.bundle.assemble import Bundle
    from ortpack_build.bundle.deflate import Deflated
    from ortpack_build.catalog.spec import Spec

_BUILD_NUMBER = re.compile(r"\d[A-Za-z0-9_.]*")


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel on disk."""

    path: Path
    size: int  # bytes
    tag: str  # py3-none-<platform>, or cp<N>-abi3-<platform>


def file_name(spec: Spec, build_number: str | None = None) -> str:
    """Name the wheel's file.

    Raises:
        UsageError: the build number is not one (it starts with a digit).
    """
    if build_number is not None and not _BUILD_NUMBER.fullmatch(build_number):
        raise UsageError(f"{build_number!r} is no build number.", hint="It starts with a digit, e.g. 1 or 2.fix.")
    build = f"-{build_number}" if build_number is not None else ""
    return f"{_escaped(spec)}{build}-{_tag(spec)}.whl"


def _tag(spec: Spec) -> str:
    """Write the wheel's tag: a runtime serves any Python, an extension module the stable ABI that it was built for."""
    return f"{_stable_abi()}-{spec.tag}" if spec.package else f"py3-none-{spec.tag}"


def _stable_abi() -> str:
    return f"cp{binding_sources.load().python.replace('.', '')}-abi3"


def write(
    bundle: Bundle, out: Path, *, deflate: Callable[[bytes], Deflated], epoch: int, build_number: str | None = None
) -> Wheel:
    """Write the wheel into the folder `out`, in one step, over an older one of its name.

    Args:
        bundle: what goes in.
        out: made if it isn't there.
        deflate: compresses one file.
        epoch: the time of every entry, seconds since 1970, UTC.
        build_number: of the packaging, when one release is packed again.

    Raises:
        StorageError: `out` can't be written.
        UsageError: the build number is not one.
    """
    path = out / file_name(bundle.spec, build_number)
    size = pack(_contents(bundle, build_number), path, deflate=deflate, epoch=epoch)
    return Wheel(path=path, size=size, tag=_tag(bundle.spec))


def pack(files: Mapping[str, bytes], path: Path, *, deflate: Callable[[bytes], Deflated], epoch: int) -> int:
    """Write the files, in their order, as a wheel, in one step; return its size in bytes.

    Raises:
        StorageError: its folder can't be written.
    """
    entries = [Entry(name=name, content=deflate(data)) for name, data in files.items()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                write_zip(stream, entries, epoch=epoch)
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise storage_error("The wheel", path, error) from error
    return path.stat().st_size


def _escaped(spec: Spec) -> str:
    return f"{escaped_name(spec.distribution)}-{spec.version}"


def escaped_name(distribution: str) -> str:
    """Normalize a distribution's name as file names of wheels have it."""
    return canonicalize_name(distribution).replace("-", "_")


def _contents(bundle: Bundle, build_number: str | None) -> dict[str, bytes]:
    """Collect every file by name, sorted, with RECORD last."""
    spec = bundle.spec
    info = f"{_escaped(spec)}.dist-info"
    folder = place(spec)
    files = {f"{folder}/{file.name}": file.read_bytes() for file in bundle.folder.iterdir()}
    files |= {name: file.read_bytes() for name, file in bundle.elsewhere.items()}
    files |= {f"{info}/licenses/{name}": file.read_bytes() for name, file in bundle.licenses.items()}
    files[f"{info}/sboms/{spec.distribution}.cdx.json"] = sbom(bundle, spec.distribution)
    files[f"{info}/METADATA"] = _metadata(bundle).encode()
    files[f"{info}/WHEEL"] = _wheel(spec, build_number).encode()
    return with_record(files, info)


def with_record(files: Mapping[str, bytes], info: str) -> dict[str, bytes]:
    """Order the files of a wheel and add the RECORD of the dist-info folder `info` at the end."""
    # dist-info belongs at the end of the file, where readers look for it (PEP 427).
    ordered = dict(sorted(files.items(), key=lambda item: (item[0].startswith(info), item[0])))
    record = "".join(f"{name},sha256={_record_hash(data)},{len(data)}\n" for name, data in ordered.items())
    return {**ordered, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _wheel(spec: Spec, build_number: str | None) -> str:
    lines = [
        "Wheel-Version: 1.0",
        f"Generator: ortpack-build {__version__}",
        "Root-Is-Purelib: false",
        f"Tag: {_tag(spec)}",
    ]
    if build_number is not None:
        lines.append(f"Build: {build_number}")
    return "\n".join(lines) + "\n"


def _metadata(bundle: Bundle) -> str:
    spec = bundle.spec
    python, depends = spec.requires_python, spec.depends
    purpose, description = "a runtime for the ortpack loader", _DESCRIPTION
    if spec.package:
        data = binding_sources.load()
        python, depends = data.python, (f"numpy>={data.numpy}",)
        purpose, description = f"the Python package {spec.package}", _EMBEDDED
    headers = [
        "Metadata-Version: 2.4",
        f"Name: {spec.distribution}",
        f"Version: {spec.version}",
        f"Summary: {spec.summary}, as {purpose}",
        f"License-Expression: {spec.license}",
        *(f"License-File: {name}" for name in sorted(bundle.licenses)),
        "Keywords: onnx,onnxruntime,inference",
        f"Requires-Python: >={python}",
        *(f"Requires-Dist: {requirement}" for requirement in depends),
        "Project-URL: ONNX Runtime, https://github.com/microsoft/onnxruntime",
        "Description-Content-Type: text/markdown",
    ]
    if spec.minimal is not None and not spec.package:
        description += _MINIMAL
    description = description.format(
        spec=spec, name=spec.distribution, origin=spec.source.sentence, what=_WHAT[spec.kind].format(spec=spec)
    )
    return "\n".join(headers) + "\n\n" + description


_WHAT = {
    "runtime": "the native library of ONNX Runtime {spec.version} for {spec.target}, without a Python module",
    "extension": "what it takes besides the runtime that this wheel depends on, for {spec.target}",
    "plugin": "what the loader has to know of the vendor's plugin that this wheel depends on, for {spec.target}",
}

_DESCRIPTION = """\
# {name}

{spec.summary}: {what}.
The `ortpack` package loads it, beside any number of other runtimes:

    pip install ortpack {name}

{origin}; `runtime.json` and the bill of materials in this wheel have its SHA-256.
"""

_EMBEDDED = """\
# {name}

{spec.summary}: ONNX Runtime {spec.version} for {spec.target} and a Python API in one extension module. Names are
those of `onnxruntime`:

    import {spec.package} as onnxruntime

{origin}; `runtime.json` and the bill of materials in this wheel have its SHA-256.
"""

_MINIMAL = """
It holds the operators of some models only, so it is never taken automatically; name it:

    ortpack.InferenceSession(model, runtime="{spec.name}")
"""
