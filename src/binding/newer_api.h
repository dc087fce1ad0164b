// Functions of ONNX Runtime's C API that are newer than the header this binding is compiled with.
#pragma once

#include "options.h"
#include "session.h"

namespace ortpack {

// Opaque here: a device of this machine together with an execution provider that can use it (ORT's OrtEpDevice).
struct NativeEpDevice;

// Owned by the library's OrtEnv, and gone when the provider library that offered it is unregistered; so it is looked
// up among the current ones before each use.
struct EpDevice {
  Library* library;
  const NativeEpDevice* native;
  std::string ep_name;
};

void bind_newer_api(nb::module_& module);

}  // namespace ortpack
