"""Reads a wheel that nothing is known of: its files, what it says of itself, and what the manifests say of it."""

from __future__ import annotations

import email.parser
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import UnsetType
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from ortpack_build.base import native_library
from ortpack_build.base.archive import safe_path
from ortpack_build.base.errors import ArchiveError, BuildError, KitError, VerificationError
from ortpack_build.base.tags import PlatformTag, parse_tag
from ortpack_build.bundle.runtime_json import FOLDER, NAME, RuntimeJson, parse
from ortpack_build.catalog.spec import Compiled, Spec, System, compiled, resolve
from ortpack_build.catalog.spec import system as system_of
from ortpack_build.kit import settings as kit_settings
from ortpack_build.link import MODULE_FILE

if TYPE_CHECKING:
    from email.message import Message
    from pathlib import Path

    from ortpack_build.base.binary_facts import BinaryFacts
    from ortpack_build.bundle.runtime_json import File
    from ortpack_build.catalog.model import Catalog, Target

_MOST = 8 << 30  # bytes that a wheel may unpack to
_NATIVE = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")


@dataclass(frozen=True)
class WheelReader:
    """A wheel, read piece by piece when a check asks for it. What can't be read raises VerificationError.

    Attributes:
        path: the wheel.
        catalog: the manifests that say what it should be.
        scratch: a folder for its native libraries, empty at first.
    """

    path: Path
    catalog: Catalog
    scratch: Path

    @cached_property
    def files(self) -> dict[str, bytes]:
        """Every member by name."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                if (size := sum(info.file_size for info in archive.infolist())) > _MOST:
                    raise VerificationError(f"it unpacks to {size} bytes, which is too much to look at")
                names = [info.filename for info in archive.infolist() if not info.is_dir()]
                if twice := {name for name in names if names.count(name) > 1}:
                    raise VerificationError(f"members appear twice: {', '.join(sorted(twice))}")
                if links := [i.filename for i in archive.infolist() if (i.external_attr >> 28) not in (0, 4, 8)]:
                    raise VerificationError(f"members are neither file nor folder: {', '.join(links)}")
                for name in names:
                    safe_path(name)
                return {name: archive.read(name) for name in names}
        except ArchiveError as error:
            raise VerificationError(str(error)) from error
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise VerificationError(f"not a sound zip file: {error}") from error

    @cached_property
    def info(self) -> str:
        """The dist-info folder."""
        found = {name.split("/")[0] for name in self.files if name.split("/")[0].endswith(".dist-info")}
        if len(found) != 1:
            raise VerificationError(f"{len(found)} dist-info folders; one is expected")
        return found.pop()

    def headers(self, name: str) -> Message:
        """A file of dist-info that has the form of an e-mail's head."""
        text = self.member(f"{self.info}/{name}").decode("utf-8", errors="replace")
        return email.parser.Parser().parsestr(text)

    def member(self, name: str) -> bytes:
        """A file of the wheel."""
        if name not in self.files:
            raise VerificationError(f"{name} is missing")
        return self.files[name]

    @cached_property
    def folder(self) -> str:
        """The runtime's folder in the wheel: `ortpack_runtimes/<name>`, or that of the package that holds it."""
        found = [name.removesuffix(f"/{NAME}") for name in self.files if name.endswith(f"/{NAME}")]
        found = [name for name in found if name.split("/")[0] != FOLDER or name.count("/") == 1]
        if len(found) != 1:
            raise VerificationError(f"{len(found)} files {FOLDER}/<variant>/{NAME}; one is expected")
        return found[0]

    @cached_property
    def package(self) -> str | None:
        """Dotted name of the Python package that holds the runtime; None if the loader finds it."""
        return None if self.folder.startswith(f"{FOLDER}/") else self.folder.replace("/", ".")

    @cached_property
    def runtime(self) -> RuntimeJson:
        """What the runtime says of itself."""
        try:
            return parse(self.member(f"{self.folder}/{NAME}"))
        except ValueError as error:
            raise VerificationError(f"{NAME}: {error}") from error

    @cached_property
    def contents(self) -> dict[str, bytes]:
        """The runtime's files but runtime.json, relative to its folder."""
        prefix = f"{self.folder}/"
        found = {name.removeprefix(prefix): data for name, data in self.files.items() if name.startswith(prefix)}
        return {name: data for name, data in found.items() if name != NAME}

    @cached_property
    def added(self) -> dict[str, bytes]:
        """The files that an extension adds to the folder of the runtime that it extends, relative to that folder."""
        extends = self.runtime.extends
        if isinstance(extends, UnsetType):
            return {}
        prefix = f"{FOLDER}/{extends.runtime}/"
        return {name.removeprefix(prefix): data for name, data in self.files.items() if name.startswith(prefix)}

    @property
    def listed(self) -> dict[str, File]:
        """Every file that runtime.json lists: the runtime's own and what it adds to another."""
        extends = self.runtime.extends
        return self.runtime.files if isinstance(extends, UnsetType) else {**self.runtime.files, **extends.files}

    @property
    def version(self) -> str:
        """The release: of ONNX Runtime, or a plugin's own."""
        for version in (self.runtime.ort_version, self.runtime.version):
            if not isinstance(version, UnsetType):
                return version
        raise VerificationError(f"{NAME}: neither ort_version nor version is there")

    @cached_property
    def tag(self) -> PlatformTag:
        """The platform that the file's name promises."""
        try:
            tags = parse_wheel_filename(self.path.name)[3]
        except InvalidWheelFilename as error:
            raise VerificationError(str(error)) from error
        parsed = [parse_tag(tag.platform) for tag in tags]
        if len(parsed) != 1 or parsed[0] is None:
            raise VerificationError(f"{', '.join(sorted(tag.platform for tag in tags))} is not one known platform")
        return parsed[0]

    @cached_property
    def spec(self) -> Spec:
        """What the manifests say this runtime should be."""
        runtime = self.runtime
        try:
            if runtime.provenance.get("origin") == "source":
                return spec_of_runtime(runtime, self.catalog, str(self.tag), self.package)
            return resolve(self.catalog, runtime.variant, runtime.target, self.version)
        except BuildError as error:
            raise VerificationError(f"the manifests don't know it: {error.paragraph()}") from error

    @property
    def from_source(self) -> bool:
        """Whether its library was compiled here, and is not an official one."""
        return isinstance(self.spec.source, Compiled)

    @property
    def target(self) -> Target:
        """The target that the manifests make it for."""
        return self.catalog.targets[self.spec.target]

    @cached_property
    def system(self) -> System:
        """The libraries and symbols that the system has, on the platform that the tag in the file's name promises."""
        return system_of(self.catalog.policies[self.target.policy], str(self.tag))

    @property
    def machine(self) -> str:
        """The processor of the tag, as native libraries name it; empty if no target has it."""
        return self.catalog.machine(self.tag.os, self.tag.arch) or ""

    @cached_property
    def binaries(self) -> dict[str, BinaryFacts]:
        """What the native libraries say of themselves: files that begin like one, and those that should be one."""
        said = set() if self.spec.plugin else {file.name for file in self.spec.files}
        if not isinstance(self.runtime.library, UnsetType):
            said.add(self.runtime.library)
        found = {}
        everything = {**self.contents, **self.added}
        for name, data in everything.items():
            if name in said or data[:4] in _NATIVE or data[:2] == b"MZ":
                file = self.scratch / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
                found[name] = native_library.inspect(file, self.machine)
        if missing := said - everything.keys():
            raise VerificationError(f"{', '.join(sorted(missing))} missing")
        return found


def spec_of_runtime(runtime: RuntimeJson, catalog: Catalog, tag: str, package: str | None) -> Spec:
    """The spec of a runtime that was linked from a kit, from what its runtime.json says of that kit.

    A prebuilt runtime's spec comes from the manifests alone; one from source depends on the kit, which `verify` does
    not have at hand.

    Args:
        runtime: what the runtime says of itself.
        catalog: the manifests.
        tag: platform tag of the wheel.
        package: the Python package that holds the runtime; None if the loader finds it.

    Raises:
        KitError: what it says of its kit makes no sense.
        UsageError: the manifests don't know variant or target.
    """
    ort = runtime.ort_version
    if isinstance(ort, UnsetType):
        raise KitError("runtime.json says nothing of ONNX Runtime's release.")
    try:
        kit_ = runtime.provenance["kit"]
        origin = Compiled(kit=kit_["key"], flavour=kit_["flavour"], toolchain=dict(kit_["toolchain"]))
    except (KeyError, TypeError, ValueError) as error:
        raise KitError(f"runtime.json says nothing sensible of its kit: {error!r}.") from error
    return compiled(
        catalog,
        runtime.variant,
        runtime.target,
        ort=ort,
        source=origin,
        library=MODULE_FILE
        if package
        else kit_settings.load(catalog.own).target(runtime.target).library.format(ort=ort),
        tag=tag,
        formats=runtime.model_formats,
        package=package,
        minimal=runtime.minimal,
    )
