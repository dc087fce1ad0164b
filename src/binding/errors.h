// Errors in C++: an OrtStatus or a refusal of our own is thrown, and becomes a class of the package's `errors` module.
#pragma once

#include <nanobind/nanobind.h>
#include <onnxruntime_c_api.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ortpack {

namespace nb = nanobind;

// An error that Python shall see as the class `kind` of the package's `errors` module.
class Error : public std::runtime_error {
 public:
  // `kind` has to be a string literal.
  Error(const char* kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  const char* kind() const noexcept { return kind_; }

 private:
  const char* kind_;
};

// The name of the error class for a status code; codes that this binding does not know are plain "OrtError".
const char* error_kind(int code) noexcept;

// Throws what `status` says, and frees it. Needs no GIL.
[[noreturn]] void throw_status(const OrtApi& api, OrtStatus* status);

inline void check(const OrtApi& api, OrtStatus* status) {
  if (status != nullptr) throw_status(api, status);
}

// str(object) and repr(object) for messages; "?" where there is none. Need the GIL.
std::string to_text(nb::handle object);
std::string to_repr(nb::handle object);

// ", did you mean 'x'?" with the candidate nearest to `name`, or nothing. Needs the GIL.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

// 'a', 'b', 'c'
std::string quoted(const std::vector<std::string>& names);

void bind_errors(nb::module_& module);

}  // namespace ortpack
