// ONNX's types: elements of tensors, and what a model says of its inputs and outputs.
#pragma once

#include <nanobind/nanobind.h>
#include <onnxruntime_c_api.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "library.h"

namespace ortpack {

// Newer than the header
constexpr int element_float4e2m1 = 23;

// How the elements of a tensor look in ONNX and in NumPy.
struct ElementType {
  int onnx;              // ONNXTensorElementDataType, or newer
  const char* name;      // as in "tensor(float)"
  int numpy;             // NPY_TYPES, for types of ml_dtypes that of the unsigned integer of the same size; -1: none
  uint8_t bits;          // of one element; 0 for strings
  const char* ml_dtype;  // name in ml_dtypes; null when NumPy has the type itself
};

// Null when this binding does not know the type.
const ElementType* find_element_type(int onnx) noexcept;
const ElementType* find_element_type(const std::string& name) noexcept;  // "float" or "tensor(float)"
std::string element_name(int onnx);

// The declared type of an input or output, and of what is inside it.
struct ValueType {
  ONNXType kind = ONNX_TYPE_UNKNOWN;
  int element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;  // tensors
  int key = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;      // maps
  std::vector<int64_t> dims;                              // tensors: -1 where the model leaves the size open
  std::vector<std::string> symbols;                       // as many: the name of such a size, or ""
  std::unique_ptr<ValueType> inner;  // of a sequence's element, an optional's content, a map's value

  static ValueType read(const Library& library, const OrtTypeInfo* info);

  std::string text() const;      // "seq(tensor(float))", as the official package spells it
  std::string describe() const;  // "tensor(float) of shape ['batch', 3]"
  nanobind::list shape() const;  // numbers, names and None
};

}  // namespace ortpack
