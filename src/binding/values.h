// A value that Python holds: the core of the package's OrtValue.
#pragma once

#include "arrays.h"

namespace ortpack {

class Value {
 public:
  // `owner` keeps alive what the value lies over, if it does not own its memory.
  Value(Library& library, Handle<OrtValue> value, nb::object owner);

  Library& library() const noexcept { return *library_; }
  OrtValue* get() const noexcept { return value_.get(); }

  // This value for a session of `library`. A value of another library is made anew: over the same memory for tensors
  // of the CPU, by copying for strings, sequences and maps. Throws InvalidArgument where neither is possible.
  // Null for an empty optional: ONNX Runtime wants that input left out, and crashes when it is given.
  ValueRef in(Library& library, Keep& keep, nb::handle self) const;

  ONNXType kind() const;  // ONNX_TYPE_UNKNOWN for an optional that is empty
  bool has_value() const;
  std::string data_type() const;
  TensorInfo tensor_info(const char* what) const;  // throws InvalidArgument, naming `what`, when this is no tensor
  std::string device_name() const;                 // "Cpu", "Cuda", …
  int device_id() const;
  bool is_on_cpu() const;
  void* data() const;

 private:
  const OrtMemoryInfo* memory() const;

  Library* library_;
  nb::object owner_;
  Handle<OrtValue> value_;
};

// The Value in `object`: itself, or in its attribute `_value`. Null when there is none.
const Value* find_value(nb::handle object, nb::object& holder);

nb::object make_value(Library& library, Handle<OrtValue> value, nb::object owner);

void bind_values(nb::module_& module);

}  // namespace ortpack
