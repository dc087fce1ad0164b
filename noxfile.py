"""Every task of the project: `nox -s demo`, `nox -s tests`, `nox -s lint`, `nox -s bench`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests", "demo"]
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False
nox.needs_version = ">=2025.2"
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # or the official package, which tests start, reports usage

ROOT = Path(__file__).parent
OFFICIAL = "onnxruntime==1.32.0"  # what we are compared with; the release that variants/cpu.toml has as newest
COMPILED = "onnxruntime==1.21.0"  # the release that kits are compiled of
TEST_REQUIREMENTS = [
    "abi3audit>=0.0.20; sys_platform == 'linux'",
    "auditwheel>=6.8; sys_platform == 'linux'",
    "check-wheel-contents>=0.6.3",
    "hypothesis>=6",
    "ml_dtypes>=0.5",
    "nanobind>=3.1,<4",
    "onnx>=1.17",
    "platformdirs>=4",
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "twine>=6",
    "uv>=0.8",
]


def _loader_wheel(session: nox.Session) -> Path:
    """Build the loader's wheel from this tree, as a user's pip would."""
    folder = Path(session.create_tmp()) / "loader"
    shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={folder}", str(ROOT))
    (wheel,) = folder.glob("ortpack-*.whl")
    return wheel


@nox.session
def demo(session: nox.Session) -> None:
    """The main job: manifest to wheel, installed beside the loader in a new environment, running a real model."""
    session.install("./build_tools", "pip")
    loader = _loader_wheel(session)
    out = Path(session.create_tmp()) / "out"
    shutil.rmtree(out, ignore_errors=True)
    session.run("ortpack-build", "wheel", "cpu", "--out", str(out))
    (runtime,) = out.glob("ortpack_cpu-*.whl")
    session.run("ortpack-build", "verify", str(runtime), "--loader", str(loader))

    fresh = Path(session.create_tmp()) / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    session.run("python", "-m", "venv", str(fresh))
    python = str(fresh / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    packages = [f"{loader}[cpu]", str(runtime), OFFICIAL, "platformdirs"]
    session.run(python, "-m", "pip", "install", "--quiet", *packages, external=True)
    wheels = [str(loader), str(runtime)]
    session.run(python, "-m", "support.demo", *wheels, env={"PYTHONPATH": str(ROOT / "tests")}, external=True)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, a file at a time on each core; arguments go to pytest (`-n 0`: one after the other)."""
    session.install("./build_tools", "pip", OFFICIAL, *TEST_REQUIREMENTS)
    loader = _loader_wheel(session)
    session.install("--force-reinstall", "--no-deps", str(loader))
    session.install(str(loader))
    parallel = ["-n", "auto", "--maxprocesses=4", "--dist=loadfile"]
    session.run("pytest", *parallel, *session.posargs, env={"ORTPACK_TEST_LOADER": str(loader)})


@nox.session
def kit(session: nox.Session) -> None:
    """The kits that tests need, compiled unless the cache has them, with progress, which pytest would not show."""
    session.install("./build_tools", "pip")
    for target in ([], ["linux-aarch64"]):  # this machine's, and one that is cross-compiled
        session.run("ortpack-build", "kit", *target, "--flavour", "ort", "--ort", "1.21.0")


@nox.session
def lint(session: nox.Session) -> None:
    """ruff and mypy over everything, and the contracts of what may import what."""
    linters = ["ruff==0.17.6", "mypy==2.4.1", "import-linter==2.17"]
    session.install(*linters, "nox", "pytest", "hypothesis", "numpy>=2", "./build_tools")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "src", "build_tools/ortpack_build", "tests", "benchmarks", "examples/mylib/src", "noxfile.py")
    session.run("lint-imports", "--no-cache", env={"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'build_tools'}"})


@nox.session
def stub(session: nox.Session) -> None:
    """The types of the native module, generated from it, by hand; a test says when they are not current."""
    session.install("nanobind>=3.1,<4", str(_loader_wheel(session)))
    session.run("python", "cmake/stub.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Ratios against the official package, by hand: prints a table."""
    session.install("./build_tools", "pip", OFFICIAL, "onnx>=1.17", "platformdirs>=4", "rich")
    loader = _loader_wheel(session)
    out = Path(session.create_tmp()) / "out"
    shutil.rmtree(out, ignore_errors=True)
    session.run("ortpack-build", "wheel", "cpu", "--out", str(out), silent=True)
    (runtime,) = out.glob("ortpack_cpu-*.whl")
    session.install("--force-reinstall", "--no-deps", str(loader), str(runtime))
    session.install(f"{loader}[cpu]", str(runtime))
    shutil.copy(loader, out)
    session.run("python", "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={out}", OFFICIAL)
    arguments = [f"--wheels={out}", *session.posargs]
    session.run("python", "benchmarks/run.py", *arguments, env={"PYTHONPATH": str(ROOT / "tests")})
    session.run("python", "-m", "pip", "download", "--quiet", "--no-deps", f"--dest={out}", COMPILED)
    (wheel,) = out.glob(f"onnxruntime-{COMPILED.partition('==')[2]}-*.whl")
    site = out / "official"
    session.run("python", "-m", "pip", "install", "--quiet", "--no-deps", f"--target={site}", str(wheel))
    arguments = [f"--official={site}", f"--official-wheel={wheel}"]
    session.run("python", "benchmarks/minimal.py", *arguments, env={"PYTHONPATH": str(ROOT / "tests")})


@nox.session(name="bench-upstream")
def bench_upstream(session: nox.Session) -> None:
    """A minimal library by ONNX Runtime's own build beside ours, by hand: half an hour."""
    session.install("./build_tools[models]", "pip", "onnx>=1.17", "platformdirs>=4", "flatbuffers")
    session.install(str(_loader_wheel(session)))
    session.run("python", "benchmarks/upstream.py", *session.posargs, env={"PYTHONPATH": str(ROOT / "tests")})
