#include "values.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "numpy.h"

namespace ortpack {

Value::Value(Library& library, Handle<OrtValue> value, nb::object owner)
    : library_(&library), owner_(std::move(owner)), value_(std::move(value)) {}

ONNXType Value::kind() const { return has_value() ? kind_of(*library_, get()) : ONNX_TYPE_UNKNOWN; }

bool Value::has_value() const { return ortpack::has_value(*library_, get()); }

std::string Value::data_type() const {
  if (!has_value()) return "empty optional";
  const OrtApi& api = library_->api();
  Handle<OrtTypeInfo> info(api);
  check(api, api.GetTypeInfo(get(), info.out()));
  return info ? ValueType::read(*library_, info.get()).text() : "unknown";
}

TensorInfo Value::tensor_info(const char* what) const {
  if (kind() != ONNX_TYPE_TENSOR) {
    throw Error("InvalidArgument", std::string(what) + " is for tensors; this is " + data_type());
  }
  return TensorInfo(*library_, get());
}

const OrtMemoryInfo* Value::memory() const {
  const OrtApi& api = library_->api();
  const OrtMemoryInfo* memory = nullptr;
  check(api, api.GetTensorMemoryInfo(get(), &memory));
  return memory;
}

std::string Value::device_name() const {
  const OrtApi& api = library_->api();
  const char* name = nullptr;
  check(api, api.MemoryInfoGetName(memory(), &name));
  return name;
}

int Value::device_id() const {
  const OrtApi& api = library_->api();
  int id = 0;
  check(api, api.MemoryInfoGetId(memory(), &id));
  return id;
}

bool Value::is_on_cpu() const {
  OrtMemoryInfoDeviceType type = OrtMemoryInfoDeviceType_CPU;
  library_->api().MemoryInfoGetDeviceType(memory(), &type);
  return type == OrtMemoryInfoDeviceType_CPU;
}

void* Value::data() const {
  const OrtApi& api = library_->api();
  void* data = nullptr;
  check(api, api.GetTensorMutableData(get(), &data));
  return data;
}

ValueRef Value::in(Library& library, Keep& keep, nb::handle self) const {
  const OrtApi& api = library.api();
  if (!has_value()) return ValueRef(api, nullptr);
  const ONNXType kind = this->kind();
  const bool is_tensor = kind == ONNX_TYPE_TENSOR;
  if (&library == library_) {
    const ElementType* type = nullptr;
    size_t size = 0;
    void* start = nullptr;
    if (is_tensor) {
      const TensorInfo info(*library_, get());
      type = find_element_type(info.element);
      if (type != nullptr && type->bits != 0) {
        start = data();
        size = tensor_bytes(*type, info.count);
      }
    }
    keep.add(nb::borrow(self), start, size);
    return ValueRef(api, get());
  }
  if (is_tensor) {
    const TensorInfo info(*library_, get());
    const ElementType* type = find_element_type(info.element);
    if (!is_on_cpu()) {
      throw Error("InvalidArgument", "the value lies on the device " + device_name() + " of ONNX Runtime " +
                                         library_->version() + " at " + library_->path() +
                                         "; another runtime can only take values of the CPU");
    }
    if (type != nullptr && type->bits != 0) {
      void* start = data();
      const size_t size = tensor_bytes(*type, info.count);
      Handle<OrtValue> value(api);
      check(api, api.CreateTensorWithDataAsOrtValue(library.cpu_memory(), start, size, info.dims(), info.rank,
                                                    static_cast<ONNXTensorElementDataType>(info.element), value.out()));
      keep.add(nb::borrow(self), start, size);
      return value;
    }
  }
  const OrtApi& own = library_->api();
  Handle<OrtTypeInfo> info(own);
  check(own, own.GetTypeInfo(get(), info.out()));
  const ValueType type = ValueType::read(*library_, info.get());
  return to_value(library, type, value_to_python(*library_, get(), nb::borrow(self)), keep);
}

const Value* find_value(nb::handle object, nb::object& holder) {
  if (nb::isinstance<Value>(object)) {
    holder = nb::borrow(object);
  } else {
    PyObject* inner = PyObject_GetAttrString(object.ptr(), "_value");
    if (inner == nullptr) {
      if (!PyErr_ExceptionMatches(PyExc_AttributeError)) nb::raise_python_error();
      PyErr_Clear();
      return nullptr;
    }
    holder = nb::steal(inner);
    if (!nb::isinstance<Value>(holder)) return nullptr;
  }
  // One that was made with __new__ alone holds nothing
  return nb::inst_ready(holder) ? nb::inst_ptr<Value>(holder) : nullptr;
}

nb::object make_value(Library& library, Handle<OrtValue> value, nb::object owner) {
  return nb::cast(new Value(library, std::move(value), std::move(owner)), nb::rv_policy::take_ownership);
}

namespace {

// A list of what `keep` holds: the owner of a value that lies over it.
nb::object owners(const Keep& keep) {
  nb::list list;
  keep.each([&list](nb::handle object) { list.append(object); });
  return list;
}

const ElementType& known_element(int onnx) {
  const ElementType* type = find_element_type(onnx);
  if (type == nullptr) throw Error("InvalidArgument", "there is no tensor element type " + std::to_string(onnx));
  return *type;
}

size_t element_count(const std::vector<int64_t>& shape) {
  size_t count = 1;
  for (const int64_t size : shape) {
    if (size < 0) throw Error("InvalidArgument", "a shape can't hold the size " + std::to_string(size));
    if (size != 0 && count > SIZE_MAX / 16 / static_cast<size_t>(size)) {
      throw Error("InvalidArgument", "the shape has more elements than memory can hold");
    }
    count *= static_cast<size_t>(size);
  }
  return count;
}

nb::object from_array(Library& library, nb::handle array, int element) {
  ValueType type = type_of_array(array);
  if (element != ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED) type.element = known_element(element).onnx;
  Keep keep;
  ValueRef value = to_value(library, type, array, keep);
  return make_value(library, Handle<OrtValue>(library.api(), value.release()), owners(keep));
}

nb::object from_shape(Library& library, const std::vector<int64_t>& shape, int element) {
  const OrtApi& api = library.api();
  element_count(shape);
  Handle<OrtValue> value(api);
  check(api,
        api.CreateTensorAsOrtValue(library.allocator(), shape.data(), shape.size(),
                                   static_cast<ONNXTensorElementDataType>(known_element(element).onnx), value.out()));
  return make_value(library, std::move(value), nb::none());
}

nb::object over_memory(Library& library, uintptr_t data, const std::vector<int64_t>& shape, int element,
                       const std::string& device, int device_id, nb::object owner) {
  const OrtApi& api = library.api();
  const ElementType& type = known_element(element);
  if (type.bits == 0) throw Error("InvalidArgument", "a tensor of strings can't lie over memory");
  Handle<OrtMemoryInfo> memory(api);
  check(api, api.CreateMemoryInfo(device.c_str(), OrtDeviceAllocator, device_id, OrtMemTypeDefault, memory.out()));
  Handle<OrtValue> value(api);
  check(api, api.CreateTensorWithDataAsOrtValue(memory.get(), reinterpret_cast<void*>(data),
                                                tensor_bytes(type, element_count(shape)), shape.data(), shape.size(),
                                                static_cast<ONNXTensorElementDataType>(type.onnx), value.out()));
  return make_value(library, std::move(value), std::move(owner));
}

void update(const Value& self, nb::handle array) {
  const TensorInfo info = self.tensor_info("update_inplace");
  const ElementType* type = find_element_type(info.element);
  if (!self.is_on_cpu()) throw Error("NotImplemented", "update_inplace is for values of the CPU");
  if (type == nullptr || type->bits == 0)
    throw Error("NotImplemented", "update_inplace can't take " + self.data_type());
  ValueType wanted;
  wanted.kind = ONNX_TYPE_TENSOR;
  wanted.element = info.element;
  wanted.dims.assign(info.dims(), info.dims() + info.rank);
  wanted.symbols.resize(info.rank);
  Keep keep;
  const ValueRef source = to_value(self.library(), wanted, array, keep);
  const TensorInfo given(self.library(), source.get());
  if (given.rank != info.rank || !std::equal(given.dims(), given.dims() + given.rank, info.dims())) {
    throw Error("InvalidArgument", "expected " + wanted.describe() + ", got " + describe(array));
  }
  const OrtApi& api = self.library().api();
  void* from = nullptr;
  check(api, api.GetTensorMutableData(source.get(), &from));
  if (info.count > 0) std::memmove(self.data(), from, tensor_bytes(*type, info.count));
}

nb::object numpy(const Value& value) {
  value.tensor_info("numpy()");
  if (!value.is_on_cpu()) {
    throw Error("NotImplemented", "the value lies on the device " + value.device_name() +
                                      "; bind the output to the CPU instead (IOBinding.bind_output(name, \"cpu\"))");
  }
  return to_view(value.library(), value.get(), nb::find(value));
}

nb::list shape(const Value& self) {
  const TensorInfo info = self.tensor_info("shape()");
  nb::list list;
  for (size_t i = 0; i < info.rank; ++i) list.append(info.dims()[i]);
  return list;
}

}  // namespace

void bind_values(nb::module_& module) {
  nb::class_<Value>(module, "Value", "A tensor, sequence or map of one library.")
      .def_static("from_array", &from_array, nb::arg("library"), nb::arg("array").none(), nb::arg("element_type") = 0)
      .def_static("from_shape", &from_shape, nb::arg("library"), nb::arg("shape"), nb::arg("element_type"))
      .def_static("over_memory", &over_memory, nb::arg("library"), nb::arg("data"), nb::arg("shape"),
                  nb::arg("element_type"), nb::arg("device"), nb::arg("device_id"), nb::arg("owner").none())
      .def_prop_ro(
          "library", [](const Value& self) { return &self.library(); }, nb::rv_policy::reference)
      .def_prop_ro("kind", [](const Value& self) { return static_cast<int>(self.kind()); })
      .def_prop_ro("has_value", &Value::has_value)
      .def_prop_ro("data_type", &Value::data_type)
      .def_prop_ro("element_type", [](const Value& self) { return self.tensor_info("element_type()").element; })
      .def_prop_ro("shape", &shape)
      .def_prop_ro("nbytes",
                   [](const Value& self) {
                     const TensorInfo info = self.tensor_info("tensor_size_in_bytes()");
                     return tensor_bytes(known_element(info.element), info.count);
                   })
      .def_prop_ro("device_name", &Value::device_name)
      .def_prop_ro("device_id", &Value::device_id)
      .def_prop_ro("data_ptr",
                   [](const Value& self) {
                     self.tensor_info("data_ptr()");
                     return reinterpret_cast<uintptr_t>(self.data());
                   })
      .def("numpy", &numpy)
      .def("to_python", [](const Value& self) { return value_to_python(self.library(), self.get(), nb::find(self)); })
      .def("update", &update, nb::arg("array"));

  module.def(
      "element_type_of", [](nb::handle array) { return type_of_array(array).element; }, nb::arg("array"),
      "The ONNX element type (TensorProto.DataType) for an array's dtype.");
  module.def(
      "dtype_of", [](int element) { return dtype_of(known_element(element)); }, nb::arg("element_type"),
      "NumPy's dtype for an ONNX element type.");
  module.def(
      "element_type_named",
      [](const std::string& name) {
        const ElementType* type = find_element_type(name);
        return type ? type->onnx : 0;
      },
      nb::arg("name"), "The ONNX element type called \"float\" or \"tensor(float)\"; 0 when there is none.");
}

}  // namespace ortpack
