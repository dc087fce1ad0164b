#include "library.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <map>

#include "entry.h"

namespace ortpack {

namespace {

constexpr uint32_t oldest_api = 17;

void check_severity(int severity) {
  if (severity < ORT_LOGGING_LEVEL_VERBOSE || severity > ORT_LOGGING_LEVEL_FATAL) {
    throw Error("InvalidArgument", "log severity " + std::to_string(severity) +
                                       " is none of 0 (verbose), 1 (info), 2 (warning), 3 (error), 4 (fatal)");
  }
}

// State that all libraries share. It is never destroyed, as the libraries are not.
struct Process {
  std::mutex mutex;
  std::map<const OrtApiBase*, Library*> libraries;
  int severity = ORT_LOGGING_LEVEL_WARNING;
  std::atomic<bool> telemetry{false};
};

Process& process() {
  static Process& shared = *new Process;
  return shared;
}

// Sets what every library logs, those that are loaded later included.
void set_severity_of_all(int severity) {
  const std::lock_guard<std::mutex> lock(process().mutex);
  check_severity(severity);
  process().severity = severity;
  for (const auto& [base, library] : process().libraries) library->set_default_logger_severity(severity);
}

// Turns the telemetry of every library on or off, those that are loaded later included. Whether a library starts it at
// all is up to ORT_DISABLE_TELEMETRY in the environment, which ortpack/_telemetry.py sets.
void set_telemetry_of_all(bool on) {
  const std::lock_guard<std::mutex> lock(process().mutex);
  process().telemetry = on;
  for (const auto& [base, library] : process().libraries) library->set_telemetry(on);
}

}  // namespace

Library& Library::open(const std::string& path) {
  const OrtApiBase* base = find_api_base(path);
  const std::lock_guard<std::mutex> lock(process().mutex);
  Library*& library = process().libraries[base];
  if (library == nullptr) {
    library = new Library(*base, path);
    library->severity_ = static_cast<OrtLoggingLevel>(process().severity);
  }
  return *library;
}

Library::Library(const OrtApiBase& base, const std::string& path) : base_(&base), path_(path) {
  version_ = base.GetVersionString();
  unsigned major = 0;
  unsigned minor = 0;
  if (std::sscanf(version_.c_str(), "%u.%u", &major, &minor) != 2 || major != 1) {
    throw Error("RuntimeLoadError", path + " calls itself ONNX Runtime " + version_ + ", which ortpack can't use");
  }
  if (minor < oldest_api) {
    throw Error("RuntimeLoadError", path + " is ONNX Runtime " + version_ + "; ortpack needs 1." +
                                        std::to_string(oldest_api) + " or newer");
  }
  api_version_ = minor;
  // Asking for a newer version than the library has would make it print to standard error
  table_version_ = std::min<uint32_t>(minor, ORT_API_VERSION);
  api_ = base.GetApi(table_version_);
  if (api_ == nullptr) {
    throw Error("RuntimeLoadError", path + " (ONNX Runtime " + version_ + ") does not offer version " +
                                        std::to_string(table_version_) + " of its C API");
  }
  check(*api_, api_->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &cpu_memory_));
  check(*api_, api_->GetAllocatorWithDefaultOptions(&allocator_));
}

namespace {

void demand_version(uint32_t has, uint32_t since, const char* what, const std::string& version) {
  if (has < since) {
    throw Error("NotImplemented", std::string(what) + " needs ONNX Runtime 1." + std::to_string(since) +
                                      " or newer; this runtime is " + version);
  }
}

}  // namespace

void Library::need(uint32_t since, const char* what) const { demand_version(table_version_, since, what, version_); }

const OrtApi& Library::newer_api(uint32_t since, const char* what) const {
  demand_version(api_version_, since, what, version_);
  const OrtApi* table = base_->GetApi(since);
  if (table == nullptr) throw Error("NotImplemented", std::string(what) + " is not part of this runtime");
  return *table;
}

OrtEnv* Library::env() {
  const std::lock_guard<std::mutex> lock(env_mutex_);
  if (env_ == nullptr) env_ = make_env();
  return env_;
}

OrtEnv* Library::make_env() const {
  OrtEnv* env = nullptr;
  if (!global_threads_) {
    check(*api_, api_->CreateEnv(severity_, ORTPACK_PACKAGE, &env));
  } else {
    OrtThreadingOptions* threading = nullptr;
    check(*api_, api_->CreateThreadingOptions(&threading));
    OrtStatus* status = api_->SetGlobalIntraOpNumThreads(threading, global_intra_op_);
    if (status == nullptr) status = api_->SetGlobalInterOpNumThreads(threading, global_inter_op_);
    if (status == nullptr) status = api_->CreateEnvWithGlobalThreadPools(severity_, ORTPACK_PACKAGE, threading, &env);
    api_->ReleaseThreadingOptions(threading);
    check(*api_, status);
  }
  // Windows' builds with ETW events do not look at ORT_DISABLE_TELEMETRY, and have them on until they are told
  if (!process().telemetry) check(*api_, api_->DisableTelemetryEvents(env));
  return env;
}

std::vector<std::string> Library::available_providers() const {
  char** names = nullptr;
  int count = 0;
  check(*api_, api_->GetAvailableProviders(&names, &count));
  std::vector<std::string> providers(names, names + count);
  check(*api_, api_->ReleaseAvailableProviders(names, count));
  return providers;
}

void Library::set_default_logger_severity(int severity) {
  check_severity(severity);
  const std::lock_guard<std::mutex> lock(env_mutex_);
  severity_ = static_cast<OrtLoggingLevel>(severity);
  if (env_ != nullptr) check(*api_, api_->UpdateEnvWithCustomLogLevel(env_, severity_));
}

void Library::set_telemetry(bool on) {
  const std::lock_guard<std::mutex> lock(env_mutex_);
  if (env_ == nullptr) return;
  check(*api_, on ? api_->EnableTelemetryEvents(env_) : api_->DisableTelemetryEvents(env_));
}

void Library::set_global_threads(int intra_op, int inter_op) {
  const std::lock_guard<std::mutex> lock(env_mutex_);
  if (env_ != nullptr) {
    throw Error("Fail", "the global thread pools have to be set before the first session is created");
  }
  global_threads_ = true;
  global_intra_op_ = intra_op;
  global_inter_op_ = inter_op;
}

namespace {

// Turns a path into the file system's bytes: on POSIX a path need not be Unicode.
std::string encoded(nb::handle path) {
  const nb::object bytes = nb::steal(PyUnicode_EncodeFSDefault(path.ptr()));
  if (!bytes.is_valid()) nb::raise_python_error();
  return {PyBytes_AsString(bytes.ptr()), static_cast<size_t>(PyBytes_Size(bytes.ptr()))};
}

nb::object decoded(const std::string& path) {
  return nb::steal(PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size())));
}

}  // namespace

void bind_library(nb::module_& module) {
  module.def("set_default_logger_severity", &set_severity_of_all, nb::arg("severity"),
             "What every library logs, those that are loaded later included.");
  module.def("set_telemetry", &set_telemetry_of_all, nb::arg("on"),
             "Turns the telemetry of every library on or off, those that are loaded later included.");
  nb::class_<Library>(module, "Library", "One ONNX Runtime library, loaded for as long as the process lives.")
      .def(nb::new_([](nb::str path) { return &Library::open(encoded(path)); }), nb::arg("path") = "",
           nb::rv_policy::reference)
      .def_prop_ro("path", [](const Library& self) { return decoded(self.path()); })
      .def_prop_ro("version", &Library::version)
      .def_prop_ro("api_version", &Library::api_version)
      .def("available_providers", &Library::available_providers)
      .def("build_info", &Library::build_info)
      .def("set_default_logger_severity", &Library::set_default_logger_severity, nb::arg("severity"))
      .def("set_global_threads", &Library::set_global_threads, nb::arg("intra_op"), nb::arg("inter_op"))
      .def("__repr__", [](const Library& self) {
        return nb::str("<Library ONNX Runtime {} at {}>").format(self.version(), decoded(self.path()));
      });
}

}  // namespace ortpack
