#include "options.h"

#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

namespace ortpack {

OrtPath::OrtPath(nb::handle text) {
#ifdef _WIN32
  Py_ssize_t length = 0;
  wchar_t* wide = PyUnicode_AsWideCharString(text.ptr(), &length);
  if (wide == nullptr) nb::raise_python_error();
  path_.assign(wide, static_cast<size_t>(length));
  PyMem_Free(wide);
#else
  PyObject* bytes = PyUnicode_EncodeFSDefault(text.ptr());
  if (bytes == nullptr) nb::raise_python_error();
  path_.assign(PyBytes_AsString(bytes), static_cast<size_t>(PyBytes_Size(bytes)));
  Py_DECREF(bytes);
#endif
}

// --- sessions ----------------------------------------------------------------------------------------------------

SessionOptions::SessionOptions(Library& library) : library_(&library), options_(library.api()) {
  check(library.api(), library.api().CreateSessionOptions(options_.out()));
}

void SessionOptions::add_config(const std::string& key, const std::string& value) {
  const OrtApi& api = library_->api();
  check(api, api.AddSessionConfigEntry(get(), key.c_str(), value.c_str()));
  // With these entries a session of an .ort model goes on reading the bytes it was created from
  if (key.rfind("session.use_ort_model_bytes", 0) == 0 && value == "1") keeps_model_bytes_ = true;
}

ValueRef SessionOptions::own(nb::handle object, std::vector<nb::object>& owners) {
  nb::object holder;
  const Value* value = find_value(object, holder);
  if (value == nullptr) throw Error("InvalidArgument", "expected an OrtValue, got " + describe(object));
  Keep keep;
  ValueRef ref = value->in(*library_, keep, holder);
  if (ref.get() == nullptr) throw Error("InvalidArgument", "an empty optional can't be an initializer");
  keep.each([&](nb::handle owner) { owners.push_back(nb::borrow(owner)); });
  return ref;
}

void SessionOptions::add_initializer(const std::string& name, nb::handle value) {
  const OrtApi& api = library_->api();
  ValueRef ref = own(value, session_owners_);
  check(api, api.AddInitializer(get(), name.c_str(), ref.get()));
  // The session goes on using the value itself
  if (!ref.is_lent())
    session_owners_.push_back(make_value(*library_, Handle<OrtValue>(api, ref.release()), nb::none()));
}

void SessionOptions::add_external_initializers(const std::vector<std::string>& names, nb::sequence values) {
  const OrtApi& api = library_->api();
  std::vector<const char*> texts;
  std::vector<ValueRef> refs;
  std::vector<const OrtValue*> pointers;
  for (const std::string& name : names) texts.push_back(name.c_str());
  for (nb::handle value : values) refs.push_back(own(value, load_owners_));
  if (refs.size() != texts.size()) {
    throw Error("InvalidArgument", std::to_string(texts.size()) + " names of external initializers, but " +
                                       std::to_string(refs.size()) + " values");
  }
  for (const ValueRef& ref : refs) pointers.push_back(ref.get());
  check(api, api.AddExternalInitializers(get(), texts.data(), pointers.data(), pointers.size()));
  for (ValueRef& ref : refs) {
    if (!ref.is_lent()) load_owners_.push_back(make_value(*library_, Handle<OrtValue>(api, ref.release()), nb::none()));
  }
}

void SessionOptions::add_external_files(const std::vector<nb::object>& names, const std::vector<nb::bytes>& files) {
  library_->need(18, "add_external_initializers_from_files_in_memory");
  const OrtApi& api = library_->api();
  std::vector<OrtPath> paths;
  std::vector<const ORTCHAR_T*> texts;
  std::vector<char*> data;
  std::vector<size_t> sizes;
  paths.reserve(names.size());
  for (const nb::object& name : names) {
    paths.emplace_back(name);
    texts.push_back(paths.back().c_str());
  }
  for (const nb::bytes& file : files) {
    data.push_back(const_cast<char*>(file.c_str()));
    sizes.push_back(file.size());
    load_owners_.push_back(file);
  }
  if (texts.size() != data.size()) throw Error("InvalidArgument", "as many names as files are needed");
  check(api, api.AddExternalInitializersFromFilesInMemory(get(), texts.data(), data.data(), sizes.data(), data.size()));
}

namespace {

using Options = std::map<std::string, std::string>;

struct KeyValues {
  std::vector<const char*> keys;
  std::vector<const char*> values;
  explicit KeyValues(const Options& options) {
    for (const auto& [key, value] : options) {
      keys.push_back(key.c_str());
      values.push_back(value.c_str());
    }
  }
};

// Providers with an options object of their own share one shape: create, update, append, release.
template <class T, class Create, class Update, class Append, class Free>
void append_with(const OrtApi& api, OrtSessionOptions* session, const KeyValues& pairs, Create create, Update update,
                 Append append, Free free) {
  T* options = nullptr;
  check(api, create(&options));
  OrtStatus* status = nullptr;
  if (!pairs.keys.empty()) status = update(options, pairs.keys.data(), pairs.values.data(), pairs.keys.size());
  if (status == nullptr) status = append(session, options);
  free(options);
  check(api, status);
}

// Names that the generic function spells differently from the provider's own name, less "ExecutionProvider".
constexpr std::pair<const char*, const char*> generic_names[] = {
    {"AzureExecutionProvider", "AZURE"},     {"DmlExecutionProvider", "DML"},
    {"JsExecutionProvider", "JS"},           {"NvTensorRTRTXExecutionProvider", "NvTensorRtRtx"},
    {"WebGpuExecutionProvider", "WebGPU"},   {"WebNNExecutionProvider", "WEBNN"},
    {"XnnpackExecutionProvider", "XNNPACK"},
};

}  // namespace

void SessionOptions::append_provider(const std::string& name, const Options& options) {
  const OrtApi& api = library_->api();
  const KeyValues pairs(options);
  const size_t count = pairs.keys.size();
  if (name == "CPUExecutionProvider") return;  // always there, always last
  library_->env();  // providers in libraries of their own log while they are loaded, and the logger comes with it
  if (name == "CUDAExecutionProvider") {
    append_with<OrtCUDAProviderOptionsV2>(
        api, get(), pairs, api.CreateCUDAProviderOptions, api.UpdateCUDAProviderOptions,
        api.SessionOptionsAppendExecutionProvider_CUDA_V2, api.ReleaseCUDAProviderOptions);
    return;
  }
  if (name == "TensorrtExecutionProvider") {
    append_with<OrtTensorRTProviderOptionsV2>(
        api, get(), pairs, api.CreateTensorRTProviderOptions, api.UpdateTensorRTProviderOptions,
        api.SessionOptionsAppendExecutionProvider_TensorRT_V2, api.ReleaseTensorRTProviderOptions);
    return;
  }
  if (name == "OpenVINOExecutionProvider") {
    check(api,
          api.SessionOptionsAppendExecutionProvider_OpenVINO_V2(get(), pairs.keys.data(), pairs.values.data(), count));
    return;
  }
  if (name == "VitisAIExecutionProvider") {
    library_->need(18, name.c_str());
    check(api, api.SessionOptionsAppendExecutionProvider_VitisAI(get(), pairs.keys.data(), pairs.values.data(), count));
    return;
  }
  std::string generic = name;
  const std::string suffix = "ExecutionProvider";
  if (generic.size() > suffix.size() && generic.compare(generic.size() - suffix.size(), suffix.size(), suffix) == 0) {
    generic.resize(generic.size() - suffix.size());
  }
  for (const auto& [provider, spelling] : generic_names) {
    if (name == provider) generic = spelling;
  }
  check(api, api.SessionOptionsAppendExecutionProvider(get(), generic.c_str(), pairs.keys.data(), pairs.values.data(),
                                                       count));
}

// --- runs --------------------------------------------------------------------------------------------------------

const OrtRunOptions* RunOptions::in(Library& library) {
  for (const Native& native : natives_) {
    if (native.library == &library) return native.options.get();
  }
  const OrtApi& api = library.api();
  Handle<OrtRunOptions> options(api);
  check(api, api.CreateRunOptions(options.out()));
  if (severity_ >= 0) check(api, api.RunOptionsSetRunLogSeverityLevel(options.get(), severity_));
  check(api, api.RunOptionsSetRunLogVerbosityLevel(options.get(), verbosity_));
  check(api, api.RunOptionsSetRunTag(options.get(), tag_.c_str()));
  if (terminate_) check(api, api.RunOptionsSetTerminate(options.get()));
  for (const auto& [key, value] : config_) check(api, api.AddRunConfigEntry(options.get(), key.c_str(), value.c_str()));
  natives_.push_back({&library, std::move(options)});
  return natives_.back().options.get();
}

template <class F>
void RunOptions::each(F&& apply) {
  for (const Native& native : natives_)
    check(native.library->api(), apply(native.library->api(), native.options.get()));
}

void RunOptions::set_severity(int severity) {
  each([=](const OrtApi& api, OrtRunOptions* options) {
    return api.RunOptionsSetRunLogSeverityLevel(options, severity);
  });
  severity_ = severity;
}

void RunOptions::set_verbosity(int verbosity) {
  each([=](const OrtApi& api, OrtRunOptions* options) {
    return api.RunOptionsSetRunLogVerbosityLevel(options, verbosity);
  });
  verbosity_ = verbosity;
}

void RunOptions::set_tag(const std::string& tag) {
  each([&](const OrtApi& api, OrtRunOptions* options) { return api.RunOptionsSetRunTag(options, tag.c_str()); });
  tag_ = tag;
}

void RunOptions::set_terminate(bool terminate) {
  each([=](const OrtApi& api, OrtRunOptions* options) {
    return terminate ? api.RunOptionsSetTerminate(options) : api.RunOptionsUnsetTerminate(options);
  });
  terminate_ = terminate;
}

void RunOptions::set_config(const std::string& key, const std::string& value) {
  each([&](const OrtApi& api, OrtRunOptions* options) {
    return api.AddRunConfigEntry(options, key.c_str(), value.c_str());
  });
  config_[key] = value;
}

std::string RunOptions::config(const std::string& key) const {
  const auto found = config_.find(key);
  if (found == config_.end()) throw Error("NotFound", "these RunOptions have no config entry '" + key + "'");
  return found->second;
}

namespace {

// Calls one function of the API table on the options.
template <class F, class... Args>
void call(SessionOptions& self, F OrtApi::* function, Args... args) {
  const OrtApi& api = self.library().api();
  check(api, (api.*function)(self.get(), args...));
}

}  // namespace

void bind_options(nb::module_& module) {
  using Self = SessionOptions;
  nb::class_<Self>(module, "NativeSessionOptions", "Options for sessions of one library.")
      .def(nb::init<Library&>(), nb::arg("library"))
      .def("set_execution_mode",
           [](Self& self, int mode) { call(self, &OrtApi::SetSessionExecutionMode, static_cast<ExecutionMode>(mode)); })
      .def("set_graph_optimization_level",
           [](Self& self, int level) {
             call(self, &OrtApi::SetSessionGraphOptimizationLevel, static_cast<GraphOptimizationLevel>(level));
           })
      .def("set_intra_op_num_threads", [](Self& self, int count) { call(self, &OrtApi::SetIntraOpNumThreads, count); })
      .def("set_inter_op_num_threads", [](Self& self, int count) { call(self, &OrtApi::SetInterOpNumThreads, count); })
      .def("set_log_severity_level",
           [](Self& self, int level) { call(self, &OrtApi::SetSessionLogSeverityLevel, level); })
      .def("set_log_verbosity_level",
           [](Self& self, int level) { call(self, &OrtApi::SetSessionLogVerbosityLevel, level); })
      .def("set_logid", [](Self& self, const std::string& id) { call(self, &OrtApi::SetSessionLogId, id.c_str()); })
      .def("set_mem_pattern",
           [](Self& self, bool on) { call(self, on ? &OrtApi::EnableMemPattern : &OrtApi::DisableMemPattern); })
      .def("set_cpu_mem_arena",
           [](Self& self, bool on) { call(self, on ? &OrtApi::EnableCpuMemArena : &OrtApi::DisableCpuMemArena); })
      .def("set_deterministic_compute", [](Self& self, bool on) { call(self, &OrtApi::SetDeterministicCompute, on); })
      .def("disable_per_session_threads", [](Self& self) { call(self, &OrtApi::DisablePerSessionThreads); })
      .def("enable_profiling",
           [](Self& self, nb::str prefix) { call(self, &OrtApi::EnableProfiling, OrtPath(prefix).c_str()); })
      .def("set_optimized_model_filepath",
           [](Self& self, nb::str path) { call(self, &OrtApi::SetOptimizedModelFilePath, OrtPath(path).c_str()); })
      .def("add_free_dimension_override_by_name",
           [](Self& self, const std::string& name, int64_t size) {
             call(self, &OrtApi::AddFreeDimensionOverrideByName, name.c_str(), size);
           })
      .def("add_free_dimension_override_by_denotation",
           [](Self& self, const std::string& denotation, int64_t size) {
             call(self, &OrtApi::AddFreeDimensionOverride, denotation.c_str(), size);
           })
      .def("register_custom_ops_library",
           [](Self& self, nb::str path) { call(self, &OrtApi::RegisterCustomOpsLibrary_V2, OrtPath(path).c_str()); })
      .def("add_session_config_entry", &Self::add_config)
      .def("add_initializer", &Self::add_initializer)
      .def("add_external_initializers", &Self::add_external_initializers)
      .def("add_external_initializers_from_files_in_memory", &Self::add_external_files)
      .def("append_provider", &Self::append_provider, nb::arg("name"), nb::arg("options"));

  nb::class_<RunOptions>(module, "RunOptions", "Options of runs, for sessions of any library.")
      .def(nb::init<>())
      .def_prop_rw("log_severity_level", &RunOptions::severity, &RunOptions::set_severity,
                   "0 verbose, 1 info, 2 warning, 3 error, 4 fatal; -1: the session's.")
      .def_prop_rw("log_verbosity_level", &RunOptions::verbosity, &RunOptions::set_verbosity,
                   "How much is logged at severity 0.")
      .def_prop_rw("logid", &RunOptions::tag, &RunOptions::set_tag, "Names the run in the log.")
      .def_prop_rw("terminate", &RunOptions::terminate, &RunOptions::set_terminate,
                   "Set it, from any thread, to end all runs that use these options, those that go on included.")
      .def_prop_rw(
          "only_execute_path_to_fetches", [](const RunOptions&) { return false; },
          [](RunOptions&, bool on) {
            if (on)
              throw Error("NotImplemented", "only_execute_path_to_fetches can't be set through ONNX Runtime's C API");
          },
          "Always False: the C API has no such setting.")
      .def("add_run_config_entry", &RunOptions::set_config, nb::arg("key"), nb::arg("value"))
      .def("get_run_config_entry", &RunOptions::config, nb::arg("key"));
}

}  // namespace ortpack
