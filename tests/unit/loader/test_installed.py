"""Finding runtimes and reading their `runtime.json`."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ortpack._installed import BrokenRuntime, Runtime, installed, read_runtime, search_folders
from ortpack.errors import RuntimeManifestError

if TYPE_CHECKING:
    from collections.abc import Callable

    Install = Callable[..., Path]


def find_binding() -> Path:
    """A whole native library."""
    spec = importlib.util.find_spec("ortpack._binding")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


def test_a_runtime_is_found_with_its_absolute_library(install: Install, tmp_path: Path) -> None:
    folder = install()
    (found,) = installed([tmp_path])
    assert isinstance(found, Runtime)
    assert found.library == folder / "libonnxruntime.so"
    assert found.library.is_absolute()
    assert found.devices == {"cpu": ("CPUExecutionProvider",)}
    assert found.damage() == found.changes(hashes=True) == []


def test_the_first_folder_wins_over_later_ones_of_the_same_name(install: Install, tmp_path: Path) -> None:
    first = install()
    other = tmp_path / "later"
    (other / "ortpack_runtimes").mkdir(parents=True)
    (other / "ortpack_runtimes" / "cpu").symlink_to(first)
    (found,) = installed([tmp_path, other])
    assert found.path == first


def test_what_is_named_on_sys_path_is_searched_and_the_working_directory_is_not(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(name="planted")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", ["", ".", *sys.path])
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "script.py")])
    assert tmp_path not in search_folders()
    assert "planted" not in [runtime.name for runtime in installed()]
    monkeypatch.syspath_prepend(str(tmp_path))
    assert search_folders()[0] == tmp_path
    assert "planted" in [runtime.name for runtime in installed()]


def test_a_working_directory_that_is_gone_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert search_folders()


def test_pip_installs_into_the_folders_that_are_searched() -> None:
    assert {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")} <= set(search_folders())


def test_a_relative_path_keeps_its_dots_which_may_follow_a_link(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = install()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link").symlink_to(folder)
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = read_runtime(Path("link/../cpu"))
    assert found.library.is_absolute()
    assert found.library.resolve() == folder.resolve() / "libonnxruntime.so"
    assert found.damage() == []


def test_what_a_runtime_shows_of_itself_is_short(install: Install) -> None:
    found = read_runtime(install())
    assert "name='cpu'" in repr(found)
    assert "sha256" not in repr(found)


def test_other_bytes_or_another_size_are_changes_and_no_damage(install: Install) -> None:
    runtime = read_runtime(install(content=b"abd"))
    assert runtime.damage() == runtime.changes() == []  # same size: only the hash tells
    assert "SHA-256" in runtime.changes(hashes=True)[0]
    shutil.copy(find_binding(), runtime.library)  # a whole library, as one that was stripped
    assert runtime.damage() == []
    assert "instead of 3" in runtime.changes()[0]


def test_a_library_that_is_missing_or_cut_off_is_damage(install: Install) -> None:
    runtime = read_runtime(install())
    runtime.library.write_bytes(find_binding().read_bytes()[:-100])
    assert "libonnxruntime.so: the file is truncated" in runtime.damage()[0]
    runtime.library.write_bytes(b"<html>")
    assert "no native library" in runtime.damage()[0]
    runtime.library.unlink()
    assert runtime.damage() == ["libonnxruntime.so is missing"]
    assert runtime.changes() == []


@pytest.mark.parametrize("frozen", [False, True])
def test_a_module_in_an_application_s_archive_is_not_missed(
    install: Install, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    monkeypatch.setattr(sys, "frozen", frozen, raising=False)
    entry = {"sha256": "", "size": 75}
    runtime = read_runtime(install(files={"__init__.py": entry, "libonnxruntime.so": {"sha256": "", "size": 3}}))
    assert runtime.damage() == []
    assert runtime.changes() == ([] if frozen else ["__init__.py is missing"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": 2}, "schema 2 is newer than this loader knows (1): pip install --upgrade ortpack"),
        ({"schema": 0}, "schema 0 was never in use"),
        ({"schema": "1"}, "schema: int is expected, not str"),
        ({"schema": True}, "schema: int is expected, not bool"),
        ({"api_version": "32"}, "api_version: int is expected, not str"),
        ({"providers": "CPUExecutionProvider"}, "providers: list is expected, not str"),
        ({"providers": [1]}, "providers: a list of strings is expected"),
        ({"devices": {}}, "devices: at least one is expected"),
        ({"devices": {"cpu": [3]}}, "devices.cpu: a list of strings is expected"),
        ({"library": "other.so"}, "library: 'other.so' is not among files"),
        ({"library": "../evil.so"}, "library: '../evil.so' leaves the runtime's folder"),
        ({"library": "/evil.so"}, "library: '/evil.so' leaves the runtime's folder"),
        ({"library": "a/../../evil.so"}, "library: 'a/../../evil.so' leaves the runtime's folder"),
        ({"library": "./"}, "library: './' leaves the runtime's folder"),
        ({"library": ""}, "library: '' leaves the runtime's folder"),
        ({"library": "c:evil.dll"}, "library: 'c:evil.dll' leaves the runtime's folder"),
        ({"files": {"a\\..\\b": {"size": 1, "sha256": ""}}}, "leaves the runtime's folder"),
        ({"files": {"a": 1}}, "files.a: an object with sha256 and size is expected"),
        ({"files": {"a": {"size": 1}}}, "files.a.sha256 is missing"),
    ],
)
def test_a_wrong_value_is_named_with_file_and_key(install: Install, changes: dict[str, Any], says: str) -> None:
    folder = install(**changes)
    with pytest.raises(RuntimeManifestError) as caught:
        read_runtime(folder)
    assert says in str(caught.value)
    assert str(folder / "runtime.json") in str(caught.value)


@pytest.mark.parametrize("key", ["schema", "name", "library", "files", "providers", "platform", "reduced"])
def test_a_missing_key_is_named(install: Install, key: str) -> None:
    with pytest.raises(RuntimeManifestError, match=f"{key} is missing"):
        read_runtime(install(omit=(key,)))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00\xff"])
def test_a_runtime_json_that_is_no_object_is_an_error(install: Install, text: str) -> None:
    folder = install()
    (folder / "runtime.json").write_text(text)
    with pytest.raises(RuntimeManifestError, match=r"runtime\.json"):
        read_runtime(folder)


def test_bytes_that_are_no_text_are_an_error(install: Install) -> None:
    folder = install()
    (folder / "runtime.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RuntimeManifestError, match="can't be read"):
        read_runtime(folder)


def test_a_folder_without_runtime_json_is_broken_and_says_to_reinstall(install: Install, tmp_path: Path) -> None:
    (install() / "runtime.json").unlink()
    (found,) = installed([tmp_path])
    assert isinstance(found, BrokenRuntime)
    assert "reinstall" in found.reason


def test_a_renamed_folder_is_broken(install: Install, tmp_path: Path) -> None:
    install().rename(tmp_path / "ortpack_runtimes" / "gpu")
    (found,) = installed([tmp_path])
    assert isinstance(found, BrokenRuntime)
    assert "name is 'cpu'" in found.reason


def test_unknown_keys_are_accepted_within_a_schema(install: Install) -> None:
    folder = install()
    data = json.loads((folder / "runtime.json").read_text())
    (folder / "runtime.json").write_text(json.dumps({**data, "later": 1}))
    assert read_runtime(folder).name == "cpu"
