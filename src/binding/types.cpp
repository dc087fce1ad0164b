#include "types.h"

#include "numpy.h"

namespace ortpack {

namespace {

constexpr ElementType element_types[] = {
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, "float", NPY_FLOAT32, 32, nullptr},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, "uint8", NPY_UINT8, 8, nullptr},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, "int8", NPY_INT8, 8, nullptr},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16, "uint16", NPY_UINT16, 16, nullptr},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16, "int16", NPY_INT16, 16, nullptr},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, "int32", NPY_INT32, 32, nullptr},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, "int64", NPY_INT64, 64, nullptr},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, "string", NPY_OBJECT, 0, nullptr},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, "bool", NPY_BOOL, 8, nullptr},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, "float16", NPY_FLOAT16, 16, nullptr},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, "double", NPY_FLOAT64, 64, nullptr},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32, "uint32", NPY_UINT32, 32, nullptr},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64, "uint64", NPY_UINT64, 64, nullptr},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX64, "complex64", NPY_COMPLEX64, 64, nullptr},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX128, "complex128", NPY_COMPLEX128, 128, nullptr},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, "bfloat16", NPY_UINT16, 16, "bfloat16"},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FN, "float8e4m3fn", NPY_UINT8, 8, "float8_e4m3fn"},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FNUZ, "float8e4m3fnuz", NPY_UINT8, 8, "float8_e4m3fnuz"},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2, "float8e5m2", NPY_UINT8, 8, "float8_e5m2"},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2FNUZ, "float8e5m2fnuz", NPY_UINT8, 8, "float8_e5m2fnuz"},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT4, "uint4", NPY_UINT8, 4, "uint4"},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT4, "int4", NPY_INT8, 4, "int4"},
    {element_float4e2m1, "float4e2m1", NPY_UINT8, 4, "float4_e2m1fn"},
};

}  // namespace

const ElementType* find_element_type(int onnx) noexcept {
  // The table is in the order of the enumeration, which starts at 1
  constexpr int count = sizeof(element_types) / sizeof(*element_types);
  return onnx >= 1 && onnx <= count ? &element_types[onnx - 1] : nullptr;
}

const ElementType* find_element_type(const std::string& name) noexcept {
  for (const ElementType& type : element_types) {
    if (name == type.name || name == std::string("tensor(") + type.name + ")") return &type;
  }
  return nullptr;
}

std::string element_name(int onnx) {
  const ElementType* type = find_element_type(onnx);
  return type ? type->name : "type" + std::to_string(onnx);
}

ValueType ValueType::read(const Library& library, const OrtTypeInfo* info) {
  const OrtApi& api = library.api();
  ValueType type;
  check(api, api.GetOnnxTypeFromTypeInfo(info, &type.kind));
  switch (type.kind) {
    case ONNX_TYPE_TENSOR:
    case ONNX_TYPE_SPARSETENSOR: {
      const OrtTensorTypeAndShapeInfo* tensor = nullptr;
      check(api, api.CastTypeInfoToTensorInfo(info, &tensor));
      if (tensor == nullptr) break;
      ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
      check(api, api.GetTensorElementType(tensor, &element));
      type.element = element;
      size_t rank = 0;
      check(api, api.GetDimensionsCount(tensor, &rank));
      type.dims.resize(rank);
      std::vector<const char*> symbols(rank, nullptr);
      check(api, api.GetDimensions(tensor, type.dims.data(), rank));
      check(api, api.GetSymbolicDimensions(tensor, symbols.data(), rank));
      for (const char* symbol : symbols) type.symbols.emplace_back(symbol ? symbol : "");
      break;
    }
    case ONNX_TYPE_SEQUENCE: {
      const OrtSequenceTypeInfo* sequence = nullptr;
      check(api, api.CastTypeInfoToSequenceTypeInfo(info, &sequence));
      Handle<OrtTypeInfo> inner(api);
      check(api, api.GetSequenceElementType(sequence, inner.out()));
      type.inner = std::make_unique<ValueType>(read(library, inner.get()));
      break;
    }
    case ONNX_TYPE_MAP: {
      const OrtMapTypeInfo* map = nullptr;
      check(api, api.CastTypeInfoToMapTypeInfo(info, &map));
      ONNXTensorElementDataType key = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
      check(api, api.GetMapKeyType(map, &key));
      type.key = key;
      Handle<OrtTypeInfo> inner(api);
      check(api, api.GetMapValueType(map, inner.out()));
      type.inner = std::make_unique<ValueType>(read(library, inner.get()));
      break;
    }
    case ONNX_TYPE_OPTIONAL: {
      const OrtOptionalTypeInfo* optional = nullptr;
      check(api, api.CastTypeInfoToOptionalTypeInfo(info, &optional));
      Handle<OrtTypeInfo> inner(api);
      check(api, api.GetOptionalContainedTypeInfo(optional, inner.out()));
      type.inner = std::make_unique<ValueType>(read(library, inner.get()));
      break;
    }
    default:
      break;
  }
  return type;
}

std::string ValueType::text() const {
  switch (kind) {
    case ONNX_TYPE_TENSOR:
      return "tensor(" + element_name(element) + ")";
    case ONNX_TYPE_SPARSETENSOR:
      return "sparse_tensor(" + element_name(element) + ")";
    case ONNX_TYPE_SEQUENCE:
      return "seq(" + inner->text() + ")";
    case ONNX_TYPE_MAP:
      return "map(" + element_name(key) + "," + inner->text() + ")";
    case ONNX_TYPE_OPTIONAL:
      return "optional(" + inner->text() + ")";
    case ONNX_TYPE_OPAQUE:
      return "opaque";
    default:
      return "unknown";
  }
}

std::string ValueType::describe() const {
  const ValueType& content = kind == ONNX_TYPE_OPTIONAL ? *inner : *this;
  if (content.kind != ONNX_TYPE_TENSOR || content.dims.empty()) return text();
  return text() + " of shape " + to_repr(shape());
}

nanobind::list ValueType::shape() const {
  if (kind == ONNX_TYPE_OPTIONAL) return inner->shape();
  nanobind::list list;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] >= 0) {
      list.append(dims[i]);
    } else if (!symbols[i].empty()) {
      list.append(nanobind::str(symbols[i].c_str()));
    } else {
      list.append(nanobind::none());
    }
  }
  return list;
}

}  // namespace ortpack
