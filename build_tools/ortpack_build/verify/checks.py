"""The table of checks: what must hold of a wheel, and the functions that say what does not.

`CHECKS` at the end is the table; docs/architecture.md shows it.
"""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec import UnsetType
from packaging.metadata import Metadata
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from ortpack_build.base import native_library
from ortpack_build.base.errors import BuildError
from ortpack_build.base.hashing import sha256
from ortpack_build.base.tags import version_key
from ortpack_build.bundle.requirements import source_of, stated
from ortpack_build.bundle.runtime_json import FOLDER, NAME, RuntimeJson
from ortpack_build.bundle.wheel import escaped_name
from ortpack_build.catalog.spec import distribution
from ortpack_build.verify.row import Row, Verdict, failed, skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ortpack_build.base.binary_facts import BinaryFacts
    from ortpack_build.catalog.spec import LibraryFile
    from ortpack_build.verify.wheel_reader import WheelReader


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check of the table.

    Attributes:
        name: as the report shows it.
        title: what must hold, in a sentence.
        find: the function that finds out what does not.
        needs: names of the checks that must have passed before.
    """

    name: str
    title: str
    find: Callable[[WheelReader], Finding]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found.

    Attributes:
        problems: what does not hold; the check passes if there is nothing.
        detail: what was looked at, for the report of a check that passes.
        informs: the wheel need not fulfil anything here: `detail` only tells facts.
    """

    problems: tuple[str, ...] = ()
    detail: str = ""
    informs: bool = False


def run_checks(wheel: WheelReader) -> list[Row]:
    """Make every check of the table, in its order; a check is skipped if one that it needs did not pass.

    Returns:
        A row for each.
    """
    rows: list[Row] = []
    held: set[str] = set()
    for item in CHECKS:
        if missing := [name for name in item.needs if name not in held]:
            rows.append(skipped(item.name, f"not checked: {missing[0]} failed"))
            continue
        try:
            finding = item.find(wheel)
        except BuildError as error:
            finding = Finding(problems=(error.paragraph(),))
        if finding.problems:
            rows.append(failed(item.name, "; ".join(finding.problems)))
            continue
        held.add(item.name)
        verdict = Verdict.INFO if finding.informs else Verdict.PASS
        rows.append(Row(check=item.name, verdict=verdict, detail=finding.detail))
    return rows


def _archive(wheel: WheelReader) -> Finding:
    return Finding(detail=f"{len(wheel.files)} files, {sum(map(len, wheel.files.values())) / 1e6:.1f} MB")


def _name(wheel: WheelReader) -> Finding:
    try:
        name, version, _, tags = parse_wheel_filename(wheel.path.name)
    except InvalidWheelFilename as error:
        return Finding(problems=(str(error),))
    problems = []
    if wheel.info != f"{name.replace('-', '_')}-{version}.dist-info":
        problems.append(f"{wheel.info} does not fit the file's name")
    metadata = wheel.headers("METADATA")
    if (canonicalize_name(metadata["Name"] or ""), metadata["Version"]) != (name, str(version)):
        problems.append(f"METADATA is of {metadata['Name']} {metadata['Version']}")
    about = wheel.headers("WHEEL")
    written = set(about.get_all("Tag", []))
    if written != {str(tag) for tag in tags}:
        problems.append(f"WHEEL has the tags {', '.join(sorted(written))}")
    if about["Root-Is-Purelib"] != "false":
        problems.append("WHEEL: Root-Is-Purelib is not false")
    return Finding(problems=tuple(problems), detail=f"{name} {version}, {', '.join(map(str, tags))}")


def _record(wheel: WheelReader) -> Finding:
    own = f"{wheel.info}/RECORD"
    problems = []
    try:
        lines = [line for line in csv.reader(io.StringIO(wheel.member(own).decode())) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        return Finding(problems=(f"RECORD can't be read: {error}",))
    listed = set()
    for line in lines:
        if len(line) != 3:
            problems.append(f"RECORD has a line with {len(line)} fields")
            continue
        name, digest, size = line
        if name in listed:
            problems.append(f"{name} is listed twice")
        listed.add(name)
        if name == own:
            continue
        if name not in wheel.files:
            problems.append(f"{name} is listed but not there")
        elif not _same_digest(digest, wheel.files[name]):
            problems.append(f"{name} has another hash than listed")
        elif size != str(len(wheel.files[name])):
            problems.append(f"{name} has another size than listed")
    problems += [f"{name} is not listed" for name in sorted(wheel.files.keys() - listed)]
    return Finding(problems=tuple(problems), detail=f"{len(listed)} files, all with their SHA-256")


def _same_digest(listed: str, data: bytes) -> bool:
    algorithm, _, value = listed.partition("=")
    try:
        raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        return False
    return algorithm == "sha256" and raw == hashlib.sha256(data).digest()


def _contents(wheel: WheelReader) -> Finding:
    allowed = (f"{wheel.folder}/", f"{wheel.info}/")
    extends = wheel.runtime.extends
    added = () if isinstance(extends, UnsetType) else (f"{FOLDER}/{extends.runtime}/{name}" for name in extends.files)
    strangers = [name for name in wheel.files.keys() - set(added) if not name.startswith(allowed)]
    return Finding(
        problems=tuple(f"{name} is neither of the runtime nor of dist-info" for name in sorted(strangers)),
        detail=f"{wheel.folder}/ and {wheel.info}/",
    )


def _metadata(wheel: WheelReader) -> Finding:
    data = wheel.member(f"{wheel.info}/METADATA")
    try:
        metadata = Metadata.from_email(data, validate=True)
    except ExceptionGroup as group:
        return Finding(problems=tuple(str(error) for error in group.exceptions))
    problems = []
    native = any(not name.endswith((".json", ".py")) for name in wheel.files if not name.startswith(wheel.info))
    if metadata.metadata_version < "2.4" or not metadata.license_expression or (native and not metadata.license_files):
        problems.append("Metadata-Version 2.4 with License-Expression and License-File is expected")
    problems += [
        f"licenses/{name} is missing"
        for name in metadata.license_files or []
        if f"{wheel.info}/licenses/{name}" not in wheel.files
    ]
    return Finding(
        problems=tuple(problems),
        detail=f"{metadata.metadata_version}, {metadata.license_expression}, {len(metadata.license_files or [])} texts",
    )


def _sbom(wheel: WheelReader) -> Finding:
    folder = f"{wheel.info}/sboms/"
    found = [name for name in wheel.files if name.startswith(folder)]
    if not found:
        return Finding(problems=("there is none",))
    expected = {file.sha256 for file in wheel.listed.values()}
    for name in found:
        try:
            data = json.loads(wheel.files[name])
            hashes = {item["content"] for part in data["components"] for item in part.get("hashes", [])}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return Finding(problems=(f"{name} can't be read: {error!r}",))
        if data.get("bomFormat") != "CycloneDX":
            return Finding(problems=(f"{name} is not CycloneDX",))
        if not expected <= hashes:
            return Finding(problems=(f"{name} lacks the hash of a file of the runtime",))
    return Finding(detail=", ".join(name.removeprefix(folder) for name in found))


def _runtime_json(wheel: WheelReader) -> Finding:
    runtime = wheel.runtime
    folder = wheel.package or wheel.folder.rpartition("/")[2]
    problems = [f"{key} is {value!r}, in the folder {folder}" for key, value in _names(wheel) if value != folder]
    linkage = "static" if wheel.package else "shared"
    if runtime.linkage != linkage:
        problems.append(f"linkage is {runtime.linkage}, in the folder {wheel.folder} it is {linkage}")
    if not isinstance(runtime.kind, UnsetType):
        problems += [f"{key} is missing, and the kind is {runtime.kind}" for key in _parts_missing(runtime)]
    elif runtime.library not in runtime.files:
        problems.append(f"library {runtime.library!r} is not among files")
    name = distribution(runtime.variant, wheel.package, runtime.minimal)
    if wheel.info != f"{escaped_name(name)}-{wheel.version}.dist-info":
        problems.append(f"{name} {wheel.version} does not belong into {wheel.info}")
    tag = wheel.tag
    said = (tag.os, tag.arch, tag.libc, tag.version)
    stated = runtime.platform
    if said != (stated.os, stated.arch, stated.libc, stated.libc_version or stated.os_version):
        problems.append(f"platform is not that of the tag {tag}")
    return Finding(problems=tuple(problems), detail=f"schema 1, {runtime.variant} {wheel.version}")


def _names(wheel: WheelReader) -> list[tuple[str, str]]:
    """The keys of runtime.json whose values must be the folder's name, and these values."""
    runtime = wheel.runtime
    names = [("name", runtime.name)]
    if runtime.minimal is not None and not wheel.package:
        names.append(("minimal.distribution", canonicalize_name(runtime.minimal.distribution)))
    elif not wheel.package:
        names.append(("variant", runtime.variant))
    return names


def _parts_missing(runtime: RuntimeJson) -> list[str]:
    wanted = {"extends": runtime.extends, "plugin": runtime.plugin}
    key = "extends" if runtime.kind == "extension" else "plugin"
    return [key] if isinstance(wanted[key], UnsetType) else []


def _files(wheel: WheelReader) -> Finding:
    problems = []
    there = {**wheel.contents, **wheel.added}
    for name, expected in wheel.listed.items():
        data = there.get(name)
        if data is None:
            problems.append(f"{name} is missing")
        elif (len(data), sha256(data)) != (expected.size, expected.sha256):
            problems.append(f"{name} has other bytes than {NAME} says")
    problems += [f"{NAME} does not list {name}" for name in sorted(there.keys() - wheel.listed)]
    return Finding(problems=tuple(problems), detail=f"{len(wheel.listed)} files as {NAME} lists them")


def _provenance(wheel: WheelReader) -> Finding:
    stated: Mapping[str, Any] = wheel.runtime.provenance
    if stated.get("spec") != wheel.spec.digest:
        return Finding(problems=(f"made from the spec {stated.get('spec')}, the manifests' is {wheel.spec.digest}",))
    if str(wheel.tag) != wheel.spec.tag:
        return Finding(problems=(f"the tag is {wheel.tag}, the manifests' is {wheel.spec.tag}",))
    return Finding(detail=f"{stated.get('origin')}, spec {wheel.spec.digest[:12]}")


def _architecture(wheel: WheelReader) -> Finding:
    tag = wheel.tag
    problems = [
        f"{name} is for {facts.os} {facts.machine}, the tag says {tag}"
        for name, facts in wheel.binaries.items()
        if (facts.os, facts.machine) != (tag.os, wheel.machine)
    ]
    return Finding(problems=tuple(problems), detail=f"{len(wheel.binaries)} libraries for {tag.os} {tag.arch}")


def _baseline(wheel: WheelReader) -> Finding:
    tag = wheel.tag
    granted = wheel.system.symbols
    problems = []
    newest: dict[str, str] = {}
    for name, facts in wheel.binaries.items():
        if facts.minimum_os is not None:
            newest["macOS"] = max(newest.get("macOS", "0"), facts.minimum_os, key=version_key)
            if tag.version is None or version_key(facts.minimum_os) > version_key(tag.version):
                problems.append(f"{name} needs macOS {facts.minimum_os}")
        versions = (versions for library, versions in facts.versions_of.items() if _of_system(wheel, library))
        for version in sorted(frozenset().union(*versions)):
            split = native_library.split_version(version)
            if split is None or split[0] not in granted or version_key(split[1]) > version_key(granted[split[0]]):
                problems.append(f"{name} needs {version}")
            else:
                newest[split[0]] = max(newest.get(split[0], "0"), split[1], key=version_key)
    if problems:
        problems.append(f"{tag} does not promise that")
    needs = ", ".join(f"{key} {value}" for key, value in sorted(newest.items())) or "no particular version"
    return Finding(problems=tuple(problems), detail=f"{tag}: needs {needs}")


def _of_system(wheel: WheelReader, library: str) -> bool:
    """Whether the tag promises anything of this library: not of one that pip or a driver installs."""
    return source_of(wheel.spec, library, wheel.binaries) in ("system", None)


def _imports(wheel: WheelReader) -> Finding:
    told = wheel.runtime.requires
    if wheel.spec.plugin is not None:
        return Finding(detail=", ".join(need.library for need in told) or "none; its library is in its vendor's wheel")
    problems = [
        f"{name} needs {library}, which is not on the allow-list"
        for name, facts in wheel.binaries.items()
        for library in facts.needed
        if source_of(wheel.spec, library, wheel.binaries) is None
    ]
    if not problems and (found := stated(wheel.spec, wheel.binaries)) != told:
        listed, needed = ([need.library for need in needs] for needs in (told, found))
        problems.append(f"{NAME} requires {listed}, the libraries need {needed}")
    return Finding(problems=tuple(problems), detail=", ".join(need.library for need in told) or "none")


def _exports(wheel: WheelReader) -> Finding:
    problems = []
    count = 0
    for file in _carried(wheel):
        exports = wheel.binaries[file.name].exports
        count += len(exports)
        problems += [f"{file.name} does not export {name}" for name in file.exports if name not in exports]
        extra = sorted(exports - {*file.exports, *file.may_export})
        if extra:
            problems.append(f"{file.name} exports {len(extra)} unexpected symbols: {', '.join(extra[:5])}")
    problems += [
        f"{name} is a library that the manifest does not name"
        for name in sorted(wheel.binaries.keys() - {file.name for file in _carried(wheel)})
    ]
    return Finding(problems=tuple(problems), detail=f"{count} symbols, all expected")


def _carried(wheel: WheelReader) -> tuple[LibraryFile, ...]:
    """The libraries that the wheel has to hold; a plugin's stays in its vendor's wheel."""
    return () if wheel.spec.plugin else wheel.spec.files


def _rpath(wheel: WheelReader) -> Finding:
    own = {"$ORIGIN", "$ORIGIN/", "@loader_path", "@loader_path/"}
    allowed = {file.name: set(file.rpaths) for file in wheel.spec.files}
    found = [(name, path) for name, facts in wheel.binaries.items() for path in facts.rpaths]
    return Finding(
        problems=tuple(f"{name} searches {path}" for name, path in found if path not in own | allowed.get(name, set())),
        detail=", ".join(sorted({path for _, path in found})) or "none",
    )


def _stack(wheel: WheelReader) -> Finding:
    return Finding(
        problems=tuple(
            f"{name} asks for an executable stack"
            for name, facts in wheel.binaries.items()
            if not facts.hardening.get("NX", True)
        ),
        detail="not executable",
    )


def _hardening(wheel: WheelReader) -> Finding:
    def line(name: str, facts: BinaryFacts) -> str:
        off = [key for key, on in facts.hardening.items() if not on]
        on = [key for key, on in facts.hardening.items() if on]
        return f"{name}: {', '.join(on) or 'nothing'}" + (f" (without {', '.join(off)})" if off else "")

    required = _required(wheel)
    return Finding(
        problems=tuple(
            f"{name} is without {key}"
            for name, facts in wheel.binaries.items()
            for key in required
            if not facts.hardening.get(key, False)
        ),
        detail="; ".join(line(*item) for item in wheel.binaries.items()) or "it holds no native library",
        informs=not required,
    )


def _required(wheel: WheelReader) -> tuple[str, ...]:
    """The protections that the libraries must have: an official one is as its maker left it."""
    if not wheel.from_source:
        return ()
    return wheel.catalog.policies[wheel.target.policy].hardening


def _paths(wheel: WheelReader) -> Finding:
    if not wheel.from_source:
        return Finding(detail="an official library is as its maker left it", informs=True)
    problems = []
    for name in wheel.binaries:
        if found := native_library.build_paths({**wheel.contents, **wheel.added}[name]):
            problems.append(f"{name} holds {len(found)} paths of the machine that built it, for instance {found[0]}")
    return Finding(problems=tuple(problems), detail="none")


def _telemetry(wheel: WheelReader) -> Finding:
    files = {**wheel.contents, **wheel.added}
    hosts = sorted({host for name in wheel.binaries for host in native_library.collectors(files[name])})
    traced = any(native_library.traces_events(files[name]) for name in wheel.binaries)
    problems = []
    if hosts and wheel.from_source:
        problems.append(f"it is compiled with telemetry, which sends to {', '.join(hosts)}")
    elif (hosts or traced) and f"{wheel.info}/licenses/{_PRIVACY}" not in wheel.files:
        problems.append(f"it is compiled in, and {wheel.info}/licenses/{_PRIVACY} is missing")
    kinds = [*hosts, *(["events for Windows' own tracing"] if traced else [])]
    detail = f"compiled in: {', '.join(kinds)}" if kinds else "not compiled in"
    return Finding(problems=tuple(problems), detail=detail, informs=bool(kinds))


_PRIVACY = "Privacy.md"  # of ONNX Runtime: whoever hands on a library with telemetry has to give notice
_READABLE = ("archive", "runtime.json")
_ARCHITECTURE = ("architecture",)

CHECKS: tuple[Check, ...] = (
    Check(
        name="archive",
        title="The wheel is a sound zip file: every member can be read, and no name comes twice or leads out.",
        find=_archive,
    ),
    Check(
        name="name",
        title="The file's name, its dist-info folder, METADATA and WHEEL tell the same name, version and tags.",
        find=_name,
        needs=("archive",),
    ),
    Check(
        name="RECORD",
        title="RECORD lists every file with its size and its hash, and nothing else.",
        find=_record,
        needs=("archive",),
    ),
    Check(
        name="METADATA",
        title="METADATA is valid, of version 2.4 or newer, names a licence, and the wheel holds the licences' texts.",
        find=_metadata,
        needs=("archive",),
    ),
    Check(
        name="runtime.json",
        title="runtime.json follows its schema and agrees with the wheel's name, tag and folder.",
        find=_runtime_json,
        needs=("archive",),
    ),
    Check(
        name="contents",
        title="The wheel holds the runtime, what it adds to the runtime that it extends, dist-info, and nothing else.",
        find=_contents,
        needs=_READABLE,
    ),
    Check(
        name="SBOM",
        title="A bill of materials (CycloneDX) has the hash of every file of the runtime.",
        find=_sbom,
        needs=_READABLE,
    ),
    Check(
        name="files",
        title="The runtime's files are those that runtime.json lists, with these bytes.",
        find=_files,
        needs=_READABLE,
    ),
    Check(
        name="provenance",
        title="The wheel was made from the spec that the manifests give for its variant, target and release.",
        find=_provenance,
        needs=_READABLE,
    ),
    Check(
        name="architecture",
        title="Every library is for the system and the processor that the tag names.",
        find=_architecture,
        needs=_READABLE,
    ),
    Check(
        name="baseline",
        title="No library needs a newer C library, C++ library or macOS than the tag promises.",
        find=_baseline,
        needs=_ARCHITECTURE,
    ),
    Check(
        name="imports",
        title="The libraries need only what policies.toml or the manifest allows, and runtime.json tells all of it.",
        find=_imports,
        needs=_ARCHITECTURE,
    ),
    Check(
        name="exports",
        title="The libraries are those of the manifest, and export the symbols that it names and no others.",
        find=_exports,
        needs=_ARCHITECTURE,
    ),
    Check(
        name="RPATH",
        title="The libraries search their own folder and those that the manifest names for other libraries.",
        find=_rpath,
        needs=_ARCHITECTURE,
    ),
    Check(
        name="stack",
        title="No library asks for an executable stack.",
        find=_stack,
        needs=_ARCHITECTURE,
    ),
    Check(
        name="hardening",
        title="A library from source has every protection that policies.toml wants; an official one's are shown only.",
        find=_hardening,
        needs=_ARCHITECTURE,
    ),
    Check(
        name="paths",
        title="A library from source holds no path of the machine that built it.",
        find=_paths,
        needs=_ARCHITECTURE,
    ),
    Check(
        name="telemetry",
        title="A library from source has no telemetry; with an official one that has, its maker's Privacy.md comes.",
        find=_telemetry,
        needs=_ARCHITECTURE,
    ),
)
