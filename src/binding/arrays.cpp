#define ORTPACK_IMPORT_NUMPY
#include "numpy.h"

#include "arrays.h"

#include <cstring>
#include <limits>

#include "empty_sequence.h"
#include "values.h"

namespace ortpack {

namespace {

PyArrayObject* as_array(nb::handle object) { return reinterpret_cast<PyArrayObject*>(object.ptr()); }

nb::object steal(PyObject* object) {
  if (object == nullptr) nb::raise_python_error();
  return nb::steal(object);
}

// --- dtypes ------------------------------------------------------------------------------------------------------

std::string type_name(PyArrayObject* array) {
  PyTypeObject* scalar = PyArray_DESCR(array)->typeobj;
  nb::handle type(reinterpret_cast<PyObject*>(scalar));
  return type.is_valid() ? to_text(nb::object(type.attr("__name__"))) : "";
}

bool is_text(int numpy) { return numpy == NPY_OBJECT || numpy == NPY_UNICODE || numpy == NPY_STRING; }

// NumPy 2's StringDType
constexpr int numpy_vstring = 2056;

bool is_string_array(PyArrayObject* array) {
  const int type = PyArray_TYPE(array);
  return is_text(type) || type == numpy_vstring;
}

// The type of ml_dtypes for `type`, or null when the package is missing or too old to have it.
PyObject* ml_descr(const ElementType& type) {
  static PyObject* cache[32] = {};
  PyObject*& found = cache[type.onnx];
  if (found == nullptr) {
    PyObject* module = PyImport_ImportModule("ml_dtypes");
    PyObject* scalar = module ? PyObject_GetAttrString(module, type.ml_dtype) : nullptr;
    PyArray_Descr* descr = nullptr;
    if (scalar == nullptr || PyArray_DescrConverter(scalar, &descr) != NPY_SUCCEED) {
      PyErr_Clear();
      found = Py_None;  // None is immortal or never freed: one reference more or less does not matter
      Py_INCREF(found);
    } else {
      found = reinterpret_cast<PyObject*>(descr);
    }
    Py_XDECREF(scalar);
    Py_XDECREF(module);
  }
  return found == Py_None ? nullptr : found;
}

// --- Python to values --------------------------------------------------------------------------------------------

[[noreturn]] void refuse(const ValueType& type, nb::handle object, const std::string& hint = "") {
  throw Error("InvalidArgument", "expected " + type.describe() + ", got " + describe(object) + hint);
}

Handle<OrtValue> tensor_over(const Library& library, PyArrayObject* array, int element, void* data, size_t size) {
  const OrtApi& api = library.api();
  const int rank = PyArray_NDIM(array);
  const npy_intp* dims = PyArray_DIMS(array);
  Handle<OrtValue> value(api);
  const auto type = static_cast<ONNXTensorElementDataType>(element);
  if constexpr (sizeof(npy_intp) == sizeof(int64_t)) {
    check(api,
          api.CreateTensorWithDataAsOrtValue(library.cpu_memory(), data, size, reinterpret_cast<const int64_t*>(dims),
                                             static_cast<size_t>(rank), type, value.out()));
  } else {
    int64_t wide[NPY_MAXDIMS];
    for (int i = 0; i < rank; ++i) wide[i] = dims[i];
    check(api, api.CreateTensorWithDataAsOrtValue(library.cpu_memory(), data, size, wide, static_cast<size_t>(rank),
                                                  type, value.out()));
  }
  return value;
}

// Makes a tensor with the array's shape and memory of its own.
Handle<OrtValue> empty_tensor(const Library& library, PyArrayObject* like, int element) {
  const OrtApi& api = library.api();
  int64_t dims[NPY_MAXDIMS];
  const int rank = PyArray_NDIM(like);
  for (int i = 0; i < rank; ++i) dims[i] = PyArray_DIMS(like)[i];
  Handle<OrtValue> value(api);
  check(api, api.CreateTensorAsOrtValue(library.allocator(), dims, static_cast<size_t>(rank),
                                        static_cast<ONNXTensorElementDataType>(element), value.out()));
  return value;
}

Handle<OrtValue> string_tensor(const Library& library, const ValueType& type, PyArrayObject* array) {
  const OrtApi& api = library.api();
  const nb::object copy = steal(PyArray_FromAny(reinterpret_cast<PyObject*>(array), PyArray_DescrFromType(NPY_OBJECT),
                                                0, 0, NPY_ARRAY_CARRAY_RO, nullptr));
  PyArrayObject* objects = as_array(copy);
  const auto count = static_cast<size_t>(PyArray_SIZE(objects));
  PyObject* const* items = static_cast<PyObject* const*>(PyArray_DATA(objects));
  Handle<OrtValue> value = empty_tensor(library, objects, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING);
  for (size_t i = 0; i < count; ++i) {
    PyObject* item = items[i];
    const char* text = nullptr;
    Py_ssize_t length = 0;
    if (item != nullptr && PyUnicode_Check(item)) {
      text = PyUnicode_AsUTF8AndSize(item, &length);
      if (text == nullptr) nb::raise_python_error();
    } else if (item != nullptr && PyBytes_Check(item)) {
      text = PyBytes_AsString(item);
      length = PyBytes_Size(item);
    } else {
      refuse(type, nb::handle(reinterpret_cast<PyObject*>(array)),
             " whose element " + std::to_string(i) + " is " + describe(item ? nb::handle(item) : nb::none()) +
                 ", not a str");
    }
    // FillStringTensor would end a string at its first NUL
    char* buffer = nullptr;
    check(api, api.GetResizedStringTensorElementBuffer(value.get(), i, static_cast<size_t>(length), &buffer));
    std::memcpy(buffer, text, static_cast<size_t>(length));
  }
  return value;
}

// Makes a tensor of 4-bit elements: two in a byte, the first in the low half.
Handle<OrtValue> packed_tensor(const Library& library, const ValueType& type, const ElementType& element,
                               PyArrayObject* array) {
  const OrtApi& api = library.api();
  const nb::object bytes =
      steal(PyArray_FromAny(reinterpret_cast<PyObject*>(array), PyArray_DescrFromType(element.numpy), 0, 0,
                            NPY_ARRAY_CARRAY_RO | NPY_ARRAY_FORCECAST, nullptr));
  PyArrayObject* wide = as_array(bytes);
  const auto count = static_cast<size_t>(PyArray_SIZE(wide));
  const auto* in = static_cast<const uint8_t*>(PyArray_DATA(wide));
  const bool is_signed = element.numpy == NPY_INT8;
  Handle<OrtValue> value = empty_tensor(library, wide, type.element);
  void* data = nullptr;
  check(api, api.GetTensorMutableData(value.get(), &data));
  auto* out = static_cast<uint8_t*>(data);
  for (size_t i = 0; i < count; ++i) {
    const int number = is_signed ? static_cast<int8_t>(in[i]) : in[i];
    if (is_signed ? (number < -8 || number > 7) : number > 15) {
      refuse(type, nb::handle(reinterpret_cast<PyObject*>(array)),
             " whose element " + std::to_string(i) + " is " + std::to_string(number) + ", which has more than 4 bits");
    }
    const auto half = static_cast<uint8_t>(number & 0xF);
    if (i % 2 == 0) {
      out[i / 2] = half;
    } else {
      out[i / 2] = static_cast<uint8_t>(out[i / 2] | (half << 4));
    }
  }
  return value;
}

// Makes a tensor of an array that has to be converted, or of a list. to_value() does the plain case itself.
Handle<OrtValue> tensor_slow(Library& library, const ValueType& type, nb::handle object, Keep& keep) {
  const ElementType* element = find_element_type(type.element);
  if (element == nullptr) {
    throw Error("NotImplemented", "values of type " + type.text() + " are newer than this version of ortpack");
  }
  nb::object holder = nb::borrow(object);
  bool is_cast = false;
  if (!PyArray_Check(object.ptr())) {
    if (PyArray_CheckScalar(object.ptr())) {  // NumPy's scalars: arrays of rank 0
      holder = steal(PyArray_FromScalar(object.ptr(), nullptr));
    } else if (PyList_Check(object.ptr()) || PyTuple_Check(object.ptr()) || PyLong_Check(object.ptr()) ||
               PyFloat_Check(object.ptr()) || PyBool_Check(object.ptr()) || PyUnicode_Check(object.ptr())) {
      PyObject* made = PyArray_FromAny(object.ptr(), nullptr, 0, 0, NPY_ARRAY_CARRAY_RO, nullptr);
      if (made == nullptr) {
        PyErr_Clear();  // ragged
        refuse(type, object, " that does not make an array");
      }
      holder = nb::steal(made);
      is_cast = true;
    } else {
      refuse(type, object);
    }
  }
  PyArrayObject* array = as_array(holder);
  const int have = PyArray_TYPE(array);

  if (element->onnx == ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING) {
    if (!is_string_array(array)) refuse(type, object);
    return string_tensor(library, type, array);
  }
  if (element->bits == 4) {
    const bool is_byte = PyArray_EquivTypenums(have, NPY_INT8) || PyArray_EquivTypenums(have, NPY_UINT8);
    if (!is_byte && !is_cast && type_name(array) != element->ml_dtype) refuse(type, object);
    return packed_tensor(library, type, *element, array);
  }

  nb::object wanted;  // the dtype to convert to, in the machine's byte order
  if (PyArray_EquivTypenums(have, element->numpy)) {
    wanted = steal(reinterpret_cast<PyObject*>(PyArray_DescrFromType(element->numpy)));
  } else if (element->ml_dtype != nullptr && type_name(array) == element->ml_dtype) {
    wanted = nb::borrow(reinterpret_cast<PyObject*>(PyArray_DESCR(array)));
  } else {
    wanted = steal(reinterpret_cast<PyObject*>(PyArray_DescrFromType(element->numpy)));
    auto* descr = reinterpret_cast<PyArray_Descr*>(wanted.ptr());
    // Lists have no dtype of their own: numbers in them become what the model wants, as long as the kind stays
    const bool fits = is_cast && element->ml_dtype == nullptr &&
                      (PyArray_SIZE(array) == 0 || PyArray_CanCastArrayTo(array, descr, NPY_SAME_KIND_CASTING));
    if (!fits) {
      std::string hint;
      if (!is_cast && PyTypeNum_ISNUMBER(have) && element->ml_dtype == nullptr) {
        hint = "; convert it with .astype(\"" + to_text(nb::object(wanted.attr("name"))) + "\")";
      }
      refuse(type, is_cast ? object : holder, hint);
    }
  }
  // No copy when the array is contiguous, aligned and in the machine's byte order already
  Py_INCREF(wanted.ptr());
  const nb::object ready = steal(PyArray_FromArray(array, reinterpret_cast<PyArray_Descr*>(wanted.ptr()),
                                                   NPY_ARRAY_CARRAY_RO | NPY_ARRAY_NOTSWAPPED | NPY_ARRAY_FORCECAST));
  array = as_array(ready);
  const auto size = static_cast<size_t>(PyArray_NBYTES(array));
  Handle<OrtValue> value = tensor_over(library, array, type.element, PyArray_DATA(array), size);
  keep.add(ready, PyArray_DATA(array), size);
  return value;
}

Handle<OrtValue> collect(Library& library, ONNXType kind, const std::vector<ValueRef>& parts) {
  const OrtApi& api = library.api();
  std::vector<const OrtValue*> pointers;
  pointers.reserve(parts.size());
  for (const ValueRef& part : parts) pointers.push_back(part.get());
  Handle<OrtValue> value(api);
  check(api, api.CreateValue(pointers.data(), pointers.size(), kind, value.out()));
  return value;
}

ValueRef sequence(Library& library, const ValueType& type, nb::handle object, Keep& keep) {
  if (PyUnicode_Check(object.ptr()) || PyBytes_Check(object.ptr()) || PyArray_Check(object.ptr()) ||
      !PySequence_Check(object.ptr())) {
    refuse(type, object, "; give a list");
  }
  const nb::object items = steal(PySequence_List(object.ptr()));
  std::vector<ValueRef> parts;
  const size_t count = nb::len(items);
  if (count == 0 && type.inner->kind == ONNX_TYPE_TENSOR) {
    return ValueRef(library.api(), empty_sequence(library, type.inner->element));
  }
  parts.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    try {
      parts.push_back(to_value(library, *type.inner, items[i], keep));
    } catch (const Error& error) {
      throw Error(error.kind(), "element " + std::to_string(i) + ": " + error.what());
    }
  }
  return collect(library, ONNX_TYPE_SEQUENCE, parts);
}

Handle<OrtValue> map(Library& library, const ValueType& type, nb::handle object, Keep& keep) {
  if (!PyDict_Check(object.ptr())) refuse(type, object, "; give a dict");
  ValueType keys;
  keys.kind = ONNX_TYPE_TENSOR;
  keys.element = type.key;
  ValueType values;
  values.kind = ONNX_TYPE_TENSOR;
  values.element = type.inner->element;
  std::vector<ValueRef> parts;
  try {
    parts.push_back(to_value(library, keys, steal(PyDict_Keys(object.ptr())), keep));
    parts.push_back(to_value(library, values, steal(PyDict_Values(object.ptr())), keep));
  } catch (const Error& error) {
    throw Error(error.kind(), "expected " + type.text() + ": " + error.what());
  }
  return collect(library, ONNX_TYPE_MAP, parts);
}

// Whether a value that Python holds is of the declared type, as far as tensors go. ONNX Runtime checks the rest.
bool accepts(const ValueType& type, const Value& value) {
  if (type.kind == ONNX_TYPE_OPTIONAL) return !value.has_value() || accepts(*type.inner, value);
  if (value.kind() != type.kind) return false;
  return type.kind != ONNX_TYPE_TENSOR || TensorInfo(value.library(), value.get()).element == type.element;
}

// --- values to Python --------------------------------------------------------------------------------------------

constexpr const char* capsule_name = "OrtValue";

void free_capsule(PyObject* capsule) {
  const auto* api = static_cast<const OrtApi*>(PyCapsule_GetContext(capsule));
  api->ReleaseValue(static_cast<OrtValue*>(PyCapsule_GetPointer(capsule, capsule_name)));
}

nb::object string_array(const Library& library, const OrtValue* value, const TensorInfo& info, const npy_intp* dims) {
  const OrtApi& api = library.api();
  const nb::object array =
      steal(PyArray_New(&PyArray_Type, static_cast<int>(info.rank), dims, NPY_OBJECT, nullptr, nullptr, 0, 0, nullptr));
  auto** items = static_cast<PyObject**>(PyArray_DATA(as_array(array)));
  if (info.count == 0) return array;
  size_t length = 0;
  check(api, api.GetStringTensorDataLength(value, &length));
  std::string text(length, '\0');
  std::vector<size_t> starts(info.count + 1);
  check(api, api.GetStringTensorContent(value, text.data(), length, starts.data(), info.count));
  starts[info.count] = length;
  for (size_t i = 0; i < info.count; ++i) {
    const auto size = static_cast<Py_ssize_t>(starts[i + 1] - starts[i]);
    PyObject* item = PyUnicode_DecodeUTF8(text.data() + starts[i], size, nullptr);
    if (item == nullptr) nb::raise_python_error();
    PyObject* before = std::exchange(items[i], item);
    Py_XDECREF(before);
  }
  return array;
}

nb::object unpacked_array(const ElementType& type, const void* data, const TensorInfo& info, const npy_intp* dims) {
  nb::object array =
      steal(PyArray_New(&PyArray_Type, static_cast<int>(info.rank), dims, type.numpy, nullptr, nullptr, 0, 0, nullptr));
  const auto* in = static_cast<const uint8_t*>(data);
  auto* out = static_cast<uint8_t*>(PyArray_DATA(as_array(array)));
  for (size_t i = 0; i < info.count; ++i) {
    const int half = (in[i / 2] >> (i % 2 == 0 ? 0 : 4)) & 0xF;
    out[i] = static_cast<uint8_t>(type.numpy == NPY_INT8 && half > 7 ? half - 16 : half);
  }
  PyObject* descr = ml_descr(type);
  if (descr == nullptr) return array;
  // NumPy has no float4, so the array gets the same bits. Integers are converted.
  if (type.onnx == element_float4e2m1) return array.attr("view")(nb::handle(descr));
  return array.attr("astype")(nb::handle(descr));
}

// Makes the array for a tensor. It lies over the tensor's memory when `is_view` comes back true.
nb::object make_array(const Library& library, OrtValue* value, const Keep* fed, bool& is_view) {
  const OrtApi& api = library.api();
  const TensorInfo info(library, value);
  is_view = false;
  const ElementType* type = find_element_type(info.element);
  if (type == nullptr) {
    throw Error("NotImplemented",
                "tensors of " + element_name(info.element) + " are newer than this version of ortpack");
  }
  if (info.rank > NPY_MAXDIMS) {
    throw Error("NotImplemented", "a tensor of rank " + std::to_string(info.rank) + ", more than NumPy has");
  }
  npy_intp narrow[sizeof(npy_intp) == sizeof(int64_t) ? 1 : NPY_MAXDIMS];
  const npy_intp* dims = nullptr;
  if constexpr (sizeof(npy_intp) == sizeof(int64_t)) {
    dims = reinterpret_cast<const npy_intp*>(info.dims());
  } else {
    for (size_t i = 0; i < info.rank; ++i) narrow[i] = static_cast<npy_intp>(info.dims()[i]);
    dims = narrow;
  }
  if (type->bits == 0) return string_array(library, value, info, dims);

  void* data = nullptr;
  check(api, api.GetTensorMutableData(value, &data));
  if (type->bits == 4) return unpacked_array(*type, data, info, dims);
  PyObject* ml = type->ml_dtype != nullptr ? ml_descr(*type) : nullptr;
  auto* descr = ml != nullptr ? reinterpret_cast<PyArray_Descr*>(ml) : PyArray_DescrFromType(type->numpy);
  if (ml != nullptr) Py_INCREF(ml);
  // NumPy takes over the reference to the dtype. Without elements there may be no memory either.
  is_view = info.count > 0;
  nb::object array = steal(PyArray_NewFromDescr(&PyArray_Type, descr, static_cast<int>(info.rank), dims, nullptr,
                                                is_view ? data : nullptr, NPY_ARRAY_CARRAY, nullptr));
  if (is_view && fed != nullptr && fed->owns(data)) {
    array = steal(PyArray_NewCopy(as_array(array), NPY_CORDER));
    is_view = false;
  }
  return array;
}

nb::object element(const Library& library, const OrtValue* value, int index) {
  const OrtApi& api = library.api();
  Handle<OrtValue> part(api);
  check(api, api.GetValue(value, index, library.allocator(), part.out()));  // a copy
  return to_python(library, std::move(part), nullptr);
}

// Makes the Python object for a value that is no tensor: a sequence or a map.
nb::object collection(const Library& library, const OrtValue* value, ONNXType kind) {
  const OrtApi& api = library.api();
  switch (kind) {
    case ONNX_TYPE_SEQUENCE: {
      nb::list items;
      size_t count = 0;
      check(api, api.GetValueCount(value, &count));
      for (size_t i = 0; i < count; ++i) items.append(element(library, value, static_cast<int>(i)));
      return items;
    }
    case ONNX_TYPE_MAP: {
      const nb::object keys = element(library, value, 0).attr("tolist")();
      const nb::object values = element(library, value, 1).attr("tolist")();
      nb::dict items;
      const size_t count = nb::len(keys);
      for (size_t i = 0; i < count; ++i) items[keys[i]] = values[i];
      return items;
    }
    case ONNX_TYPE_SPARSETENSOR:
      throw Error("NotImplemented", "ortpack does not support sparse tensors");
    default:
      throw Error("NotImplemented", "a value of ONNX type " + std::to_string(kind) + " has no Python counterpart");
  }
}

}  // namespace

void import_numpy() {
  if (PyArray_ImportNumPyAPI() < 0) nb::raise_python_error();
}

TensorInfo::TensorInfo(const Library& library, const OrtValue* value) {
  const OrtApi& api = library.api();
  OrtTensorTypeAndShapeInfo* raw = nullptr;
  check(api, api.GetTensorTypeAndShape(value, &raw));
  const Handle<OrtTensorTypeAndShapeInfo> info(api, raw);
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  check(api, api.GetTensorElementType(raw, &type));
  element = type;
  check(api, api.GetDimensionsCount(raw, &rank));
  if (rank > sizeof(few) / sizeof(*few)) more.resize(rank);
  int64_t* into = more.empty() ? few : more.data();
  check(api, api.GetDimensions(raw, into, rank));
  count = 1;
  for (size_t i = 0; i < rank; ++i) count *= static_cast<size_t>(into[i]);
}

bool has_value(const Library& library, const OrtValue* value) {
  const OrtApi& api = library.api();
  int has = 0;
  check(api, api.HasValue(value, &has));
  return has != 0;
}

ONNXType kind_of(const Library& library, const OrtValue* value) {
  const OrtApi& api = library.api();
  ONNXType kind = ONNX_TYPE_UNKNOWN;
  check(api, api.GetValueType(value, &kind));
  return kind;
}

size_t tensor_bytes(const ElementType& type, size_t count) noexcept {
  return type.bits == 4 ? (count + 1) / 2 : count * (type.bits / 8u);
}

ValueRef to_value(Library& library, const ValueType& type, nb::handle object, Keep& keep) {
  if (type.kind == ONNX_TYPE_TENSOR && PyArray_Check(object.ptr())) {
    PyArrayObject* array = as_array(object);
    const ElementType* element = find_element_type(type.element);
    // The plain case: the right type, contiguous, aligned, in the machine's byte order
    if (element != nullptr && element->ml_dtype == nullptr && PyArray_TYPE(array) == element->numpy &&
        element->bits != 0 && PyArray_ISCARRAY_RO(array)) {
      const auto size = static_cast<size_t>(PyArray_NBYTES(array));
      Handle<OrtValue> value = tensor_over(library, array, type.element, PyArray_DATA(array), size);
      keep.add(nb::borrow(object), PyArray_DATA(array), size);
      return value;
    }
  }
  nb::object holder;
  if (const Value* given = find_value(object, holder)) {
    if (!accepts(type, *given)) refuse(type, holder);
    return given->in(library, keep, holder);
  }
  switch (type.kind) {
    case ONNX_TYPE_TENSOR:
      return tensor_slow(library, type, object, keep);
    case ONNX_TYPE_SEQUENCE:
      return sequence(library, type, object, keep);
    case ONNX_TYPE_MAP:
      return map(library, type, object, keep);
    case ONNX_TYPE_OPTIONAL:
      return to_value(library, *type.inner, object, keep);
    case ONNX_TYPE_SPARSETENSOR:
      throw Error("NotImplemented", "the model wants " + type.text() + "; ortpack does not support sparse tensors");
    default:
      throw Error("NotImplemented", "ortpack has no way to make a value of type " + type.text());
  }
}

ValueType type_of_array(nb::handle object) {
  if (!PyArray_Check(object.ptr())) throw Error("InvalidArgument", "expected an array, got " + describe(object));
  PyArrayObject* array = as_array(object);
  ValueType type;
  type.kind = ONNX_TYPE_TENSOR;
  const int have = PyArray_TYPE(array);
  if (is_string_array(array)) {
    type.element = ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING;
    return type;
  }
  const std::string name = PyTypeNum_ISUSERDEF(have) || have >= NPY_VOID ? type_name(array) : std::string();
  for (int onnx = 1; const ElementType* element = find_element_type(onnx); ++onnx) {
    const bool fits = element->ml_dtype != nullptr ? name == element->ml_dtype
                                                   : element->bits != 0 && PyArray_EquivTypenums(have, element->numpy);
    if (fits) {
      type.element = onnx;
      return type;
    }
  }
  throw Error("InvalidArgument", "there is no tensor type for " + describe(object));
}

nb::object dtype_of(const ElementType& type) {
  if (type.ml_dtype != nullptr) {
    if (PyObject* descr = ml_descr(type)) return nb::borrow(descr);
  }
  return steal(reinterpret_cast<PyObject*>(PyArray_DescrFromType(type.numpy)));
}

nb::object to_python(const Library& library, Handle<OrtValue> value, const Keep* fed) {
  if (!has_value(library, value.get())) return nb::none();
  const ONNXType kind = kind_of(library, value.get());
  if (kind != ONNX_TYPE_TENSOR) return collection(library, value.get(), kind);
  return to_array(library, std::move(value), fed);
}

nb::object to_array(const Library& library, Handle<OrtValue> value, const Keep* fed) {
  bool is_view = false;
  nb::object array = make_array(library, value.get(), fed, is_view);
  if (is_view) {
    nb::object owner = steal(PyCapsule_New(value.get(), capsule_name, nullptr));
    PyCapsule_SetContext(owner.ptr(), const_cast<OrtApi*>(&library.api()));
    PyCapsule_SetDestructor(owner.ptr(), free_capsule);
    value.release();  // the capsule's now
    if (PyArray_SetBaseObject(as_array(array), owner.release().ptr()) < 0) nb::raise_python_error();
  }
  return array;
}

nb::object value_to_python(const Library& library, OrtValue* value, nb::handle owner) {
  if (!has_value(library, value)) return nb::none();
  const ONNXType kind = kind_of(library, value);
  return kind == ONNX_TYPE_TENSOR ? to_view(library, value, owner) : collection(library, value, kind);
}

nb::object to_view(const Library& library, OrtValue* value, nb::handle owner) {
  bool is_view = false;
  nb::object array = make_array(library, value, nullptr, is_view);
  if (is_view && PyArray_SetBaseObject(as_array(array), nb::borrow(owner).release().ptr()) < 0) {
    nb::raise_python_error();
  }
  return array;
}

std::string describe(nb::handle object) {
  if (PyArray_Check(object.ptr())) {
    return "an array of " + to_text(nb::object(object.attr("dtype"))) + ", shape " +
           to_repr(nb::object(object.attr("shape")));
  }
  if (object.is_none()) return "None";
  if (nb::isinstance<Value>(object) && nb::inst_ready(object))
    return "an OrtValue of " + nb::inst_ptr<Value>(object)->data_type();
  return "an object of type " + to_text(nb::object(object.type().attr("__name__")));
}

}  // namespace ortpack
