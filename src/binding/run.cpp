// Session::run, the hot path: no Python code, no allocation of our own for the usual handful of inputs and outputs.
#include "session.h"

#include <algorithm>

namespace ortpack {

namespace {

constexpr size_t few = 8;

}  // namespace

// The inputs of one run: names, values, and what keeps their memory alive.
struct Session::Feed {
  Feed(const OrtApi& the_api, size_t capacity) : api(the_api), names(capacity), values(capacity), made(capacity) {}
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;
  ~Feed() {
    for (size_t i = 0; i < made_count; ++i) api.ReleaseValue(made[i]);
  }

  // False for an empty optional, which is left out.
  bool add(const char* name, ValueRef value) {
    if (value.get() == nullptr) return false;
    names[count] = name;
    values[count++] = value.get();
    if (!value.is_lent()) made[made_count++] = value.release();
    return true;
  }

  const OrtApi& api;
  size_t count = 0;
  Small<const char*, few> names;
  Small<const OrtValue*, few> values;
  size_t made_count = 0;
  Small<OrtValue*, few> made;  // those of `values` that have to be released
  Keep keep;
};

// The outputs of one run: names, and the values that come.
struct Session::Wanted {
  Wanted(const OrtApi& the_api, const char* const* the_names, size_t the_count)
      : api(the_api), names(the_names), count(the_count), values(the_count) {
    std::fill(values.begin(), values.end(), nullptr);
  }
  Wanted(const Wanted&) = delete;
  Wanted& operator=(const Wanted&) = delete;
  ~Wanted() {
    for (OrtValue* value : values) {
      if (value != nullptr) api.ReleaseValue(value);
    }
  }
  Handle<OrtValue> take(size_t i) { return Handle<OrtValue>(api, std::exchange(values[i], nullptr)); }

  const OrtApi& api;
  const char* const* names;
  size_t count;
  Small<OrtValue*, few> values;
};

const OrtRunOptions* run_options_for(Library& library, nb::handle run_options) {
  if (run_options.is_none()) return nullptr;
  if (!nb::isinstance<RunOptions>(run_options) || !nb::inst_ready(run_options)) {
    throw nb::type_error(("run_options has to be RunOptions or None, not " + describe(run_options)).c_str());
  }
  return nb::inst_ptr<RunOptions>(run_options)->in(library);
}

namespace {

// The names of the outputs that the caller wants, as a list; nothing when he wants all.
nb::object chosen_names(nb::handle wanted) {
  if (wanted.is_none()) return nb::object();
  nb::object names;
  if (PyList_Check(wanted.ptr())) {
    names = nb::borrow(wanted);
  } else {
    if (PyUnicode_Check(wanted.ptr()) || !PySequence_Check(wanted.ptr())) {
      throw nb::type_error(("output_names has to be a list of names or None, not " + describe(wanted)).c_str());
    }
    names = nb::steal(PySequence_List(wanted.ptr()));
    if (!names.is_valid()) nb::raise_python_error();
  }
  return PyList_Size(names.ptr()) > 0 ? names : nb::object();
}

// Input feeds are dicts; any other mapping is made into one.
nb::object as_dict(nb::handle feed) {
  if (PyDict_Check(feed.ptr())) return nb::borrow(feed);
  if (!nb::hasattr(feed, "keys")) {
    throw nb::type_error(("input_feed has to be a dict of inputs by name, not " + describe(feed)).c_str());
  }
  nb::dict copy;
  if (PyDict_Update(copy.ptr(), feed.ptr()) < 0) nb::raise_python_error();
  return copy;
}

[[noreturn]] void refuse_input(const Ports& inputs, PyObject* name) {
  const std::string text = to_text(name);
  throw Error("InvalidArgument", "the model has no input '" + text + "'; it has " + quoted(inputs.names()) +
                                     nearest(text, inputs.names()));
}

[[noreturn]] void refuse_output(const Ports& outputs, PyObject* name) {
  const std::string text = to_text(name);
  throw Error("InvalidArgument", "the model has no output '" + text + "'; it has " + quoted(outputs.names()) +
                                     nearest(text, outputs.names()));
}

[[noreturn]] void refuse_value(const Port& port, const Error& error) {
  throw Error(error.kind(), "input '" + port.name + "': " + error.what());
}

// Called when fewer inputs came than the model needs. An optional input may be left out, or be None.
void check_missing(const Ports& inputs, size_t required, nb::handle feed) {
  std::vector<std::string> missing;
  for (size_t i = 0; i < required; ++i) {
    PyObject* given = PyDict_GetItemWithError(feed.ptr(), inputs[i].key.ptr());
    const bool is_given = given != nullptr && given != Py_None;
    if (!is_given && inputs[i].type.kind != ONNX_TYPE_OPTIONAL) missing.push_back(inputs[i].name);
  }
  if (missing.empty()) return;
  std::vector<std::string> given;
  for (auto [name, value] : nb::borrow<nb::dict>(feed)) {
    if (!value.is_none()) given.push_back(to_text(name));
  }
  std::string message = "the feed lacks the inputs " + quoted(missing);
  if (missing.size() == 1) {
    const Port& port = inputs[inputs.find(nb::str(missing[0].c_str()).ptr(), 0)];
    message = "the feed lacks the input " + quoted(missing) + ", " + port.type.describe();
  }
  throw Error("InvalidArgument", message + "; in the feed are " + quoted(given));
}

// Whether `shape` may be given where `type` is declared.
bool fits(const ValueType& type, const int64_t* shape, size_t rank) {
  if (type.kind != ONNX_TYPE_TENSOR || type.dims.empty()) return true;
  if (rank != type.dims.size()) return false;
  for (size_t i = 0; i < rank; ++i) {
    if (type.dims[i] >= 0 && type.dims[i] != shape[i]) return false;
  }
  return true;
}

}  // namespace

void Session::collect(Feed& feed, nb::handle dict) {
  Py_ssize_t position = 0;
  PyObject* name = nullptr;
  PyObject* object = nullptr;
  size_t needed = 0;
  for (size_t i = 0; PyDict_Next(dict.ptr(), &position, &name, &object); ++i) {
    const size_t found = inputs_.find(name, i);
    if (found == inputs_.size()) refuse_input(inputs_, name);
    if (object == Py_None) continue;
    const Port& port = inputs_[found];
    if (feed.count == feed.names.size()) throw nb::value_error("input_feed changed while it was read");
    // Converting may run Python code, and that may take the object out of the dict
    const nb::object holder = nb::borrow(object);
    try {
      const bool is_given = feed.add(port.name.c_str(), to_value(*library_, port.type, holder, feed.keep));
      needed += is_given && found < required_ ? 1 : 0;
    } catch (const Error& error) {
      refuse_value(port, error);
    }
  }
  if (needed < required_) check_missing(inputs_, required_, dict);
}

void Session::execute(const Feed& feed, Wanted& wanted, nb::handle run_options) {
  const OrtApi& api = library_->api();
  const OrtRunOptions* options = run_options_for(*library_, run_options);
  OrtStatus* status = nullptr;
  {
    const Unlocked unlocked;
    status = api.Run(get(), options, feed.names.data(), feed.values.data(), feed.count, wanted.names, wanted.count,
                     wanted.values.data());
  }
  if (status == nullptr) return;
  try {
    throw_status(api, status);
  } catch (const Error& error) {
    // ONNX Runtime's message names one index of the shape; this one has the whole shape
    for (size_t i = 0; i < feed.count; ++i) {
      const size_t found = inputs_.find(nb::str(feed.names[i]).ptr(), i);
      const ValueType& type = inputs_[found].type;
      if (type.kind != ONNX_TYPE_TENSOR) continue;
      const TensorInfo info(*library_, feed.values[i]);
      if (fits(type, info.dims(), info.rank)) continue;
      nb::list shape;
      for (size_t d = 0; d < info.rank; ++d) shape.append(info.dims()[d]);
      throw Error(error.kind(), "input '" + inputs_[found].name + "': expected " + type.describe() + ", got shape " +
                                    to_repr(shape) + " (" + error.what() + ")");
    }
    throw;
  }
}

template <class Convert>
nb::object Session::compute(nb::handle output_names, nb::handle input_feed, nb::handle run_options, Convert&& convert) {
  const OrtApi& api = library_->api();
  const nb::object dict = as_dict(input_feed);
  const nb::object names = chosen_names(output_names);
  const auto count = names.is_valid() ? static_cast<size_t>(PyList_Size(names.ptr())) : 0;
  Small<const char*, few> chosen(count);
  Small<size_t, few> ports(count);
  for (size_t i = 0; i < count; ++i) {  // runs no Python code, so the list can't change
    PyObject* name = PyList_GetItem(names.ptr(), static_cast<Py_ssize_t>(i));
    ports[i] = outputs_.find(name, i);
    if (ports[i] == outputs_.size()) refuse_output(outputs_, name);
    chosen[i] = output_names_[ports[i]];
  }
  // Declared before the outputs, so released after them: outputs may lie over the memory of inputs
  Feed feed(api, static_cast<size_t>(PyDict_Size(dict.ptr())));
  Wanted wanted(api, count > 0 ? chosen.data() : output_names_.data(), count > 0 ? count : output_names_.size());
  collect(feed, dict);
  execute(feed, wanted, run_options);

  nb::object list = nb::steal(PyList_New(static_cast<Py_ssize_t>(wanted.count)));
  if (!list.is_valid()) nb::raise_python_error();
  for (size_t i = 0; i < wanted.count; ++i) {
    const Port& port = outputs_[count > 0 ? ports[i] : i];
    nb::object item = convert(port, wanted.take(i), feed.keep);
    PyList_SetItem(list.ptr(), static_cast<Py_ssize_t>(i), item.release().ptr());
  }
  return list;
}

nb::object Session::run(nb::handle output_names, nb::handle input_feed, nb::handle run_options) {
  return compute(output_names, input_feed, run_options,
                 [this](const Port& port, Handle<OrtValue> value, const Keep& keep) {
                   if (port.type.kind == ONNX_TYPE_TENSOR) return to_array(*library_, std::move(value), &keep);
                   return to_python(*library_, std::move(value), &keep);
                 });
}

nb::object Session::run_with_values(nb::handle output_names, nb::handle input_feed, nb::handle run_options) {
  return compute(output_names, input_feed, run_options, [this](const Port&, Handle<OrtValue> value, const Keep& keep) {
    // The model may hand an input through: then the output lies over its memory
    nb::list owners;
    keep.each([&owners](nb::handle object) { owners.append(object); });
    return make_value(*library_, std::move(value), owners);
  });
}

}  // namespace ortpack
