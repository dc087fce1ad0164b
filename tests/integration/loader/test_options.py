"""Options of sessions and runs, and the choice of providers."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

import ortpack
from ortpack import errors
from support import graphs
from support.graphs import f32
from support.official import NEWEST

if TYPE_CHECKING:
    from collections.abc import Callable

    Opener = Callable[..., ortpack.InferenceSession]

PROPERTIES: dict[str, Any] = {  # name -> another value than the default
    "enable_cpu_mem_arena": False,
    "enable_mem_pattern": False,
    "enable_profiling": True,
    "execution_mode": ortpack.ExecutionMode.ORT_PARALLEL,
    "graph_optimization_level": ortpack.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "inter_op_num_threads": 2,
    "intra_op_num_threads": 2,
    "log_severity_level": 4,
    "log_verbosity_level": 1,
    "logid": "a session",
    "optimized_model_filepath": "optimized.onnx",
    "profile_file_prefix": "profile",
    "use_deterministic_compute": True,
    "use_per_session_threads": False,
}
FIXED: dict[str, Any] = {  # what the C API can't set
    "enable_mem_reuse": False,
    "execution_order": ortpack.ExecutionOrder.PRIORITY_BASED,
}


def _plain(value: Any) -> Any:
    return value.name if hasattr(value, "name") else value


def test_every_property_of_the_official_class_is_there_with_its_default() -> None:
    theirs, ours = onnxruntime.SessionOptions(), ortpack.SessionOptions()
    names = [name for name in dir(theirs) if not name.startswith("_") and not callable(getattr(theirs, name))]
    assert sorted(names) == sorted([*PROPERTIES, *FIXED])
    for name in names:
        assert _plain(getattr(ours, name)) == _plain(getattr(theirs, name)), name
    run = onnxruntime.RunOptions()
    for name in dir(run):
        if not name.startswith("_") and not callable(getattr(run, name)):
            assert getattr(ortpack.RunOptions(), name) == getattr(run, name), name


@pytest.mark.parametrize("kind", ["GraphOptimizationLevel", "ExecutionMode", "ExecutionOrder"])
def test_enumerations(kind: str) -> None:
    theirs = getattr(onnxruntime, kind).__members__
    assert {name: member.value for name, member in theirs.items()} == dict(getattr(ortpack, kind).__members__)


@pytest.mark.parametrize("name", PROPERTIES)
def test_each_property_reaches_the_session(
    session: Opener, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ortpack.SessionOptions()
    setattr(options, name, PROPERTIES[name])
    assert getattr(options, name) == PROPERTIES[name]
    if name == "use_per_session_threads":
        with pytest.raises((errors.Fail, errors.RuntimeException), match="CreateEnvWithGlobalThreadPools"):
            session(graphs.identity(), options)
        return
    opened = session(graphs.identity(), options)
    np.testing.assert_array_equal(opened.run(None, {"x": f32(1, 2)})[0], [1, 2])
    assert getattr(opened.get_session_options(), name) == PROPERTIES[name]
    if name == "optimized_model_filepath":
        assert onnx.load("optimized.onnx").graph.node
    if name == "enable_profiling":
        assert json.loads(Path(opened.end_profiling()).read_text())


@pytest.mark.parametrize("name", FIXED)
def test_properties_that_the_c_api_lacks(name: str) -> None:
    options = ortpack.SessionOptions()
    setattr(options, name, getattr(options, name))
    with pytest.raises(errors.NotImplemented, match=name):
        setattr(options, name, FIXED[name])
    run = ortpack.RunOptions()
    run.only_execute_path_to_fetches = False
    with pytest.raises(errors.NotImplemented, match="only_execute_path_to_fetches"):
        run.only_execute_path_to_fetches = True


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("graph_optimization_level", 7),
        ("execution_mode", "parallel"),
        ("intra_op_num_threads", -1),
        ("intra_op_num_threads", "2"),
        ("inter_op_num_threads", 2**40),
        ("log_severity_level", 9),
        ("enable_profiling", "yes"),
        ("logid", 3),
        ("optimized_model_filepath", b"bytes"),
    ],
)
def test_wrong_values_are_refused_when_they_are_set(name: str, value: Any) -> None:
    options = ortpack.SessionOptions()
    with pytest.raises(errors.InvalidArgument, match=name):
        setattr(options, name, value)


def test_unknown_properties_are_refused() -> None:
    with pytest.raises(AttributeError):
        ortpack.SessionOptions().intra_op_threads = 1  # type: ignore[attr-defined]


def test_numbers_of_numpy_are_numbers() -> None:
    options = ortpack.SessionOptions()
    options.intra_op_num_threads = np.int64(3)  # type: ignore[assignment]
    assert options.intra_op_num_threads == 3


def test_options_can_be_copied() -> None:
    options = ortpack.SessionOptions()
    options.logid = "x"
    options.add_session_config_entry("a", "b")
    for copied in (copy.copy(options), copy.deepcopy(options), pickle.loads(pickle.dumps(options))):  # noqa: S301
        assert copied.logid == "x"
        assert copied.get_session_config_entry("a") == "b"


def test_options_serve_many_sessions_of_many_runtimes(
    newest: ortpack.LoadedRuntime, older: ortpack.LoadedRuntime
) -> None:
    options = ortpack.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for runtime in (newest, older, newest):
        opened = ortpack.InferenceSession(graphs.identity(), options, runtime=runtime)
        assert opened.run(None, {"x": f32(1)})[0] == 1
    opened.get_session_options().intra_op_num_threads = 5
    assert options.intra_op_num_threads == 1
    assert opened.get_session_options().intra_op_num_threads == 1


def test_session_config_entries() -> None:
    options = ortpack.SessionOptions()
    with pytest.raises(RuntimeError, match=r"no config entry 'a\.b'"):
        options.get_session_config_entry("a.b")
    options.add_session_config_entry("a.b", "1")
    options.add_session_config_entry("a.b", "2")
    assert options.get_session_config_entry("a.b") == "2"
    with pytest.raises(errors.InvalidArgument):
        options.add_session_config_entry("a.b", 2)  # type: ignore[arg-type]


def test_a_config_entry_that_onnx_runtime_refuses(session: Opener) -> None:
    options = ortpack.SessionOptions()
    options.add_session_config_entry("session.intra_op_thread_affinities", "nonsense")
    with pytest.raises(errors.OrtError, match="nonsense"):
        session(graphs.identity(), options)


def test_free_dimensions(session: Opener) -> None:
    options = ortpack.SessionOptions()
    options.add_free_dimension_override_by_name("N", 3)
    opened = session(graphs.identity(), options)
    assert opened.get_inputs()[0].shape == [3]
    with pytest.raises(errors.InvalidArgument, match=r"of shape \[3\], got shape \[2\]"):
        opened.run(None, {"x": f32(1, 2)})

    model = onnx.load_from_string(graphs.identity())
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    options = ortpack.SessionOptions()
    options.add_free_dimension_override_by_denotation("DATA_BATCH", 4)
    assert session(model.SerializeToString(), options).get_inputs()[0].shape == [4]


def _weighted(*, external: bool = False) -> bytes:
    data = graphs.model(
        [graphs.node("Add", ["x", "w"], ["y"])],
        [graphs.tensor("x", shape=(3,))],
        [graphs.tensor("y", shape=(3,))],
        initializers=[numpy_helper.from_array(np.zeros(3, np.float32), "w")],
    )
    if not external:
        return data
    model = onnx.load_from_string(data)
    weights = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(weights, location="weights.bin", offset=0, length=12)
    weights.ClearField("raw_data")
    return bytes(model.SerializeToString())


def test_initializers_are_shared_not_copied(session: Opener) -> None:
    options = ortpack.SessionOptions()
    weights = np.array([10, 20, 30], np.float32)
    options.add_initializer("w", ortpack.OrtValue.ortvalue_from_numpy(weights))
    opened = session(_weighted(), options)
    del options
    np.testing.assert_array_equal(opened.run(None, {"x": f32(1, 2, 3)})[0], [11, 22, 33])
    weights[:] = 1  # the session reads the array itself
    np.testing.assert_array_equal(opened.run(None, {"x": f32(1, 2, 3)})[0], [2, 3, 4])


def test_external_initializers(session: Opener) -> None:
    weights = np.array([10, 20, 30], np.float32)
    with pytest.raises(errors.OrtError):
        session(_weighted(external=True))
    options = ortpack.SessionOptions()
    options.add_external_initializers(["w"], [ortpack.OrtValue.ortvalue_from_numpy(weights)])
    np.testing.assert_array_equal(
        session(_weighted(external=True), options).run(None, {"x": f32(1, 2, 3)})[0], [11, 22, 33]
    )

    options = ortpack.SessionOptions()
    options.add_external_initializers_from_files_in_memory(["weights.bin"], [weights.tobytes()], [12])
    np.testing.assert_array_equal(
        session(_weighted(external=True), options).run(None, {"x": f32(1, 2, 3)})[0], [11, 22, 33]
    )
    with pytest.raises(errors.InvalidArgument, match="2 names"):
        options.add_external_initializers(["a", "b"], [])
    with pytest.raises(errors.InvalidArgument, match="1 names"):
        options.add_external_initializers_from_files_in_memory(["a"], [])


def test_initializers_that_are_no_values(session: Opener) -> None:
    options = ortpack.SessionOptions()
    options.add_initializer("w", np.zeros(3, np.float32))  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidArgument, match="expected an OrtValue, got an array"):
        session(_weighted(), options)
    kind = helper.make_optional_type_proto(graphs.tensor_type(shape=("N",)))
    through = graphs.model(
        [graphs.node("Identity", ["x"], ["y"])], [graphs.typed("x", kind)], [graphs.typed("y", kind)]
    )
    (empty,) = session(through).run_with_ort_values(None, {})
    options = ortpack.SessionOptions()
    options.add_initializer("w", empty)
    with pytest.raises(errors.InvalidArgument, match="empty optional"):
        session(_weighted(), options)


def test_a_custom_operator_library_that_is_missing(session: Opener, tmp_path: Path) -> None:
    options = ortpack.SessionOptions()
    options.register_custom_ops_library(tmp_path / "missing.so")
    with pytest.raises(errors.OrtError, match=r"missing\.so"):
        session(graphs.identity(), options)


def test_disabled_optimizers(session: Opener, tmp_path: Path) -> None:
    model = graphs.model(
        [graphs.node("Identity", ["x"], ["a"]), graphs.node("Neg", ["a"], ["y"])],
        [graphs.tensor("x")],
        [graphs.tensor("y")],
    )

    def nodes(**keywords: Any) -> list[str]:
        options = ortpack.SessionOptions()
        options.graph_optimization_level = ortpack.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = tmp_path / "out.onnx"
        session(model, options, **keywords)
        return [node.op_type for node in onnx.load(tmp_path / "out.onnx").graph.node]

    assert nodes() == ["Neg"]
    assert nodes(disabled_optimizers=["EliminateIdentity"]) == ["Identity", "Neg"]


# --- profiling ---------------------------------------------------------------------------------------------------


def test_profiling(session: Opener, tmp_path: Path) -> None:
    options = ortpack.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = tmp_path / "profil-ü"
    opened = session(graphs.add(), options)
    assert opened.get_profiling_start_time_ns() > 0
    opened.run(None, {"a": np.ones((1, 2), np.float32), "b": np.ones((1, 2), np.float32)})
    file = Path(opened.end_profiling())
    assert file.parent == tmp_path
    assert any("Add" in str(event) for event in json.loads(file.read_text(encoding="utf-8")))


def test_without_profiling_there_is_no_profile(session: Opener) -> None:
    assert session(graphs.identity()).end_profiling() == ""


# --- providers ---------------------------------------------------------------------------------------------------

CPU = "CPUExecutionProvider"
AZURE = "AzureExecutionProvider"  # in every official build, and of no use to any node here


@pytest.mark.parametrize(
    ("providers", "options", "active"),
    [
        (None, None, {CPU: {}}),
        ([], None, {CPU: {}}),
        ([CPU], None, {CPU: {}}),
        ([AZURE], None, {AZURE: {}, CPU: {}}),
        ([AZURE, CPU], None, {AZURE: {}, CPU: {}}),
        ((AZURE, CPU), None, {AZURE: {}, CPU: {}}),
        ([(AZURE, {}), CPU], None, {AZURE: {}, CPU: {}}),
        ([AZURE, CPU], [{}, {}], {AZURE: {}, CPU: {}}),
    ],
)
def test_every_way_to_name_providers(session: Opener, providers: Any, options: Any, active: dict[str, Any]) -> None:
    opened = session(graphs.identity(), None, providers, options)
    assert opened.get_providers() == list(active)
    assert opened.get_provider_options() == active
    if providers:
        theirs = onnxruntime.InferenceSession(graphs.identity(), None, list(providers), options)
        assert opened.get_providers() == theirs.get_providers()


@pytest.mark.parametrize(
    ("providers", "options"),
    [(CPU, None), ([1], None), ([(CPU, 1)], None), ([CPU], [{}, {}]), ([(CPU, {})], [{}]), ([CPU, CPU], None)],
    ids=str,
)
def test_providers_given_wrongly(session: Opener, providers: Any, options: Any) -> None:
    with pytest.raises(ValueError, match="provider"):
        session(graphs.identity(), None, providers, options)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("CpuExecutionProvider", "did you mean 'CPUExecutionProvider'"),
        ("CUDAExecutionProvider", "has no provider 'CUDAExecutionProvider'; it has .*CPUExecutionProvider"),
        ("CudaExecutionProvider", "has no provider .*did you mean 'CUDAExecutionProvider'"),
        ("cpuexecutionprovider", "did you mean 'CPUExecutionProvider'"),
        ("nonsense", "has no provider 'nonsense'; it has .*CPUExecutionProvider$"),
    ],
)
def test_unknown_providers(session: Opener, name: str, says: str) -> None:
    with pytest.raises(errors.UnknownProviderError, match=says):
        session(graphs.identity(), providers=[name])


def test_a_provider_after_the_cpus_would_get_nothing(session: Opener) -> None:
    with pytest.raises(errors.InvalidArgument, match=f"put {CPU} last"):
        session(graphs.identity(), providers=[CPU, AZURE])


def test_providers_in_session_options(session: Opener) -> None:
    options = ortpack.SessionOptions()
    assert not options.has_providers()
    options.add_provider(AZURE, {})
    assert options.has_providers()
    assert session(graphs.identity(), options).get_providers() == [AZURE, CPU]
    assert session(graphs.identity(), options, [CPU]).get_providers() == [CPU]


def test_devices(session: Opener) -> None:
    assert session(graphs.identity(), device="cpu").get_providers() == [CPU]
    with pytest.raises(errors.UnknownDeviceError):
        session(graphs.identity(), device="cuda")
    with pytest.raises(ValueError, match="not both"):
        session(graphs.identity(), device="cpu", providers=[CPU])


def test_session_options_of_the_official_package(session: Opener) -> None:
    with pytest.raises(TypeError, match=r"ortpack.SessionOptions"):
        session(graphs.identity(), onnxruntime.SessionOptions())


# --- functions of the package ------------------------------------------------------------------------------------


@pytest.mark.skipif(onnxruntime.__version__ != NEWEST, reason="compares with the official package of that release")
def test_functions() -> None:
    assert ortpack.get_available_providers() == onnxruntime.get_available_providers()
    assert ortpack.get_version_string() == onnxruntime.get_version_string()
    assert ortpack.get_device() == onnxruntime.get_device()
    assert set(onnxruntime.get_all_providers()) <= set(ortpack.get_all_providers())
    assert "ORT Build Info" in ortpack.get_build_info()


def test_logging(capfd: pytest.CaptureFixture[str], runtime: ortpack.LoadedRuntime) -> None:
    def log() -> str:
        ortpack.InferenceSession(graphs.identity(), runtime=runtime)
        return capfd.readouterr().err

    assert log() == ""
    try:
        ortpack.set_default_logger_severity(1)
        assert "INFO" in log().upper() or "[I:" in log()
    finally:
        ortpack.set_default_logger_severity(2)
    assert log() == ""
    for wrong in (-1, 5):
        with pytest.raises(errors.InvalidArgument, match="severity"):
            ortpack.set_default_logger_severity(wrong)


def test_run_options_log(capfd: pytest.CaptureFixture[str], session: Opener) -> None:
    opened = session(graphs.add())
    bad = {"a": np.ones((2, 2), np.float32), "b": np.ones((3, 2), np.float32)}
    options = ortpack.RunOptions()
    options.logid = "the-run"
    with pytest.raises(errors.OrtError):
        opened.run(None, bad, options)
    assert "the-run" in capfd.readouterr().err
    options.log_severity_level = 4
    with pytest.raises(errors.OrtError):
        opened.run(None, bad, options)
    assert capfd.readouterr().err == ""


def test_run_config_entries(session: Opener) -> None:
    options = ortpack.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    assert options.get_run_config_entry("memory.enable_memory_arena_shrinkage") == "cpu:0"
    with pytest.raises(RuntimeError, match="no config entry 'other'"):
        options.get_run_config_entry("other")
    assert session(graphs.identity()).run(None, {"x": f32(1)}, options)[0] == 1
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "nonsense")  # known to the session already
    with pytest.raises(errors.OrtError, match="nonsense"):
        session(graphs.identity()).run(None, {"x": f32(1)}, options)


def test_shared_thread_pools() -> None:
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
import numpy as np, ortpack
from support import graphs
from support.official import NEWEST, library
import os
os.environ["ORTPACK_LIBRARY"] = str(library(NEWEST))
ortpack.set_global_thread_pool_sizes(2, 1)
options = ortpack.SessionOptions()
options.use_per_session_threads = False
session = ortpack.InferenceSession(graphs.identity(), options)
assert session.run(None, {{"x": np.ones(1, np.float32)}})[0] == 1
try:
    ortpack.set_global_thread_pool_sizes(1, 1)
except ortpack.errors.Fail as error:
    assert "before the first session" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_default_verbosity() -> None:
    ortpack.set_default_logger_verbosity(1)
    try:
        ortpack.InferenceSession(graphs.identity())
    finally:
        ortpack.set_default_logger_verbosity(0)


def test_run_options_keep_what_was_set() -> None:
    options = ortpack.RunOptions()
    for name, value in (("log_severity_level", 3), ("log_verbosity_level", 1), ("logid", "é"), ("terminate", True)):
        setattr(options, name, value)
        assert getattr(options, name) == value
    with pytest.raises(TypeError):
        options.terminate = "yes"  # type: ignore[assignment]
