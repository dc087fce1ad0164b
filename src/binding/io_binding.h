// Inputs and outputs that stay bound to a session from run to run.
#pragma once

#include "session.h"

namespace ortpack {

class IoBinding {
 public:
  // Python keeps the session alive for as long as this.
  explicit IoBinding(Session& session);

  void bind_input(const std::string& name, nb::handle value);  // an array, or an OrtValue
  void bind_output(const std::string& name, nb::handle value);
  void bind_output_to_device(const std::string& name, const std::string& device, int device_id);
  void clear_inputs();
  void clear_outputs();
  void synchronize_inputs();
  void synchronize_outputs();
  void run(nb::handle run_options);
  nb::list outputs();  // of Value, in the order in which they were bound

 private:
  Session& session() const noexcept { return *session_; }
  const OrtApi& api() const noexcept { return session_->library().api(); }

  Session* session_;
  // What bound values lie over, by the name of the input or output
  std::map<std::string, nb::object> input_owners_;
  std::map<std::string, nb::object> output_owners_;
  Handle<OrtIoBinding> binding_;
};

void bind_io_binding(nb::module_& module);

}  // namespace ortpack
