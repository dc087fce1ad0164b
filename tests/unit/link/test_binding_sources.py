"""The loader as source: what of it goes into packages that carry ONNX Runtime themselves."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ortpack_build.base.errors import FetchError, SourceError, UsageError
from ortpack_build.catalog import manifests
from ortpack_build.cli.main import main
from ortpack_build.link import binding_sources
from ortpack_build.machines import emulation
from support.contexts import context

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]


def test_the_modules_are_a_package_under_any_name(tmp_path: Path) -> None:
    """All that can be imported without the native module is; `ortpack` is not there to be imported by mistake."""
    package = tmp_path / "mine" / "deep"
    package.mkdir(parents=True)
    for name, text in binding_sources.modules().items():
        (package / name).write_bytes(text)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.modules['ortpack'] = None; "
        "from mine.deep import Runtime, Resolution, OrtError, runtimes, LoadedRuntime, __all__; "
        "print(OrtError.__module__, runtimes.__module__, len(__all__))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("mine.deep.errors mine.deep._runtime "), done.stderr


def test_the_modules_have_what_they_import() -> None:
    modules = binding_sources.modules()
    names = {name.partition(".")[0] for name in modules}
    for name, text in modules.items():
        imported = set(re.findall(r"^\s*from \.(\w+) import", text.decode(), re.MULTILINE))
        assert imported <= names, name
    assert "_embedded" not in names
    assert "_doctor" not in names


def test_the_own_runtime_offers_what_the_chosen_one_does() -> None:
    """Whatever the modules import from `_runtime` has to be there."""
    modules = {name: text.decode() for name, text in binding_sources.modules().items()}
    wanted = {
        name.strip().partition(" ")[0]
        for text in modules.values()
        for names in re.findall(r"from \._runtime import (?:\()?([\w ,]+)", text)
        for name in names.split(",")
    }
    assert wanted >= {"runtime", "select"}
    for name in wanted:
        assert re.search(rf"^(?:def |class )?{name}\b", modules["_runtime.py"], re.MULTILINE), name


@pytest.mark.parametrize("line", ["import ortpack", "    import ortpack.errors as errors", "from ortpack.a.b import c"])
def test_an_import_that_is_not_understood_fails(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = tmp_path / "ortpack"
    loader.mkdir()
    for name in ("a.py", "b.py", "odd.py"):
        (loader / name).touch()
    monkeypatch.setattr(binding_sources, "sources_folder", lambda: tmp_path)
    (loader / "__init__.py").write_text("from ortpack import a, odd\nfrom ortpack.b import (\n    c,\n)\n")
    assert binding_sources.modules()["__init__.py"] == b"from . import a, odd\nfrom .b import (\n    c,\n)\n"
    (loader / "odd.py").write_text(f"{line}\n")
    with pytest.raises(SourceError, match="imports by its name"):
        binding_sources.modules()


def test_missing_sources_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding_sources, "sources_folder", lambda: tmp_path)
    with pytest.raises(SourceError, match="lacks the module"):
        binding_sources.modules()


def test_speed_where_cmake_has_it() -> None:
    """The two builds of the binding optimize the same files for speed."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(r"set_source_files_properties\(([^)]*?)PROPERTIES", text)
    assert found is not None
    assert {Path(name).name for name in found[1].split()} == set(binding_sources.load().fast)
    assert set(binding_sources.load().fast) <= {path.name for path in (ROOT / "src" / "binding").iterdir()}


def test_cmake_compiles_the_whole_folder() -> None:
    """As the static build does."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(r"nanobind_add_module\(([^)]*)\)", text)
    assert found is not None
    listed = {Path(name).name for name in found[1].split() if name.endswith(".cpp")}
    assert listed == {path.name for path in (ROOT / "src" / "binding").glob("*.cpp")}


def test_what_is_newer_than_the_oldest_python_is_led_away_and_stands_there() -> None:
    data = binding_sources.load()
    folder = ROOT / "src" / "binding"
    header = (folder / data.prelude).read_text(encoding="utf-8")
    (source,) = [path for path in binding_sources.sources(folder) if path.parent == Path(data.prelude).parent]
    led = dict(re.findall(r"^#define (Py\w+) (ortpack_\w+)$", header, re.MULTILINE))
    assert led.keys() >= {"PyType_FromMetaclass", "PyObject_Vectorcall", "Py_Version"}
    text = (folder / source).read_text(encoding="utf-8")
    for name in led.values():
        assert re.search(rf"^(?!static).*\b{name}\b.* (?:\{{|= .*;)$", text, re.MULTILINE), name
    oldest = f"0x03{int(data.python.partition('.')[2]):02X}0000"
    assert re.search(rf"^#define NB_PYTHON_VERSION {oldest}$", header, re.MULTILINE)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Headers of an interpreter that serve every 64-bit Linux; taking Debian's instead fails, as there is no apt."""
    folder = tmp_path / "include" / "python3.13"
    folder.mkdir(parents=True)
    (folder / "Python.h").touch()
    (folder / "pyconfig.h").write_text("#define SIZEOF_LONG 8\n")
    variables = {"MULTIARCH": "x86_64-linux-gnu"}
    monkeypatch.setattr(sysconfig, "get_config_var", variables.get)
    monkeypatch.setattr(binding_sources, "_python_headers", lambda: folder)
    monkeypatch.setattr(sys, "version_info", (3, 13, 0, "final", 0))
    monkeypatch.setenv("PATH", str(tmp_path))
    return folder


def _chosen(target: str, cache: Path, host: str = "linux-x86_64") -> binding_sources.PythonHeaders:
    return binding_sources.python_headers(target, host, context(cache))


@pytest.mark.parametrize("target", ["linux-x86_64", "linux-aarch64", "musllinux-x86_64", "musllinux-aarch64"])
def test_the_interpreters_own_headers_serve(target: str, own: Path, tmp_path: Path) -> None:
    found = _chosen(target, tmp_path / "cache")
    assert (found.links, found.include) == ({"python": own}, ("python",))
    assert found.stated == {"python": platform.python_version()}  # NumPy's are pinned
    assert not (tmp_path / "cache").exists()


def test_headers_that_stand_for_one_platform_only(own: Path, tmp_path: Path) -> None:
    """Debian's pyconfig.h includes the one of the processor that it is compiled for, in a folder beside."""
    (own / "pyconfig.h").write_text("#include <x86_64-linux-gnu/python3.13/pyconfig.h>\n")
    beside = tmp_path / "include" / "x86_64-linux-gnu" / "python3.13"
    beside.mkdir(parents=True)
    found = _chosen("linux-x86_64", tmp_path / "cache")
    assert found.links == {"python": own, "platform/x86_64-linux-gnu/python3.13": beside}
    assert found.include == ("python", "platform")
    with pytest.raises(FetchError, match=r"pyconfig\.h gives no sizes of types, so it is for linux-x86_64 only"):
        _chosen("linux-aarch64", tmp_path / "cache")


@pytest.mark.parametrize(
    ("target", "host", "reason", "way"),
    [
        ("linux-armv7l", "linux-x86_64", "they are of linux-x86_64", "use --linkage shared"),
        ("linux-armv7l", "linux-armv7l", "they are of linux-armv7l", "use --linkage shared"),
        (
            "linux-aarch64",
            "macos-arm64",
            "they are of macos-arm64",
            "run ortpack-build with CPython 3.12 or newer and its headers on linux-aarch64",
        ),
    ],
)
def test_without_apt_and_on_another_platform(
    target: str, host: str, reason: str, way: str, own: Path, tmp_path: Path
) -> None:
    with pytest.raises(FetchError) as caught:
        _chosen(target, tmp_path / "cache", host)
    assert caught.value.paragraph() == (
        f"No headers of Python can be had for {target}. This interpreter's do not serve: {reason}. Debian's can't be "
        "fetched: This machine has no apt-get. Use a machine whose apt knows a mirror of Debian, with its keys "
        f"(debian-archive-keyring). Or {way}."
    )


def _old(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 7, "final", 0))


def _no_headers(own: Path, _: pytest.MonkeyPatch) -> None:
    (own / "Python.h").unlink()


def _free_threaded(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", {"Py_GIL_DISABLED": 1}.get)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_old, "is not CPython 3.12 or newer"),
        (_no_headers, r"include/python3\.13 has no Python\.h \(python3-dev\)"),
        (_free_threaded, "a free-threaded interpreter has none for the stable ABI"),
    ],
)
def test_an_interpreter_whose_headers_do_not_serve(
    spoil: Callable[[Path, pytest.MonkeyPatch], None],
    reason: str,
    own: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Debian's are taken; without apt, it is said why, and what helps."""
    spoil(own, monkeypatch)
    with pytest.raises(FetchError, match=reason) as caught:
        _chosen("linux-x86_64", tmp_path / "cache")
    assert caught.value.hint.endswith(" Or run ortpack-build with CPython 3.12 or newer and its headers.")
    path = tmp_path / "entry" / "root"
    root = emulation.Root(
        path=path, python=None, pip=path, pycache=path, libraries=(), include=(path / "usr/include", path / "numpy")
    )
    path.mkdir(parents=True)
    packages = dict.fromkeys(("libpython3.13-dev_3.13.5-2_amd64.deb", "python3-numpy-dev_1%3a2.2.4+ds-1_amd64.deb"), "")
    (path.parent / "root.json").write_text(json.dumps({"suite": "trixie", "packages": packages}))
    monkeypatch.setattr(emulation, "headers", lambda *_: root)
    found = _chosen("linux-x86_64", tmp_path / "cache")
    assert (found.links, found.include) == ({"python": path}, ("python/usr/include", "python/numpy"))
    assert found.stated == {
        "python": "3.13.5-2 of Debian trixie, amd64",
        "numpy": "1:2.2.4+ds-1 of Debian trixie, amd64",
    }


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("linux-armv7l", FetchError.exit_code, "No headers of Python can be had for linux-armv7l."),
        ("macos-arm64", UsageError.exit_code, "not made for macos-arm64"),
    ],
)
def test_the_command_says_so_before_anything_is_made(
    target: str, code: int, message: str, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["wheel", "cpu", "--origin", "source", "--linkage", "static", "--embed", "mylib._ort"]
    places = ["--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert main([*command, "--target", target, *places]) == code
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_numpys_wheels_are_those_of_one_release() -> None:
    numpy = [line for line in binding_sources.load().headers if line.name == "numpy"]
    assert len({line.version for line in numpy}) == 1
    catalog = manifests.load().targets
    assert {line.target for line in numpy} == {
        name for name in emulation.load().roots if catalog[name].arch in ("x86_64", "aarch64")
    }
