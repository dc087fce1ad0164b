#include "errors.h"

namespace ortpack {

const char* error_kind(int code) noexcept {
  // In the order of OrtErrorCode; the last three are newer than the header.
  static constexpr const char* kinds[] = {
      "OrtError",          "Fail",
      "InvalidArgument",   "NoSuchFile",
      "NoModel",           "EngineError",
      "RuntimeException",  "InvalidProtobuf",
      "ModelLoaded",       "NotImplemented",
      "InvalidGraph",      "EPFail",
      "ModelLoadCanceled", "ModelRequiresCompilation",
      "NotFound",
  };
  const bool known = code > 0 && static_cast<size_t>(code) < sizeof(kinds) / sizeof(*kinds);
  return known ? kinds[code] : kinds[0];
}

void throw_status(const OrtApi& api, OrtStatus* status) {
  Error error(error_kind(api.GetErrorCode(status)), api.GetErrorMessage(status));
  api.ReleaseStatus(status);
  throw error;
}

namespace {

std::string take_text(PyObject* text) {
  Py_ssize_t length = 0;
  const char* utf8 = text != nullptr ? PyUnicode_AsUTF8AndSize(text, &length) : nullptr;
  std::string result = utf8 != nullptr ? std::string(utf8, static_cast<size_t>(length)) : "?";
  Py_XDECREF(text);
  PyErr_Clear();
  return result;
}

}  // namespace

std::string to_text(nb::handle object) { return take_text(PyObject_Str(object.ptr())); }

std::string to_repr(nb::handle object) { return take_text(PyObject_Repr(object.ptr())); }

std::string nearest(std::string_view name, const std::vector<std::string>& candidates) {
  // Compared in lower case, so that a name which differs only in case is the nearest
  nb::dict by_lower;
  for (const std::string& candidate : candidates) {
    const nb::str text(candidate.data(), candidate.size());
    by_lower[text.attr("lower")()] = text;
  }
  const nb::object close = nb::module_::import_("difflib").attr("get_close_matches")(
      nb::str(name.data(), name.size()).attr("lower")(), nb::list(by_lower), 1, 0.5);
  if (nb::len(close) == 0) return "";
  return "; did you mean '" + to_text(nb::object(by_lower[close[0]])) + "'?";
}

std::string quoted(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "'" : ", '") + name + "'";
  return text.empty() ? "(none)" : text;
}

namespace {

void translate(const std::exception_ptr& raised, void*) {
  try {
    std::rethrow_exception(raised);
  } catch (const Error& error) {
    const std::string_view text = error.what();
    PyObject* errors = PyImport_ImportModule(ORTPACK_PACKAGE ".errors");
    PyObject* kind = errors ? PyObject_GetAttrString(errors, error.kind()) : nullptr;
    // Messages quote paths and names of models, which need not be UTF-8
    PyObject* message =
        kind ? PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace") : nullptr;
    if (message) PyErr_SetObject(kind, message);
    Py_XDECREF(message);
    Py_XDECREF(kind);
    Py_XDECREF(errors);
  }
}

}  // namespace

void bind_errors(nb::module_&) { nb::register_exception_translator(translate); }

}  // namespace ortpack
