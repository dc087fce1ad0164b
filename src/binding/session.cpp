#include "session.h"

#include <nanobind/stl/string.h>

#include <cstring>

#include "ort_format.h"

namespace ortpack {

Ports::Ports(std::vector<Port> ports) : ports_(std::move(ports)) {
  for (size_t i = 0; i < ports_.size(); ++i) index_.emplace(ports_[i].name, i);
}

size_t Ports::find(PyObject* name, size_t guess) const {
  if (guess < ports_.size() && ports_[guess].key.ptr() == name) return guess;
  if (ports_.size() <= 16) {
    for (size_t i = 0; i < ports_.size(); ++i) {
      if (ports_[i].key.ptr() == name) return i;
    }
  }
  Py_ssize_t length = 0;
  const char* text = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, &length) : nullptr;
  if (text == nullptr) {
    PyErr_Clear();  // not a str, or one that is not valid Unicode
    return ports_.size();
  }
  const auto found = index_.find(std::string_view(text, static_cast<size_t>(length)));
  return found == index_.end() ? ports_.size() : found->second;
}

std::vector<std::string> Ports::names() const {
  std::vector<std::string> names;
  for (const Port& port : ports_) names.push_back(port.name);
  return names;
}

namespace {

using CountFunction = decltype(OrtApi::SessionGetInputCount);
using NameFunction = decltype(OrtApi::SessionGetInputName);
using TypeFunction = decltype(OrtApi::SessionGetInputTypeInfo);

size_t read_ports(const Library& library, const OrtSession* session, CountFunction count_of, NameFunction name_of,
                  TypeFunction type_of, std::vector<Port>& ports) {
  const OrtApi& api = library.api();
  size_t count = 0;
  check(api, count_of(session, &count));
  for (size_t i = 0; i < count; ++i) {
    Allocated name(library.allocator());
    check(api, name_of(session, i, library.allocator(), name.out<char>()));
    Handle<OrtTypeInfo> info(api);
    check(api, type_of(session, i, info.out()));
    const char* text = name.get<char>();
    // A name that is not UTF-8 is only found by this object itself.
    PyObject* key = PyUnicode_DecodeUTF8(text, static_cast<Py_ssize_t>(std::strlen(text)), "replace");
    if (key == nullptr) nb::raise_python_error();
    PyUnicode_InternInPlace(&key);
    ports.push_back({text, nb::steal(key), ValueType::read(library, info.get())});
  }
  return count;
}

std::string text_of(const Library& library, const OrtModelMetadata* metadata,
                    decltype(OrtApi::ModelMetadataGetDomain) function) {
  Allocated text(library.allocator());
  check(library.api(), function(metadata, library.allocator(), text.out<char>()));
  return text.get<char>();
}

// Makes a session from a mapped file: the bytes that were checked are those that are loaded, without a copy.
void load_directly(const OrtApi& api, const OrtEnv* env, const OrtFormatFile& file, const OrtSessionOptions* options,
                   Handle<OrtSession>& session) {
  Handle<OrtSessionOptions> own(api);
  check(api, api.CloneSessionOptions(options, own.out()));
  check(api, api.AddSessionConfigEntry(own.get(), "session.use_ort_model_bytes_directly", "1"));
  // With "1", weights would be read from the bytes for as long as the session lives; these are gone before that.
  check(api, api.AddSessionConfigEntry(own.get(), "session.use_ort_model_bytes_for_initializers", "0"));
  check(api, api.CreateSessionFromArray(env, file.data(), file.size(), own.get(), session.out()));
}

// A str from bytes that a model holds, which need not be valid Unicode.
nb::object as_str(const std::string& text) {
  return nb::steal(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
}

}  // namespace

Session::Session(Library& library, nb::object model, SessionOptions& options)
    : library_(&library), owners_(options.session_owners()), session_(library.api()) {
  const OrtApi& api = library.api();
  if (&options.library() != &library) throw Error("InvalidArgument", "the options are those of another library");
  const OrtEnv* env = library.env();
  const bool is_bytes = PyBytes_Check(model.ptr());
  try {
    if (is_bytes) {
      const void* data = PyBytes_AsString(model.ptr());
      const auto size = static_cast<size_t>(PyBytes_Size(model.ptr()));
      const Unlocked unlocked;
      check_ort_format(data, size);
      check(api, api.CreateSessionFromArray(env, data, size, options.get(), session_.out()));
    } else {
      const OrtPath path(model);
      const Unlocked unlocked;
      const OrtFormatFile file(path.c_str());
      if (file.data() == nullptr) {
        check(api, api.CreateSession(env, path.c_str(), options.get(), session_.out()));
      } else {
        check_ort_format(file.data(), file.size());
        load_directly(api, env, file, options.get(), session_);
      }
    }
  } catch (const Error& error) {
    const std::string what = is_bytes ? std::to_string(PyBytes_Size(model.ptr())) + " bytes" : to_repr(model);
    throw Error(error.kind(), "could not load the model (" + what + "): " + error.what());
  }
  if (is_bytes && options.keeps_model_bytes()) owners_.push_back(model);

  std::vector<Port> inputs;
  required_ = read_ports(library, get(), api.SessionGetInputCount, api.SessionGetInputName, api.SessionGetInputTypeInfo,
                         inputs);
  read_ports(library, get(), api.SessionGetOverridableInitializerCount, api.SessionGetOverridableInitializerName,
             api.SessionGetOverridableInitializerTypeInfo, inputs);
  inputs_ = Ports(std::move(inputs));
  std::vector<Port> outputs;
  read_ports(library, get(), api.SessionGetOutputCount, api.SessionGetOutputName, api.SessionGetOutputTypeInfo,
             outputs);
  outputs_ = Ports(std::move(outputs));
  for (size_t i = 0; i < outputs_.size(); ++i) output_names_.push_back(outputs_[i].name.c_str());
}

std::string Session::end_profiling() {
  Allocated name(library_->allocator());
  check(library_->api(), library_->api().SessionEndProfiling(get(), library_->allocator(), name.out<char>()));
  return name.get<char>();
}

uint64_t Session::profiling_start_time() const {
  uint64_t start = 0;
  check(library_->api(), library_->api().SessionGetProfilingStartTimeNs(get(), &start));
  return start;
}

nb::object Session::metadata() const {
  const OrtApi& api = library_->api();
  Handle<OrtModelMetadata> metadata(api);
  check(api, api.SessionGetModelMetadata(get(), metadata.out()));
  nb::dict custom;
  {
    Allocated keys(library_->allocator());
    int64_t count = 0;
    check(api,
          api.ModelMetadataGetCustomMetadataMapKeys(metadata.get(), library_->allocator(), keys.out<char*>(), &count));
    for (int64_t i = 0; i < count; ++i) {
      Allocated key(library_->allocator());
      *key.out<char>() = keys.get<char*>()[i];
      Allocated value(library_->allocator());
      check(api, api.ModelMetadataLookupCustomMetadataMap(metadata.get(), library_->allocator(), key.get<char>(),
                                                          value.out<char>()));
      if (value.get<char>() != nullptr) custom[as_str(key.get<char>())] = as_str(value.get<char>());
    }
  }
  int64_t version = 0;
  check(api, api.ModelMetadataGetVersion(metadata.get(), &version));
  const auto text = [&](decltype(OrtApi::ModelMetadataGetDomain) function) {
    return as_str(text_of(*library_, metadata.get(), function));
  };
  return nb::make_tuple(text(api.ModelMetadataGetProducerName), text(api.ModelMetadataGetGraphName),
                        text(api.ModelMetadataGetDomain), text(api.ModelMetadataGetDescription),
                        text(api.ModelMetadataGetGraphDescription), version, custom);
}

namespace {

nb::list ports_of(const Ports& ports, size_t first, size_t last) {
  nb::list list;
  for (size_t i = first; i < last; ++i) {
    list.append(nb::make_tuple(ports[i].key, as_str(ports[i].type.text()), ports[i].type.shape()));
  }
  return list;
}

}  // namespace

void bind_session(nb::module_& module) {
  nb::class_<Session>(module, "Session", "A model that is loaded and ready to run.")
      .def(nb::init<Library&, nb::object, SessionOptions&>(), nb::arg("library"), nb::arg("model"), nb::arg("options"))
      .def("run", &Session::run, nb::arg("output_names").none(), nb::arg("input_feed"),
           nb::arg("run_options").none() = nb::none(),
           "Compute outputs.\n\n"
           "Args:\n"
           "    output_names: the outputs wanted, in order; None or empty for all.\n"
           "    input_feed: arrays (lists, dicts or OrtValues, as the model wants) by the name of the input.\n"
           "    run_options: RunOptions, or None.\n\n"
           "Returns:\n"
           "    A list with one array (list, dict, None) for each output. Arrays own their memory.\n"
           "    bfloat16, float8, int4 and the like come as types of ml_dtypes where that package is installed,\n"
           "    else as unsigned integers with the same bits (int4 as int8). Both are taken as inputs too.\n\n"
           "Raises:\n"
           "    InvalidArgument: an input is missing, unknown, or not what the model expects.")
      .def("_run_with_values", &Session::run_with_values, nb::arg("output_names").none(), nb::arg("input_feed"),
           nb::arg("run_options").none() = nb::none())
      .def_prop_ro("_library", &Session::library, nb::rv_policy::reference)
      .def("_input_ports", [](const Session& self) { return ports_of(self.inputs(), 0, self.required_inputs()); })
      .def("_initializer_ports",
           [](const Session& self) { return ports_of(self.inputs(), self.required_inputs(), self.inputs().size()); })
      .def("_output_ports", [](const Session& self) { return ports_of(self.outputs(), 0, self.outputs().size()); })
      .def("_metadata", &Session::metadata)
      .def("end_profiling", &Session::end_profiling)
      .def("get_profiling_start_time_ns", &Session::profiling_start_time);
}

}  // namespace ortpack
