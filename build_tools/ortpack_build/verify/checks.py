"""The table of checks: what must hold of a wheel, and the function that says what does not."""

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
from ortpack_build.base.hashing import sha256
from ortpack_build.base.tags import version_key
from ortpack_build.bundle.requirements import source_of, stated
from ortpack_build.bundle.runtime_json import FOLDER, NAME, RuntimeJson
from ortpack_build.bundle.wheel import escaped_name
from ortpack_build.catalog.spec import Compiled, distribution

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ortpack_build.base.binary_facts import BinaryFacts
    from ortpack_build.catalog.spec import LibraryFile
    from ortpack_build.verify.wheel_reader import Subject


@dataclass(frozen=True, kw_only=True)
class Check:
    """A line of the table: what must hold, and the function that says what does not."""

    name: str
    title: str
    run: Callable[[Subject], Finding]
    needs: tuple[str, ...] = ()  # checks that must have passed


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found. No problems: it holds. `informs`: nothing was asked of it, these are facts."""

    problems: tuple[str, ...] = ()
    detail: str = ""
    informs: bool = False


def _archive(subject: Subject) -> Finding:
    return Finding(detail=f"{len(subject.files)} files, {sum(map(len, subject.files.values())) / 1e6:.1f} MB")


def _name(subject: Subject) -> Finding:
    try:
        name, version, _, tags = parse_wheel_filename(subject.path.name)
    except InvalidWheelFilename as error:
        return Finding(problems=(str(error),))
    problems = []
    if subject.info != f"{name.replace('-', '_')}-{version}.dist-info":
        problems.append(f"{subject.info} does not fit the file's name")
    metadata = subject.headers("METADATA")
    if (canonicalize_name(metadata["Name"] or ""), metadata["Version"]) != (name, str(version)):
        problems.append(f"METADATA is of {metadata['Name']} {metadata['Version']}")
    wheel = subject.headers("WHEEL")
    written = set(wheel.get_all("Tag", []))
    if written != {str(tag) for tag in tags}:
        problems.append(f"WHEEL has the tags {', '.join(sorted(written))}")
    if wheel["Root-Is-Purelib"] != "false":
        problems.append("WHEEL: Root-Is-Purelib is not false")
    return Finding(problems=tuple(problems), detail=f"{name} {version}, {', '.join(map(str, tags))}")


def _record(subject: Subject) -> Finding:
    own = f"{subject.info}/RECORD"
    problems = []
    try:
        lines = [line for line in csv.reader(io.StringIO(subject.member(own).decode())) if line]
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
        if name not in subject.files:
            problems.append(f"{name} is listed but not there")
        elif not _same_digest(digest, subject.files[name]):
            problems.append(f"{name} has another hash than listed")
        elif size != str(len(subject.files[name])):
            problems.append(f"{name} has another size than listed")
    problems += [f"{name} is not listed" for name in sorted(subject.files.keys() - listed)]
    return Finding(problems=tuple(problems), detail=f"{len(listed)} files, all with their SHA-256")


def _same_digest(listed: str, data: bytes) -> bool:
    algorithm, _, value = listed.partition("=")
    try:
        raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError):
        return False
    return algorithm == "sha256" and raw == hashlib.sha256(data).digest()


def _contents(subject: Subject) -> Finding:
    allowed = (f"{subject.folder}/", f"{subject.info}/")
    extends = subject.runtime.extends
    added = () if isinstance(extends, UnsetType) else (f"{FOLDER}/{extends.runtime}/{name}" for name in extends.files)
    strangers = [name for name in subject.files.keys() - set(added) if not name.startswith(allowed)]
    return Finding(
        problems=tuple(f"{name} is neither of the runtime nor of dist-info" for name in sorted(strangers)),
        detail=f"{subject.folder}/ and {subject.info}/",
    )


def _metadata(subject: Subject) -> Finding:
    data = subject.member(f"{subject.info}/METADATA")
    try:
        metadata = Metadata.from_email(data, validate=True)
    except ExceptionGroup as group:
        return Finding(problems=tuple(str(error) for error in group.exceptions))
    problems = []
    native = any(not name.endswith((".json", ".py")) for name in subject.files if not name.startswith(subject.info))
    if metadata.metadata_version < "2.4" or not metadata.license_expression or (native and not metadata.license_files):
        problems.append("Metadata-Version 2.4 with License-Expression and License-File is expected")
    problems += [
        f"licenses/{name} is missing"
        for name in metadata.license_files or []
        if f"{subject.info}/licenses/{name}" not in subject.files
    ]
    return Finding(
        problems=tuple(problems),
        detail=f"{metadata.metadata_version}, {metadata.license_expression}, {len(metadata.license_files or [])} texts",
    )


def _sbom(subject: Subject) -> Finding:
    folder = f"{subject.info}/sboms/"
    found = [name for name in subject.files if name.startswith(folder)]
    if not found:
        return Finding(problems=("there is none",))
    expected = {file.sha256 for file in subject.listed.values()}
    for name in found:
        try:
            data = json.loads(subject.files[name])
            hashes = {item["content"] for part in data["components"] for item in part.get("hashes", [])}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return Finding(problems=(f"{name} can't be read: {error!r}",))
        if data.get("bomFormat") != "CycloneDX":
            return Finding(problems=(f"{name} is not CycloneDX",))
        if not expected <= hashes:
            return Finding(problems=(f"{name} lacks the hash of a file of the runtime",))
    return Finding(detail=", ".join(name.removeprefix(folder) for name in found))


def _runtime_json(subject: Subject) -> Finding:
    runtime = subject.runtime
    folder = subject.package or subject.folder.rpartition("/")[2]
    problems = [f"{key} is {value!r}, in the folder {folder}" for key, value in _names(subject) if value != folder]
    linkage = "static" if subject.package else "shared"
    if runtime.linkage != linkage:
        problems.append(f"linkage is {runtime.linkage}, in the folder {subject.folder} it is {linkage}")
    if not isinstance(runtime.kind, UnsetType):
        problems += [f"{key} is missing, and the kind is {runtime.kind}" for key in _parts_missing(runtime)]
    elif runtime.library not in runtime.files:
        problems.append(f"library {runtime.library!r} is not among files")
    name = distribution(runtime.variant, subject.package, runtime.minimal)
    if subject.info != f"{escaped_name(name)}-{subject.version}.dist-info":
        problems.append(f"{name} {subject.version} does not belong into {subject.info}")
    tag = subject.tag
    said = (tag.os, tag.arch, tag.libc, tag.version)
    stated = runtime.platform
    if said != (stated.os, stated.arch, stated.libc, stated.libc_version or stated.os_version):
        problems.append(f"platform is not that of the tag {tag}")
    return Finding(problems=tuple(problems), detail=f"schema 1, {runtime.variant} {subject.version}")


def _names(subject: Subject) -> list[tuple[str, str]]:
    """What must be the folder's name: that of the variant, unless somebody else chose one."""
    runtime = subject.runtime
    names = [("name", runtime.name)]
    if runtime.minimal is not None and not subject.package:
        names.append(("minimal.distribution", canonicalize_name(runtime.minimal.distribution)))
    elif not subject.package:
        names.append(("variant", runtime.variant))
    return names


def _parts_missing(runtime: RuntimeJson) -> list[str]:
    wanted = {"extends": runtime.extends, "plugin": runtime.plugin}
    key = "extends" if runtime.kind == "extension" else "plugin"
    return [key] if isinstance(wanted[key], UnsetType) else []


def _files(subject: Subject) -> Finding:
    problems = []
    there = {**subject.contents, **subject.added}
    for name, expected in subject.listed.items():
        data = there.get(name)
        if data is None:
            problems.append(f"{name} is missing")
        elif (len(data), sha256(data)) != (expected.size, expected.sha256):
            problems.append(f"{name} has other bytes than {NAME} says")
    problems += [f"{NAME} does not list {name}" for name in sorted(there.keys() - subject.listed)]
    return Finding(problems=tuple(problems), detail=f"{len(subject.listed)} files as {NAME} lists them")


def _provenance(subject: Subject) -> Finding:
    stated: Mapping[str, Any] = subject.runtime.provenance
    if stated.get("spec") != subject.spec.digest:
        return Finding(problems=(f"made from the spec {stated.get('spec')}, the manifests' is {subject.spec.digest}",))
    if str(subject.tag) != subject.spec.tag:
        return Finding(problems=(f"the tag is {subject.tag}, the manifests' is {subject.spec.tag}",))
    return Finding(detail=f"{stated.get('origin')}, spec {subject.spec.digest[:12]}")


def _architecture(subject: Subject) -> Finding:
    tag = subject.tag
    problems = [
        f"{name} is for {facts.os} {facts.machine}, the tag says {tag}"
        for name, facts in subject.binaries.items()
        if (facts.os, facts.machine) != (tag.os, subject.machine)
    ]
    return Finding(problems=tuple(problems), detail=f"{len(subject.binaries)} libraries for {tag.os} {tag.arch}")


def _baseline(subject: Subject) -> Finding:
    tag = subject.tag
    granted = subject.system.symbols
    problems = []
    newest: dict[str, str] = {}
    for name, facts in subject.binaries.items():
        if facts.minimum_os is not None:
            newest["macOS"] = max(newest.get("macOS", "0"), facts.minimum_os, key=version_key)
            if tag.version is None or version_key(facts.minimum_os) > version_key(tag.version):
                problems.append(f"{name} needs macOS {facts.minimum_os}")
        versions = (versions for library, versions in facts.versions_of.items() if _of_system(subject, library))
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


def _of_system(subject: Subject, library: str) -> bool:
    """Whether the tag's promise is about this library: one that pip or a driver installs has versions of its own."""
    return source_of(subject.spec, library, subject.binaries) in ("system", None)


def _imports(subject: Subject) -> Finding:
    told = subject.runtime.requires
    if subject.spec.plugin is not None:
        return Finding(detail=", ".join(need.library for need in told) or "none; its library is in its vendor's wheel")
    problems = [
        f"{name} needs {library}, which is not on the allow-list"
        for name, facts in subject.binaries.items()
        for library in facts.needed
        if source_of(subject.spec, library, subject.binaries) is None
    ]
    if not problems and (found := stated(subject.spec, subject.binaries)) != told:
        listed, needed = ([need.library for need in needs] for needs in (told, found))
        problems.append(f"{NAME} requires {listed}, the libraries need {needed}")
    return Finding(problems=tuple(problems), detail=", ".join(need.library for need in told) or "none")


def _exports(subject: Subject) -> Finding:
    problems = []
    count = 0
    for file in _carried(subject):
        exports = subject.binaries[file.name].exports
        count += len(exports)
        problems += [f"{file.name} does not export {name}" for name in file.exports if name not in exports]
        extra = sorted(exports - {*file.exports, *file.may_export})
        if extra:
            problems.append(f"{file.name} exports {len(extra)} unexpected symbols: {', '.join(extra[:5])}")
    problems += [
        f"{name} is a library that the manifest does not name"
        for name in sorted(subject.binaries.keys() - {file.name for file in _carried(subject)})
    ]
    return Finding(problems=tuple(problems), detail=f"{count} symbols, all expected")


def _carried(subject: Subject) -> tuple[LibraryFile, ...]:
    """The libraries that the wheel has to hold; a plugin's stays in its vendor's wheel."""
    return () if subject.spec.plugin else subject.spec.files


def _rpath(subject: Subject) -> Finding:
    own = {"$ORIGIN", "$ORIGIN/", "@loader_path", "@loader_path/"}
    allowed = {file.name: set(file.rpaths) for file in subject.spec.files}
    found = [(name, path) for name, facts in subject.binaries.items() for path in facts.rpaths]
    return Finding(
        problems=tuple(f"{name} searches {path}" for name, path in found if path not in own | allowed.get(name, set())),
        detail=", ".join(sorted({path for _, path in found})) or "none",
    )


def _stack(subject: Subject) -> Finding:
    return Finding(
        problems=tuple(
            f"{name} asks for an executable stack"
            for name, facts in subject.binaries.items()
            if not facts.hardening.get("NX", True)
        ),
        detail="not executable",
    )


def _hardening(subject: Subject) -> Finding:
    def line(name: str, facts: BinaryFacts) -> str:
        off = [key for key, on in facts.hardening.items() if not on]
        on = [key for key, on in facts.hardening.items() if on]
        return f"{name}: {', '.join(on) or 'nothing'}" + (f" (without {', '.join(off)})" if off else "")

    required = _required(subject)
    return Finding(
        problems=tuple(
            f"{name} is without {key}"
            for name, facts in subject.binaries.items()
            for key in required
            if not facts.hardening.get(key, False)
        ),
        detail="; ".join(line(*item) for item in subject.binaries.items()),
        informs=not required,
    )


def _required(subject: Subject) -> tuple[str, ...]:
    """The protections that the libraries must have: an official one is as its maker left it."""
    if not isinstance(subject.spec.source, Compiled):
        return ()
    return subject.catalog.policies[subject.catalog.targets[subject.spec.target].policy].hardening


def _paths(subject: Subject) -> Finding:
    if not isinstance(subject.spec.source, Compiled):
        return Finding(detail="an official library is as its maker left it", informs=True)
    problems = []
    for name in subject.binaries:
        if found := native_library.build_paths({**subject.contents, **subject.added}[name]):
            problems.append(f"{name} holds {len(found)} paths of the machine that built it, for instance {found[0]}")
    return Finding(problems=tuple(problems), detail="none")


_READABLE = ("archive", "runtime.json")

CHECKS: tuple[Check, ...] = (
    Check(name="archive", title="a sound zip file with safe names", run=_archive),
    Check(name="name", title="file name, dist-info, METADATA and WHEEL agree", run=_name, needs=("archive",)),
    Check(name="RECORD", title="lists every file with its hash", run=_record, needs=("archive",)),
    Check(name="METADATA", title="valid, 2.4, with licences", run=_metadata, needs=("archive",)),
    Check(name="runtime.json", title="schema 1, in agreement with tag and name", run=_runtime_json, needs=("archive",)),
    Check(name="contents", title="nothing but the runtime and dist-info", run=_contents, needs=_READABLE),
    Check(name="SBOM", title="CycloneDX with every file's hash", run=_sbom, needs=_READABLE),
    Check(name="files", title="the bytes that runtime.json lists", run=_files, needs=_READABLE),
    Check(name="provenance", title="made from the manifests' spec", run=_provenance, needs=_READABLE),
    Check(name="architecture", title="that of the tag", run=_architecture, needs=_READABLE),
    Check(name="baseline", title="needs no newer system than the tag says", run=_baseline, needs=("architecture",)),
    Check(name="imports", title="only libraries on the allow-list", run=_imports, needs=("architecture",)),
    Check(name="exports", title="what the manifest says and no more", run=_exports, needs=("architecture",)),
    Check(
        name="RPATH",
        title="its own folder, or one of the manifest",
        run=_rpath,
        needs=("architecture",),
    ),
    Check(name="stack", title="not executable", run=_stack, needs=("architecture",)),
    Check(name="hardening", title="protections of each library", run=_hardening, needs=("architecture",)),
    Check(name="paths", title="none of the machine that built it", run=_paths, needs=("architecture",)),
)
