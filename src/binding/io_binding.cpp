#include "io_binding.h"

#include <nanobind/stl/string.h>

namespace ortpack {

namespace {

nb::object owners(const Keep& keep) {
  nb::list list;
  keep.each([&list](nb::handle object) { list.append(object); });
  return list;
}

const Port& find_port(const Ports& ports, const std::string& name, const char* what) {
  const size_t found = ports.find(nb::str(name.data(), name.size()).ptr(), 0);
  if (found == ports.size()) {
    throw Error("InvalidArgument", std::string("the model has no ") + what + " '" + name + "'; it has " +
                                       quoted(ports.names()) + nearest(name, ports.names()));
  }
  return ports[found];
}

ValueRef value_for(Library& library, const Port& port, nb::handle object, const char* what, Keep& keep) {
  try {
    ValueRef value = to_value(library, port.type, object, keep);
    if (value.get() == nullptr) throw Error("InvalidArgument", "an empty optional can't be bound; leave it out");
    return value;
  } catch (const Error& error) {
    throw Error(error.kind(), std::string(what) + " '" + port.name + "': " + error.what());
  }
}

}  // namespace

IoBinding::IoBinding(Session& session) : session_(&session), binding_(api()) {
  check(api(), api().CreateIoBinding(session_->get(), binding_.out()));
}

void IoBinding::bind_input(const std::string& name, nb::handle object) {
  const Port& port = find_port(session().inputs(), name, "input");
  Keep keep;
  const ValueRef value = value_for(session().library(), port, object, "input", keep);
  check(api(), api().BindInput(binding_.get(), name.c_str(), value.get()));
  input_owners_[name] = owners(keep);
}

void IoBinding::bind_output(const std::string& name, nb::handle object) {
  const Port& port = find_port(session().outputs(), name, "output");
  nb::object holder;
  const Value* given = find_value(object, holder);
  if (given == nullptr)
    throw Error("InvalidArgument", "output '" + name + "': expected an OrtValue, got " + describe(object));
  if (&given->library() != &session().library() && port.type.kind != ONNX_TYPE_TENSOR) {
    throw Error("InvalidArgument", "output '" + name + "': the OrtValue belongs to another runtime");
  }
  Keep keep;
  const ValueRef value = value_for(session().library(), port, object, "output", keep);
  check(api(), api().BindOutput(binding_.get(), name.c_str(), value.get()));
  output_owners_[name] = owners(keep);
}

void IoBinding::bind_output_to_device(const std::string& name, const std::string& device, int device_id) {
  find_port(session().outputs(), name, "output");
  Handle<OrtMemoryInfo> memory(api());
  check(api(), api().CreateMemoryInfo(device.c_str(), OrtDeviceAllocator, device_id, OrtMemTypeDefault, memory.out()));
  check(api(), api().BindOutputToDevice(binding_.get(), name.c_str(), memory.get()));
  output_owners_.erase(name);
}

void IoBinding::clear_inputs() {
  api().ClearBoundInputs(binding_.get());
  input_owners_.clear();
}

void IoBinding::clear_outputs() {
  api().ClearBoundOutputs(binding_.get());
  output_owners_.clear();
}

void IoBinding::synchronize_inputs() { check(api(), api().SynchronizeBoundInputs(binding_.get())); }

void IoBinding::synchronize_outputs() { check(api(), api().SynchronizeBoundOutputs(binding_.get())); }

void IoBinding::run(nb::handle run_options) {
  const OrtRunOptions* options = run_options_for(session().library(), run_options);
  OrtStatus* status = nullptr;
  {
    const Unlocked unlocked;
    status = api().RunWithBinding(session().get(), options, binding_.get());
  }
  check(api(), status);
}

nb::list IoBinding::outputs() {
  Library& library = session().library();
  Allocated array(library.allocator());
  size_t count = 0;
  check(api(), api().GetBoundOutputValues(binding_.get(), library.allocator(), array.out<OrtValue*>(), &count));
  std::vector<Handle<OrtValue>> values;
  for (size_t i = 0; i < count; ++i) values.emplace_back(api(), array.get<OrtValue*>()[i]);
  // An output may lie over memory that was bound for it, or over that of an input which the model hands through
  nb::list keep;
  for (const auto& [name, owner] : output_owners_) keep.append(owner);
  for (const auto& [name, owner] : input_owners_) keep.append(owner);
  nb::list list;
  for (Handle<OrtValue>& value : values) {
    list.append(value ? make_value(library, std::move(value), keep) : nb::none());
  }
  return list;
}

void bind_io_binding(nb::module_& module) {
  nb::class_<IoBinding>(module, "IoBinding", "Inputs and outputs bound to a session.")
      .def(nb::init<Session&>(), nb::arg("session"), nb::keep_alive<1, 2>())
      .def("bind_input", &IoBinding::bind_input, nb::arg("name"), nb::arg("value"))
      .def("bind_output", &IoBinding::bind_output, nb::arg("name"), nb::arg("value"))
      .def("bind_output_to_device", &IoBinding::bind_output_to_device, nb::arg("name"), nb::arg("device"),
           nb::arg("device_id"))
      .def("clear_inputs", &IoBinding::clear_inputs)
      .def("clear_outputs", &IoBinding::clear_outputs)
      .def("synchronize_inputs", &IoBinding::synchronize_inputs)
      .def("synchronize_outputs", &IoBinding::synchronize_outputs)
      .def("run", &IoBinding::run, nb::arg("run_options").none() = nb::none())
      .def("outputs", &IoBinding::outputs);
}

}  // namespace ortpack
