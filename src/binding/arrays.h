// Conversion between Python's objects (NumPy arrays, lists, dicts, None) and ONNX Runtime's values.
#pragma once

#include <nanobind/nanobind.h>

#include <vector>

#include "library.h"
#include "types.h"

namespace ortpack {

namespace nb = nanobind;

// Imports NumPy's C API; to be called once, before anything else here.
void import_numpy();

// Keeps the objects alive whose memory ONNX Runtime reads as inputs without a copy.
class Keep {
 public:
  Keep() = default;
  Keep(const Keep&) = delete;
  Keep& operator=(const Keep&) = delete;
  ~Keep() {
    for (size_t i = 0; i < few_; ++i) Py_DECREF(local_[i].object);
    for (const Memory& memory : more_) Py_DECREF(memory.object);
  }

  // `object` owns `size` bytes at `data`, which a value lies over.
  void add(nb::object object, const void* data, size_t size) {
    const Memory memory = {object.release().ptr(), static_cast<const char*>(data), size};
    if (few_ < capacity) {
      local_[few_++] = memory;
    } else {
      more_.push_back(memory);
    }
  }

  // Whether `data` points into memory of an input.
  bool owns(const void* data) const noexcept {
    for (size_t i = 0; i < few_; ++i) {
      if (local_[i].holds(data)) return true;
    }
    for (const Memory& memory : more_) {
      if (memory.holds(data)) return true;
    }
    return false;
  }

  template <class F>
  void each(F&& function) const {
    for (size_t i = 0; i < few_; ++i) function(nb::handle(local_[i].object));
    for (const Memory& memory : more_) function(nb::handle(memory.object));
  }

 private:
  struct Memory {
    PyObject* object;
    const char* data;
    size_t size;
    bool holds(const void* pointer) const noexcept {
      const auto p = reinterpret_cast<uintptr_t>(pointer);
      const auto start = reinterpret_cast<uintptr_t>(data);
      return p >= start && p - start < size;
    }
  };
  static constexpr size_t capacity = 16;
  size_t few_ = 0;
  Memory local_[capacity];
  std::vector<Memory> more_;
};

// A value for the duration of a call: made for it, or lent by a Python object that `Keep` holds.
class ValueRef {
 public:
  ValueRef(Handle<OrtValue> made) noexcept : made_(std::move(made)), value_(made_.get()) {}  // NOLINT: implicit
  ValueRef(const OrtApi& api, OrtValue* lent) noexcept : made_(api), value_(lent) {}
  OrtValue* get() const noexcept { return value_; }
  bool is_lent() const noexcept { return !made_; }
  // Gives up what it owns; nothing when the value was lent.
  OrtValue* release() noexcept { return made_.release(); }

 private:
  Handle<OrtValue> made_;
  OrtValue* value_;
};

// The type and shape of a tensor that exists.
struct TensorInfo {
  int element;
  size_t rank;
  size_t count;  // of elements
  std::vector<int64_t> more;
  int64_t few[8];

  TensorInfo(const Library& library, const OrtValue* value);
  const int64_t* dims() const noexcept { return more.empty() ? few : more.data(); }
};

// Whether an optional holds a value. ONNX Runtime crashes when it is asked anything else of an empty one.
bool has_value(const Library& library, const OrtValue* value);

// The type of a value; it has to be one that has_value.
ONNXType kind_of(const Library& library, const OrtValue* value);

// Bytes of a tensor with `count` elements; strings have none of their own.
size_t tensor_bytes(const ElementType& type, size_t count) noexcept;

// A value of the type `type` for `object`; lies over the object's memory where that is possible, and then `keep` holds
// what has to stay alive. Throws Error("InvalidArgument") with "expected …, got …".
ValueRef to_value(Library& library, const ValueType& type, nb::handle object, Keep& keep);

// The tensor type that fits an array's dtype. Throws Error("InvalidArgument") when there is none.
ValueType type_of_array(nb::handle array);

// NumPy's dtype for an element type: a type of ml_dtypes where one is needed and the package is there, else the
// unsigned integer of the same size.
nb::object dtype_of(const ElementType& type);

// The Python object for a value; None for an optional without one. Arrays own the value and lie over its memory, unless
// `fed` holds that memory (the model hands an input through): then they are copies.
nb::object to_python(const Library& library, Handle<OrtValue> value, const Keep* fed);

// The same for what is known to be a tensor.
nb::object to_array(const Library& library, Handle<OrtValue> value, const Keep* fed);

// An array over the memory of a tensor that `owner` keeps alive.
nb::object to_view(const Library& library, OrtValue* value, nb::handle owner);

// The same for any value: sequences and maps are copied, an optional without a value is None.
nb::object value_to_python(const Library& library, OrtValue* value, nb::handle owner);

// "an array of float64, shape (2, 3)", "a list", …
std::string describe(nb::handle object);

}  // namespace ortpack
