// Working without the GIL.
#pragma once

#include <nanobind/nanobind.h>

namespace ortpack {

// Releases the GIL for as long as it lives.
//
// A thread that asks for the GIL while the interpreter shuts down is ended by Python (before 3.14) with an exception
// that unwinds its stack; on its way it meets frames that are noexcept, and the process aborts. So daemon threads that
// come back from ONNX Runtime then are stopped here instead, and end with the process.
class Unlocked {
 public:
  Unlocked() noexcept : state_(PyEval_SaveThread()) {}
  ~Unlocked() { lock(state_); }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  static void lock(PyThreadState* state);

  PyThreadState* state_;
};

// Has Python tell when it shuts down.
void bind_unlocked(nanobind::module_& module);

}  // namespace ortpack
