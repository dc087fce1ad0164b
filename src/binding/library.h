// One ONNX Runtime library in this process: its API table and the objects that all its sessions share.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "errors.h"
#include "handles.h"

namespace ortpack {

// A library is never unloaded and its Library never destroyed: sessions, values and arrays over them may outlive
// everything else and still run its code, and its thread pools must not be joined while the process exits.
class Library {
 public:
  // Loads the library at `path`; every path that leads to the same library gives the same object.
  static Library& open(const std::string& path);

  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  const OrtApi& api() const noexcept { return *api_; }
  // The API version that the library itself has.
  uint32_t api_version() const noexcept { return api_version_; }
  const std::string& version() const noexcept { return version_; }
  const std::string& path() const noexcept { return path_; }

  // Throws NotImplemented, naming `what`, when the library is older than API version `since`.
  void need(uint32_t since, const char* what) const;

  // The API table of version `since`, which is newer than the header; throws as `need` does.
  const OrtApi& newer_api(uint32_t since, const char* what) const;

  OrtEnv* env();  // made at first use
  const OrtMemoryInfo* cpu_memory() const noexcept { return cpu_memory_; }
  OrtAllocator* allocator() const noexcept { return allocator_; }

  std::vector<std::string> available_providers() const;
  std::string build_info() const { return api_->GetBuildInfoString(); }
  void set_default_logger_severity(int severity);  // 0 verbose … 4 fatal
  void set_telemetry(bool on);                     // tells the OrtEnv, if it is made already
  void set_global_threads(int intra_op, int inter_op);

 private:
  Library(const OrtApiBase& base, const std::string& path);
  OrtEnv* make_env() const;

  const OrtApiBase* base_;
  const OrtApi* api_;
  uint32_t table_version_;  // of the API table in use: the library's or the header's, whichever is older
  uint32_t api_version_;
  std::string version_;
  std::string path_;
  OrtMemoryInfo* cpu_memory_ = nullptr;
  OrtAllocator* allocator_ = nullptr;

  std::mutex env_mutex_;
  OrtEnv* env_ = nullptr;
  OrtLoggingLevel severity_ = ORT_LOGGING_LEVEL_WARNING;
  bool global_threads_ = false;
  int global_intra_op_ = 0;
  int global_inter_op_ = 0;
};

void bind_library(nb::module_& module);

}  // namespace ortpack
