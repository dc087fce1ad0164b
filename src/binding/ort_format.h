// ORT-format models are looked at before ONNX Runtime loads them.
//
// ONNX Runtime verifies that every offset in the file stays in it, and then trusts what it finds: a value without a
// name, an edge to a node that is not there or a place for 2^32 nodes end the process, in full and minimal builds alike.
// What can be seen beforehand is refused here.
#pragma once

#include <onnxruntime_c_api.h>

#include <cstddef>

namespace ortpack {

// Whether the bytes begin as an ORT-format model does.
bool is_ort_format(const void* data, size_t size) noexcept;

// Throws an Error for a model that ONNX Runtime would not survive. Needs no GIL.
void check_ort_format(const void* data, size_t size);

// The same for a file; one of another format, or one that can't be read, is left to ONNX Runtime.
void check_ort_format_file(const ORTCHAR_T* path);

}  // namespace ortpack
