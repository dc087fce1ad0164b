// A model that is loaded and ready to run.
#pragma once

#include <unordered_map>

#include "options.h"
#include "unlocked.h"
#include "values.h"

namespace ortpack {

// One input, output or overridable initializer of a model.
struct Port {
  std::string name;
  nb::object key;  // the name as an interned str: users' literals are the same object
  ValueType type;
};

// The ports of one kind, found by name. Comparing pointers nearly always suffices.
class Ports {
 public:
  Ports() = default;
  explicit Ports(std::vector<Port> ports);
  size_t size() const noexcept { return ports_.size(); }
  const Port& operator[](size_t i) const noexcept { return ports_[i]; }
  // The index of the port called `name`; size() when there is none. `guess` is looked at first.
  size_t find(PyObject* name, size_t guess) const;
  std::vector<std::string> names() const;

 private:
  std::vector<Port> ports_;
  std::unordered_map<std::string_view, size_t> index_;
};

class Session {
 public:
  // `model` is bytes, or a str with a path. Throws Error with the path in its message.
  Session(Library& library, nb::object model, SessionOptions& options);

  Library& library() const noexcept { return *library_; }
  OrtSession* get() const noexcept { return session_.get(); }
  const Ports& inputs() const noexcept { return inputs_; }  // those that need a value, then overridable initializers
  const Ports& outputs() const noexcept { return outputs_; }
  size_t required_inputs() const noexcept { return required_; }

  // Safe to be called from many threads at once.
  nb::object run(nb::handle output_names, nb::handle input_feed, nb::handle run_options);
  nb::object run_with_values(nb::handle output_names, nb::handle input_feed, nb::handle run_options);

  std::string end_profiling();
  uint64_t profiling_start_time() const;
  nb::object metadata() const;

 private:
  struct Feed;
  struct Wanted;
  void collect(Feed& feed, nb::handle dict);
  void execute(const Feed& feed, Wanted& wanted, nb::handle run_options);
  template <class Convert>
  nb::object compute(nb::handle output_names, nb::handle input_feed, nb::handle run_options, Convert&& convert);

  Library* library_;
  std::vector<nb::object> owners_;  // what the session reads; declared before it, so it goes after it
  Handle<OrtSession> session_;
  Ports inputs_;
  Ports outputs_;
  size_t required_ = 0;
  std::vector<const char*> output_names_;
};

// The native options for a run: null for None.
const OrtRunOptions* run_options_for(Library& library, nb::handle run_options);

void bind_session(nb::module_& module);

}  // namespace ortpack
