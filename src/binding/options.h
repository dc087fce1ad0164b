// Options of sessions and of runs.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "values.h"

namespace ortpack {

// A path as ONNX Runtime takes it: bytes in the file system's encoding, or wide characters on Windows.
class OrtPath {
 public:
  explicit OrtPath(nb::handle text);
  const ORTCHAR_T* c_str() const noexcept { return path_.c_str(); }

 private:
  std::basic_string<ORTCHAR_T> path_;
};

// Options for sessions of one library. Python records what the user wants (ortpack.SessionOptions) and fills one of
// these when it knows the library.
class SessionOptions {
 public:
  explicit SessionOptions(Library& library);
  SessionOptions(const SessionOptions&) = delete;
  SessionOptions& operator=(const SessionOptions&) = delete;

  Library& library() const noexcept { return *library_; }
  OrtSessionOptions* get() const noexcept { return options_.get(); }
  // What a session has to keep alive: initializers, which are not copied.
  const std::vector<nb::object>& session_owners() const noexcept { return session_owners_; }
  bool keeps_model_bytes() const noexcept { return keeps_model_bytes_; }

  void add_config(const std::string& key, const std::string& value);
  void add_initializer(const std::string& name, nb::handle value);
  void add_external_initializers(const std::vector<std::string>& names, nb::sequence values);
  void add_external_files(const std::vector<nb::object>& names, const std::vector<nb::bytes>& files);
  void append_provider(const std::string& name, const std::map<std::string, std::string>& options);

 private:
  ValueRef own(nb::handle value, std::vector<nb::object>& owners);

  Library* library_;
  Handle<OrtSessionOptions> options_;
  std::vector<nb::object> session_owners_;
  std::vector<nb::object> load_owners_;  // only needed until a session is created: external data
  bool keeps_model_bytes_ = false;
};

// Options of runs; not bound to a library. Each library that runs with them gets its own OrtRunOptions, made at first
// need and kept up to date.
class RunOptions {
 public:
  RunOptions() = default;
  RunOptions(const RunOptions&) = delete;
  RunOptions& operator=(const RunOptions&) = delete;

  // The library's own options. Needs the GIL, as does everything here that changes something; `terminate` may be set
  // while a run goes on in another thread, which is what it is for.
  const OrtRunOptions* in(Library& library);

  int severity() const noexcept { return severity_; }
  int verbosity() const noexcept { return verbosity_; }
  const std::string& tag() const noexcept { return tag_; }
  bool terminate() const noexcept { return terminate_; }
  std::string config(const std::string& key) const;

  void set_severity(int severity);
  void set_verbosity(int verbosity);
  void set_tag(const std::string& tag);
  void set_terminate(bool terminate);
  void set_config(const std::string& key, const std::string& value);

 private:
  struct Native {
    Library* library;
    Handle<OrtRunOptions> options;
  };
  template <class F>
  void each(F&& apply);

  int severity_ = -1;  // the session's
  int verbosity_ = 0;
  std::string tag_;
  bool terminate_ = false;
  std::map<std::string, std::string> config_;
  std::vector<Native> natives_;
};

void bind_options(nb::module_& module);

}  // namespace ortpack
