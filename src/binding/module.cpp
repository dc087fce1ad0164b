// The module `_binding`: everything native of the package.
#include "io_binding.h"
#include "newer_api.h"

NB_MODULE(_binding, module) {
  using namespace ortpack;
  module.doc() = "ONNX Runtime's C API, for any library since 1.17. Private: use the package.";
  // Objects of users may live until the process ends (in globals, in cycles): that is no leak to be reported
  nanobind::set_leak_warnings(false);
  import_numpy();
  bind_unlocked(module);
  bind_errors(module);
  bind_library(module);
  bind_values(module);
  bind_options(module);
  bind_session(module);
  bind_io_binding(module);
  bind_newer_api(module);
}
