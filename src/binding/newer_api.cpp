#include "newer_api.h"

#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

namespace ortpack {

namespace {

// ORT's API table only ever grows at its end, and a function never leaves its slot: upstream asserts that at compile
// time (onnxruntime_c_api.cc). So a newer function can be called through its slot number and signature alone, as
// onnxruntime_c_api.h of the release that introduced it declares them. The table of API 21 has slots 0 to 284.
constexpr size_t header_slots = sizeof(OrtApi) / sizeof(void*);
static_assert(ORT_API_VERSION > 21 || header_slots == 285, "the slots below are counted from this table");

struct KeyValuePairs;
struct HardwareDevice;
struct AssignedSubgraph;
struct AssignedNode;

// One function of the table: where it stands, and since which API version.
template <class F>
struct Slot {
  size_t index;
  uint32_t since;
};

template <class... Args>
using Status = OrtStatus*(ORT_API_CALL*)(Args...);
template <class R, class... Args>
using Getter = R(ORT_API_CALL*)(Args...);

// API 22 (ONNX Runtime 1.22): provider libraries, devices
constexpr Slot<Getter<void, const KeyValuePairs*, const char* const**, const char* const**, size_t*>> get_pairs{298, 22};
constexpr Slot<Status<OrtEnv*, const char*, const ORTCHAR_T*>> register_library{301, 22};
constexpr Slot<Status<OrtEnv*, const char*>> unregister_library{302, 22};
constexpr Slot<Status<const OrtEnv*, const NativeEpDevice* const**, size_t*>> get_devices{303, 22};
constexpr Slot<Status<OrtSessionOptions*, OrtEnv*, const NativeEpDevice* const*, size_t, const char* const*,
                      const char* const*, size_t>> append_devices{304, 22};
constexpr Slot<Getter<int, const HardwareDevice*>> hardware_type{307, 22};
constexpr Slot<Getter<uint32_t, const HardwareDevice*>> hardware_vendor_id{308, 22};
constexpr Slot<Getter<const char*, const HardwareDevice*>> hardware_vendor{309, 22};
constexpr Slot<Getter<uint32_t, const HardwareDevice*>> hardware_device_id{310, 22};
constexpr Slot<Getter<const KeyValuePairs*, const HardwareDevice*>> hardware_metadata{311, 22};
constexpr Slot<Getter<const char*, const NativeEpDevice*>> device_ep_name{312, 22};
constexpr Slot<Getter<const char*, const NativeEpDevice*>> device_ep_vendor{313, 22};
constexpr Slot<Getter<const KeyValuePairs*, const NativeEpDevice*>> device_ep_metadata{314, 22};
constexpr Slot<Getter<const KeyValuePairs*, const NativeEpDevice*>> device_ep_options{315, 22};
constexpr Slot<Getter<const HardwareDevice*, const NativeEpDevice*>> device_hardware{316, 22};

// API 24 (ONNX Runtime 1.24): which provider got which node
constexpr Slot<Status<const OrtSession*, const AssignedSubgraph* const**, size_t*>> assigned_subgraphs{407, 24};
constexpr Slot<Status<const AssignedSubgraph*, const char**>> subgraph_ep{408, 24};
constexpr Slot<Status<const AssignedSubgraph*, const AssignedNode* const**, size_t*>> subgraph_nodes{409, 24};
constexpr Slot<Status<const AssignedNode*, const char**>> node_name{410, 24};
constexpr Slot<Status<const AssignedNode*, const char**>> node_domain{411, 24};
constexpr Slot<Status<const AssignedNode*, const char**>> node_operator{412, 24};

// The functions of one library, of at least API version `since`.
class NewerApi {
 public:
  NewerApi(const Library& library, uint32_t since, const char* what)
      : library_(library), table_(reinterpret_cast<void* const*>(&library.newer_api(since, what))) {}

  // Calls a function that can't fail.
  template <class R, class... Params, class... Args>
  R get(const Slot<Getter<R, Params...>>& slot, Args... args) const {
    return reinterpret_cast<Getter<R, Params...>>(table_[slot.index])(args...);
  }
  template <class... Params, class... Args>
  void call(const Slot<Status<Params...>>& slot, Args... args) const {
    check(library_.api(), reinterpret_cast<Status<Params...>>(table_[slot.index])(args...));
  }

 private:
  const Library& library_;
  void* const* table_;
};

constexpr const char* plugins = "using execution provider libraries";

nb::object as_str(const char* text) {
  if (text == nullptr) return nb::str("");
  return nb::steal(PyUnicode_DecodeUTF8(text, static_cast<Py_ssize_t>(std::char_traits<char>::length(text)), "replace"));
}

nb::dict pairs_of(const NewerApi& api, const KeyValuePairs* pairs) {
  nb::dict result;
  if (pairs == nullptr) return result;
  const char* const* keys = nullptr;
  const char* const* values = nullptr;
  size_t count = 0;
  api.get(get_pairs, pairs, &keys, &values, &count);
  for (size_t i = 0; i < count; ++i) result[as_str(keys[i])] = as_str(values[i]);
  return result;
}

std::vector<const NativeEpDevice*> current_devices(const NewerApi& api, Library& library) {
  const NativeEpDevice* const* devices = nullptr;
  size_t count = 0;
  api.call(get_devices, static_cast<const OrtEnv*>(library.env()), &devices, &count);
  return {devices, devices + count};
}

void register_ep_library(Library& library, const std::string& name, nb::str path) {
  const NewerApi api(library, 22, plugins);
  const OrtPath native(path);
  OrtEnv* env = library.env();
  const Unlocked unlocked;  // it loads libraries and looks for devices
  api.call(register_library, env, name.c_str(), native.c_str());
}

void unregister_ep_library(Library& library, const std::string& name) {
  const NewerApi api(library, 22, plugins);
  OrtEnv* env = library.env();
  const Unlocked unlocked;
  api.call(unregister_library, env, name.c_str());
}

nb::list ep_devices(Library& library) {
  const NewerApi api(library, 22, plugins);
  nb::list result;
  for (const NativeEpDevice* device : current_devices(api, library)) {
    const HardwareDevice* hardware = api.get(device_hardware, device);
    const char* name = api.get(device_ep_name, device);
    const nb::object held = nb::cast(EpDevice{&library, device, name});
    result.append(nb::make_tuple(
        held, as_str(name), as_str(api.get(device_ep_vendor, device)),
        pairs_of(api, api.get(device_ep_metadata, device)), pairs_of(api, api.get(device_ep_options, device)),
        api.get(hardware_type, hardware), api.get(hardware_vendor_id, hardware),
        as_str(api.get(hardware_vendor, hardware)), api.get(hardware_device_id, hardware),
        pairs_of(api, api.get(hardware_metadata, hardware))));
  }
  return result;
}

void append_ep_devices(SessionOptions& options, const std::vector<EpDevice>& devices,
                       const std::map<std::string, std::string>& provider_options) {
  Library& library = options.library();
  const NewerApi api(library, 22, plugins);
  const std::vector<const NativeEpDevice*> current = current_devices(api, library);
  std::vector<const NativeEpDevice*> natives;
  for (const EpDevice& device : devices) {
    if (device.library != &library) {
      throw Error("InvalidArgument", "the device of " + device.ep_name + " is one of " + device.library->path() +
                                         ", but the session runs on " + library.path() + "; give it runtime=");
    }
    // Another device may have got the same address since, so the name has to be the same too
    const bool there = std::find(current.begin(), current.end(), device.native) != current.end();
    if (!there || device.ep_name != api.get(device_ep_name, device.native)) {
      throw Error("InvalidArgument", "the device of " + device.ep_name + " is gone: its library was unregistered");
    }
    natives.push_back(device.native);
  }
  std::vector<const char*> keys;
  std::vector<const char*> values;
  for (const auto& [key, value] : provider_options) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  api.call(append_devices, options.get(), library.env(), natives.data(), natives.size(), keys.data(), values.data(),
           keys.size());
}

nb::list assigned_nodes(const Session& session) {
  const NewerApi api(session.library(), 24, "placement()");
  const AssignedSubgraph* const* subgraphs = nullptr;
  size_t count = 0;
  api.call(assigned_subgraphs, static_cast<const OrtSession*>(session.get()), &subgraphs, &count);
  nb::list result;
  for (size_t i = 0; i < count; ++i) {
    const char* provider = nullptr;
    const AssignedNode* const* nodes = nullptr;
    size_t size = 0;
    api.call(subgraph_ep, subgraphs[i], &provider);
    api.call(subgraph_nodes, subgraphs[i], &nodes, &size);
    nb::list listed;
    for (size_t j = 0; j < size; ++j) {
      const char* name = nullptr;
      const char* domain = nullptr;
      const char* type = nullptr;
      api.call(node_name, nodes[j], &name);
      api.call(node_domain, nodes[j], &domain);
      api.call(node_operator, nodes[j], &type);
      listed.append(nb::make_tuple(as_str(name), as_str(domain), as_str(type)));
    }
    result.append(nb::make_tuple(as_str(provider), listed));
  }
  return result;
}

}  // namespace

void bind_newer_api(nb::module_& module) {
  nb::class_<EpDevice>(module, "NativeEpDevice", "A device that an execution provider of one library can use.")
      .def("__eq__", [](const EpDevice& self, const EpDevice& other) { return self.native == other.native; })
      .def("__hash__", [](const EpDevice& self) { return std::hash<const void*>()(self.native); })
      .def_prop_ro("library", [](const EpDevice& self) { return self.library; }, nb::rv_policy::reference);
  module.def("register_ep_library", &register_ep_library, nb::arg("library"), nb::arg("name"), nb::arg("path"));
  module.def("unregister_ep_library", &unregister_ep_library, nb::arg("library"), nb::arg("name"));
  module.def("ep_devices", &ep_devices, nb::arg("library"),
             "(device, ep name, ep vendor, ep metadata, ep options, type, vendor id, vendor, device id, metadata) each.");
  module.def("append_ep_devices", &append_ep_devices, nb::arg("options"), nb::arg("devices"),
             nb::arg("provider_options"));
  module.def("assigned_nodes", &assigned_nodes, nb::arg("session"),
             "(provider, [(name, domain, operator), ...]) for each part of the graph.");
}

}  // namespace ortpack
