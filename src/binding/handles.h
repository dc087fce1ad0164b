// Ownership of ONNX Runtime's objects, and small buffers for the hot path.
#pragma once

#include <onnxruntime_c_api.h>

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace ortpack {

// Which slot of the API table frees a T.
template <class T>
struct Release;

#define ORTPACK_RELEASE(X)                                                                   \
  template <>                                                                                \
  struct Release<Ort##X> {                                                                   \
    static void call(const OrtApi& api, Ort##X* object) noexcept { api.Release##X(object); } \
  };

ORTPACK_RELEASE(Env)
ORTPACK_RELEASE(MemoryInfo)
ORTPACK_RELEASE(Session)
ORTPACK_RELEASE(Value)
ORTPACK_RELEASE(RunOptions)
ORTPACK_RELEASE(TypeInfo)
ORTPACK_RELEASE(TensorTypeAndShapeInfo)
ORTPACK_RELEASE(SessionOptions)
ORTPACK_RELEASE(ModelMetadata)
ORTPACK_RELEASE(IoBinding)
#undef ORTPACK_RELEASE

// Owns one object of ONNX Runtime. API tables live as long as the process, so a reference to one never dangles.
template <class T>
class Handle {
 public:
  explicit Handle(const OrtApi& api, T* object = nullptr) noexcept : api_(&api), object_(object) {}
  Handle(Handle&& other) noexcept : api_(other.api_), object_(std::exchange(other.object_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      reset();
      api_ = other.api_;
      object_ = std::exchange(other.object_, nullptr);
    }
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { reset(); }

  T* get() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  T* release() noexcept { return std::exchange(object_, nullptr); }
  void reset() noexcept {
    if (object_ != nullptr) Release<T>::call(*api_, std::exchange(object_, nullptr));
  }
  // Where a Create function writes its result.
  T** out() noexcept {
    reset();
    return &object_;
  }

 private:
  const OrtApi* api_;
  T* object_;
};

// Memory that an OrtAllocator gave: names, arrays of values.
class Allocated {
 public:
  explicit Allocated(OrtAllocator* allocator) noexcept : allocator_(allocator) {}
  Allocated(const Allocated&) = delete;
  Allocated& operator=(const Allocated&) = delete;
  ~Allocated() {
    if (pointer_ != nullptr) allocator_->Free(allocator_, pointer_);
  }

  template <class T>
  T** out() noexcept {
    return reinterpret_cast<T**>(&pointer_);
  }
  template <class T>
  T* get() const noexcept {
    return static_cast<T*>(pointer_);
  }

 private:
  OrtAllocator* allocator_;
  void* pointer_ = nullptr;
};

// A fixed number of plain values; on the stack as long as they are few. Not initialised.
template <class T, size_t N>
class Small {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  explicit Small(size_t size) : size_(size) {
    if (size > N) heap_.reset(new T[size]);
  }
  T* data() noexcept { return heap_ ? heap_.get() : local_; }
  const T* data() const noexcept { return heap_ ? heap_.get() : local_; }
  size_t size() const noexcept { return size_; }
  T& operator[](size_t i) noexcept { return data()[i]; }
  const T& operator[](size_t i) const noexcept { return data()[i]; }
  T* begin() noexcept { return data(); }
  T* end() noexcept { return data() + size_; }

 private:
  size_t size_;
  std::unique_ptr<T[]> heap_;
  T local_[N];
};

}  // namespace ortpack
