#include "unlocked.h"

#include <atomic>
#include <chrono>
#include <thread>

namespace ortpack {

namespace {

// A thread that takes the GIL counts itself in `locking` first. So it either sees that the end has begun, or end() sees
// it and waits.
std::atomic<bool> ending{false};
std::atomic<int> locking{0};
std::thread::id ending_thread;  // written before `ending`

void end() {
  ending_thread = std::this_thread::get_id();
  ending = true;
  while (locking > 0) {
    PyThreadState* state = PyEval_SaveThread();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    PyEval_RestoreThread(state);
  }
}

}  // namespace

void Unlocked::lock(PyThreadState* state) {
  ++locking;
  if (ending && std::this_thread::get_id() != ending_thread) {
    --locking;
    while (true) std::this_thread::sleep_for(std::chrono::hours(1));
  }
  PyEval_RestoreThread(state);
  --locking;
}

void bind_unlocked(nanobind::module_& module) {
  module.def("_end", &end, "Called when Python shuts down.");
  nanobind::module_::import_("atexit").attr("register")(module.attr("_end"));
}

}  // namespace ortpack
