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

// The content of an ORT-format model's file, for as long as it lives; nothing if it is of another format or can't be read.
class OrtFormatFile {
 public:
  explicit OrtFormatFile(const ORTCHAR_T* path);
  ~OrtFormatFile();
  OrtFormatFile(const OrtFormatFile&) = delete;
  OrtFormatFile& operator=(const OrtFormatFile&) = delete;

  const void* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace ortpack
