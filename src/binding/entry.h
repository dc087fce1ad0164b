// Finds OrtGetApiBase. Only this file and entry.cpp know whether ONNX Runtime is loaded or linked in.
#pragma once

#include <onnxruntime_c_api.h>

#include <string>

namespace ortpack {

// Loads the library at `path` (UTF-8) for the rest of the process's life, and returns its entry point.
// In a build with ORTPACK_STATIC_ORT the library is part of this module and `path` is not looked at.
// Throws Error("RuntimeLoadError") with the system's reason.
const OrtApiBase* find_api_base(const std::string& path);

}  // namespace ortpack
