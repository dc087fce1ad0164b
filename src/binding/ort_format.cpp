#include "ort_format.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#ifndef _WIN32
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include "errors.h"
#include "ort_schema.h"

namespace ortpack {

namespace {

constexpr size_t kHead = 8;                  // bytes, of which the last four say the format
constexpr uint32_t kMostNodes = 1u << 24;    // of one graph, those that optimizations took away included
constexpr int32_t kNoArgument = 0x7fffffff;  // of an edge that only says what comes first
constexpr int kDepth = 64;                   // of graphs in graphs

constexpr size_t kEdgeSize = 12;  // bytes: node, argument of the source, argument of the destination

[[noreturn]] void refuse(const std::string& what) {
  throw Error("InvalidGraph", "The ORT-format model is damaged: " + what + ".");
}

// A FlatBuffer. Positions are checked before anything is read; 0 stands for a field that is left out.
class Buffer {
 public:
  Buffer(const void* data, size_t size) : data_(static_cast<const char*>(data)), size_(size), budget_(4 * size) {}

  template <typename T>
  T read(size_t at) {
    // The budget ends this where a damaged file leads to one table again and again.
    if (at > size_ || size_ - at < sizeof(T) || budget_-- == 0) refuse("an offset leads nowhere");
    T value;
    std::memcpy(&value, data_ + at, sizeof(T));
    return value;
  }

  size_t field(size_t table, int slot) {
    const size_t vtable = table - static_cast<size_t>(static_cast<int64_t>(read<int32_t>(table)));
    const size_t entry = 4 + 2 * static_cast<size_t>(slot);
    if (entry + 2 > read<uint16_t>(vtable)) return 0;
    const uint16_t offset = read<uint16_t>(vtable + entry);
    return offset == 0 ? 0 : table + offset;
  }

  size_t follow(size_t at) { return at + read<uint32_t>(at); }

  size_t reference(size_t table, int slot) {
    const size_t at = field(table, slot);
    return at == 0 ? 0 : follow(at);
  }

  uint32_t number(size_t table, int slot) {
    const size_t at = field(table, slot);
    return at == 0 ? 0 : read<uint32_t>(at);
  }

  // The number of elements of a vector, none if it is left out.
  size_t count(size_t vector, size_t element) {
    const size_t count = vector == 0 ? 0 : read<uint32_t>(vector);
    if (count > size_ / element) refuse("a list is longer than the file");
    return count;
  }

  std::string_view text(size_t at) {
    const size_t size = read<uint32_t>(at);
    if (size > size_ - at - 4) refuse("a text is longer than the file");
    return {data_ + at + 4, size};
  }

 private:
  const char* data_;
  size_t size_;
  size_t budget_;
};

struct Node {
  size_t inputs, outputs;  // how many; implicit inputs included
};

class Checker {
 public:
  Checker(const void* data, size_t size) : buffer_(data, size) {}

  void check() {
    const size_t model = buffer_.reference(buffer_.follow(0), fbs::InferenceSession::kModel);
    const size_t graph = model == 0 ? 0 : buffer_.reference(model, fbs::Model::kGraph);
    if (graph != 0) check_graph(graph, 0);  // ONNX Runtime says what is missing
  }

 private:
  void check_graph(size_t graph, int depth) {
    if (depth > kDepth) refuse("graphs without an end");
    std::unordered_set<std::string_view> values;
    for_each_table(graph, fbs::Graph::kNodeArgs, [&](size_t value) {
      const size_t name = buffer_.reference(value, fbs::ValueInfo::kName);
      if (name == 0) refuse("a value has no name");
      values.insert(buffer_.text(name));
    });
    for (const int slot : {fbs::Graph::kInputs, fbs::Graph::kOutputs}) {
      for_each_table(graph, slot, [&](size_t name) {
        if (values.count(buffer_.text(name)) == 0) refuse("an input or output of a graph is not among its values");
      });
    }
    const uint32_t places = buffer_.number(graph, fbs::Graph::kMaxNodeIndex);
    if (places > kMostNodes) refuse("a graph has room for " + std::to_string(places) + " nodes");
    std::unordered_map<uint32_t, Node> nodes;
    for_each_table(graph, fbs::Graph::kNodes, [&](size_t node) { check_node(node, nodes, depth); });
    for_each_table(graph, fbs::Graph::kNodeEdges, [&](size_t edges) { check_edges(edges, nodes); });
  }

  void check_node(size_t node, std::unordered_map<uint32_t, Node>& nodes, int depth) {
    const size_t inputs = buffer_.count(buffer_.reference(node, fbs::Node::kInputs), 4);
    const size_t outputs = buffer_.count(buffer_.reference(node, fbs::Node::kOutputs), 4);
    const size_t implicit = buffer_.count(buffer_.reference(node, fbs::Node::kImplicitInputs), 4);
    const size_t counts = buffer_.reference(node, fbs::Node::kInputArgCounts);
    int64_t sum = 0;
    for (size_t i = 0; i < buffer_.count(counts, 4); ++i) {
      const int32_t number = buffer_.read<int32_t>(counts + 4 + 4 * i);
      if (number < 0) refuse("a node has a negative number of inputs");
      sum += number;
    }
    if (counts != 0 && sum != static_cast<int64_t>(inputs)) refuse("a node has another number of inputs than it says");
    if (!nodes.emplace(buffer_.number(node, fbs::Node::kIndex), Node{inputs + implicit, outputs}).second) {
      refuse("two nodes have one number");
    }
    check_operator(node, inputs);
    for_each_table(node, fbs::Node::kAttributes, [&](size_t attribute) {
      if (const size_t inner = buffer_.reference(attribute, fbs::Attribute::kG)) check_graph(inner, depth + 1);
      for_each_table(attribute, fbs::Attribute::kGraphs, [&](size_t inner) { check_graph(inner, depth + 1); });
    });
  }

  // Minimal builds have no schemas to check attributes against, and the kernels of these operators trust them.
  void check_operator(size_t node, size_t inputs) {
    const std::string_view name = text_of(node, fbs::Node::kOpType);
    if (name == "Scan") {
      for_each_table(node, fbs::Node::kAttributes, [&](size_t attribute) {
        if (text_of(attribute, fbs::Attribute::kName) != "num_scan_inputs") return;
        const size_t at = buffer_.field(attribute, fbs::Attribute::kI);
        const int64_t number = at == 0 ? 0 : buffer_.read<int64_t>(at);
        if (number < 1 || number > static_cast<int64_t>(inputs)) refuse("a Scan has another number of inputs");
      });
    } else if (text_of(node, fbs::Node::kDomain) == "ai.onnx.ml" && name.substr(0, 12) == "TreeEnsemble") {
      check_trees(node);
    }
  }

  // Checks that all lists about the nodes of trees have one length, and so have those about the results of leaves.
  void check_trees(size_t node) {
    std::unordered_map<std::string_view, size_t> sizes;
    for_each_table(node, fbs::Node::kAttributes, [&](size_t attribute) {
      size_t size = 0;
      switch (buffer_.number(attribute, fbs::Attribute::kType)) {  // says which of the lists counts
        case fbs::AttributeType::kFloats:
          size = buffer_.count(buffer_.reference(attribute, fbs::Attribute::kFloats), 4);
          break;
        case fbs::AttributeType::kInts:
          size = buffer_.count(buffer_.reference(attribute, fbs::Attribute::kInts), 8);
          break;
        case fbs::AttributeType::kStrings:
          size = buffer_.count(buffer_.reference(attribute, fbs::Attribute::kStrings), 4);
          break;
        case fbs::AttributeType::kTensor:
          if (const size_t tensor = buffer_.reference(attribute, fbs::Attribute::kT)) {
            const size_t dims = buffer_.reference(tensor, fbs::Tensor::kDims);
            if (buffer_.count(dims, 8) == 1) size = static_cast<size_t>(buffer_.read<int64_t>(dims + 4));
          }
          break;
        default:
          break;
      }
      std::string_view name = text_of(attribute, fbs::Attribute::kName);
      constexpr std::string_view kAsTensor = "_as_tensor";
      if (name.size() > kAsTensor.size() && name.substr(name.size() - kAsTensor.size()) == kAsTensor) {
        name.remove_suffix(kAsTensor.size());
      }
      if (size != 0) sizes[name] = size;
    });
    const auto equal = [&](std::initializer_list<std::string_view> names) {
      const size_t first = sizes[*names.begin()];
      for (const std::string_view name : names) {
        if (sizes[name] != first) refuse("lists of a tree ensemble differ in length");
      }
    };
    if (sizes.count("tree_roots") != 0) return;  // since version 5, whose kernel checks
    equal({"nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_values", "nodes_modes", "nodes_truenodeids",
           "nodes_falsenodeids"});
    equal({"target_treeids", "target_nodeids", "target_ids", "target_weights"});
    equal({"class_treeids", "class_nodeids", "class_ids", "class_weights"});
  }

  std::string_view text_of(size_t table, int slot) {
    const size_t at = buffer_.reference(table, slot);
    return at == 0 ? std::string_view() : buffer_.text(at);
  }

  void check_edges(size_t edges, const std::unordered_map<uint32_t, Node>& nodes) {
    const auto find = [&](uint32_t index) -> const Node& {
      const auto found = nodes.find(index);
      if (found == nodes.end()) refuse("an edge leads to a node that is not there");
      return found->second;
    };
    const Node& here = find(buffer_.number(edges, fbs::NodeEdge::kNodeIndex));
    for (const int slot : {fbs::NodeEdge::kInputEdges, fbs::NodeEdge::kOutputEdges}) {
      const size_t vector = buffer_.reference(edges, slot);
      for (size_t i = 0; i < buffer_.count(vector, kEdgeSize); ++i) {
        const size_t at = vector + 4 + kEdgeSize * i;
        const Node& other = find(buffer_.read<uint32_t>(at));
        const Node& source = slot == fbs::NodeEdge::kInputEdges ? other : here;
        const Node& destination = slot == fbs::NodeEdge::kInputEdges ? here : other;
        if (!within(buffer_.read<int32_t>(at + 4), source.outputs) ||
            !within(buffer_.read<int32_t>(at + 8), destination.inputs)) {
          refuse("an edge leads to an input or output that is not there");
        }
      }
    }
  }

  static bool within(int32_t argument, size_t count) {
    return argument == kNoArgument || (argument >= 0 && static_cast<size_t>(argument) < count);
  }

  // Calls `function` with what each element of a vector of offsets leads to.
  template <typename Function>
  void for_each_table(size_t table, int slot, const Function& function) {
    const size_t vector = buffer_.reference(table, slot);
    for (size_t i = 0; i < buffer_.count(vector, 4); ++i) function(buffer_.follow(vector + 4 + 4 * i));
  }

  Buffer buffer_;
};

}  // namespace

#ifndef _WIN32

OrtFormatFile::OrtFormatFile(const char* path) {
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  char head[kHead];
  struct stat status;
  if (::read(file, head, kHead) == static_cast<ssize_t>(kHead) && is_ort_format(head, kHead) &&
      ::fstat(file, &status) == 0) {
    size_ = static_cast<size_t>(status.st_size);
    void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
    data_ = data == MAP_FAILED ? nullptr : data;
  }
  ::close(file);
}

OrtFormatFile::~OrtFormatFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

#else

OrtFormatFile::OrtFormatFile(const wchar_t* path) {
  std::FILE* file = ::_wfopen(path, L"rb");
  if (file == nullptr) return;
  std::vector<char> bytes(kHead);
  if (std::fread(bytes.data(), 1, kHead, file) == kHead && is_ort_format(bytes.data(), kHead)) {
    char part[1 << 16];
    for (size_t got; (got = std::fread(part, 1, sizeof(part), file)) != 0;) bytes.insert(bytes.end(), part, part + got);
    data_ = std::malloc(bytes.size());
    if (data_ != nullptr) std::memcpy(data_, bytes.data(), size_ = bytes.size());
  }
  std::fclose(file);
}

OrtFormatFile::~OrtFormatFile() { std::free(data_); }

#endif

bool is_ort_format(const void* data, size_t size) noexcept {
  return size >= kHead && std::memcmp(static_cast<const char*>(data) + 4, "ORTM", 4) == 0;
}

void check_ort_format(const void* data, size_t size) {
  if (is_ort_format(data, size)) Checker(data, size).check();
}

}  // namespace ortpack
