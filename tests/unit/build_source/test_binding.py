"""The loader as source: what of it goes into packages that carry ONNX Runtime themselves."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ortpack_build import binding
from ortpack_build.errors import SourceError, ToolError, UsageError

ROOT = Path(__file__).parents[3]


def test_the_modules_are_a_package_under_any_name(tmp_path: Path) -> None:
    """All that can be imported without the native module is; `ortpack` is not there to be imported by mistake."""
    package = tmp_path / "mine" / "deep"
    package.mkdir(parents=True)
    for name, text in binding.modules().items():
        (package / name).write_bytes(text)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.modules['ortpack'] = None; "
        "from mine.deep import Runtime, Resolution, OrtError, runtimes, LoadedRuntime, __all__; "
        "print(OrtError.__module__, runtimes.__module__, len(__all__))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("mine.deep.errors mine.deep._runtime "), done.stderr


def test_the_modules_have_what_they_import() -> None:
    modules = binding.modules()
    names = {name.partition(".")[0] for name in modules}
    for name, text in modules.items():
        imported = set(re.findall(r"^\s*from \.(\w+) import", text.decode(), re.MULTILINE))
        assert imported <= names, name
    assert "_embedded" not in names
    assert "_doctor" not in names


def test_the_own_runtime_offers_what_the_chosen_one_does() -> None:
    """Whatever the modules import from `_runtime` has to be there."""
    modules = {name: text.decode() for name, text in binding.modules().items()}
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
    monkeypatch.setattr(binding, "sources_folder", lambda: tmp_path)
    (loader / "__init__.py").write_text("from ortpack import a, odd\nfrom ortpack.b import (\n    c,\n)\n")
    assert binding.modules()["__init__.py"] == b"from . import a, odd\nfrom .b import (\n    c,\n)\n"
    (loader / "odd.py").write_text(f"{line}\n")
    with pytest.raises(SourceError, match="imports by its name"):
        binding.modules()


def test_missing_sources_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "sources_folder", lambda: tmp_path)
    with pytest.raises(SourceError, match="lacks the module"):
        binding.modules()


def test_speed_where_cmake_has_it() -> None:
    """The two builds of the binding optimize the same files for speed."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(r"set_source_files_properties\(([^)]*?)PROPERTIES", text)
    assert found is not None
    assert {Path(name).name for name in found[1].split()} == set(binding.load().fast)
    assert set(binding.load().fast) <= {path.name for path in (ROOT / "src" / "binding").iterdir()}


def test_cmake_compiles_the_whole_folder() -> None:
    """As the static build does."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(r"nanobind_add_module\(([^)]*)\)", text)
    assert found is not None
    listed = {Path(name).name for name in found[1].split() if name.endswith(".cpp")}
    assert listed == {path.name for path in (ROOT / "src" / "binding").glob("*.cpp")}


def test_what_is_newer_than_the_oldest_python_is_led_away_and_stands_there() -> None:
    data = binding.load()
    folder = ROOT / "src" / "binding"
    header = (folder / data.prelude).read_text(encoding="utf-8")
    (source,) = [path for path in binding.sources(folder) if path.parent == Path(data.prelude).parent]
    led = dict(re.findall(r"^#define (Py\w+) (ortpack_\w+)$", header, re.MULTILINE))
    assert led.keys() >= {"PyType_FromMetaclass", "PyObject_Vectorcall", "Py_Version"}
    text = (folder / source).read_text(encoding="utf-8")
    for name in led.values():
        assert re.search(rf"^(?!static).*\b{name}\b.* (?:\{{|= .*;)$", text, re.MULTILINE), name
    oldest = f"0x03{int(data.python.partition('.')[2]):02X}0000"
    assert re.search(rf"^#define NB_PYTHON_VERSION {oldest}$", header, re.MULTILINE)


_NEW = pytest.mark.skipif(sys.version_info < (3, 12), reason="an older Python is refused first")


def test_another_platform_is_refused() -> None:
    """32-bit Arm has other sizes of types, macOS another Python."""
    for target in ("linux-armv7l", "macos-arm64"):
        with pytest.raises(UsageError, match=f"{target} can't be made on linux-x86_64.*those of the interpreter") as it:
            binding.check_python(target, "linux-x86_64")
        assert "serve: linux-x86_64, linux-aarch64, musllinux-x86_64" in it.value.hint
    with pytest.raises(UsageError, match="linux-aarch64 can't be made on macos-arm64"):
        binding.check_python("linux-aarch64", "macos-arm64")


@_NEW
def test_headers_that_stand_for_one_platform_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's pyconfig.h includes the one of the processor that it is compiled for."""
    monkeypatch.setattr(binding, "_python_headers", lambda: tmp_path)
    (tmp_path / "Python.h").touch()
    (tmp_path / "pyconfig.h").write_text("#include <x86_64-linux-gnu/python3.13/pyconfig.h>\n")
    with pytest.raises(ToolError, match=r"pyconfig\.h gives no sizes of types"):
        binding.check_python("linux-aarch64", "linux-x86_64")
    binding.check_python("linux-x86_64", "linux-x86_64")
    (tmp_path / "pyconfig.h").write_text("#define SIZEOF_LONG 8\n")
    binding.check_python("linux-aarch64", "linux-x86_64")


def test_every_target_that_headers_serve_has_numpys() -> None:
    data = binding.load()
    numpy = [line for line in data.headers if line.name == "numpy"]
    assert {line.target for line in numpy} == {target for group in data.alike for target in group}
    assert len({line.version for line in numpy}) == 1  # runtime.json names one


def test_an_old_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 7, "final", 0))
    with pytest.raises(ToolError, match=r"CPython 3\.12 or newer"):
        binding.check_python("linux-x86_64", "linux-x86_64")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="an older Python is refused before its headers are looked for")
def test_missing_headers_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "_python_headers", lambda: tmp_path)
    with pytest.raises(ToolError, match=r"has no Python\.h"):
        binding.check_python("linux-x86_64", "linux-x86_64")
