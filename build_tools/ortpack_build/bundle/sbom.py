"""Writes the bill of materials of a wheel (CycloneDX, PEP 770)."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from msgspec import UnsetType
from packageurl import PackageURL

if TYPE_CHECKING:
    from ortpack_build.bundle.assemble import Bundle
    from ortpack_build.bundle.runtime_json import File, RuntimeJson


def sbom(bundle: Bundle, distribution: str) -> bytes:
    """Write CycloneDX JSON: our distribution, the artifact that it is made of, and every native file, with hashes.

    It has no time and its serial number is derived from the spec, so equal bundles have equal bytes.
    """
    spec = bundle.spec
    license_ = LicenseExpression(spec.license)
    origin = spec.source.upstream
    purl = (
        PackageURL("pypi", None, origin.name, spec.version, {"file_name": origin.file})
        if origin.purl_type == "pypi"
        else PackageURL("github", "microsoft", origin.name, f"v{spec.version}")
    )
    files = [
        Component(name=name, type=ComponentType.FILE, bom_ref=name, hashes=[_sha256(file.sha256)])
        for name, file in _files(bundle.runtime).items()
    ]
    upstream = Component(
        name=origin.name,
        version=spec.version,
        type=ComponentType.LIBRARY,
        bom_ref="upstream",
        purl=purl,
        licenses=[license_],
        hashes=[_sha256(origin.sha256)],
    )
    root = Component(
        name=distribution,
        version=spec.version,
        type=ComponentType.LIBRARY,
        bom_ref="root",
        purl=PackageURL("pypi", None, distribution, spec.version),
        licenses=[license_],
        properties=[
            Property(name="ortpack:spec", value=bundle.runtime.provenance["spec"]),
            Property(name="ortpack:target", value=spec.target),
        ],
    )
    bom = Bom(components=[upstream, *files], serial_number=uuid.uuid5(uuid.NAMESPACE_OID, spec.digest))
    bom.metadata.component = root
    bom.register_dependency(root, [upstream, *files])
    data = json.loads(JsonV1Dot6(bom).output_as_string())
    del data["metadata"]["timestamp"]
    return json.dumps(data, indent=2, sort_keys=True).encode() + b"\n"


def _files(runtime: RuntimeJson) -> dict[str, File]:
    return runtime.files if isinstance(runtime.extends, UnsetType) else {**runtime.files, **runtime.extends.files}


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)
