#pragma once

// The numbers of ORT-format models: which slot of a table holds which field. They are those of ONNX Runtime's
// FlatBuffers schema (ort.fbs), under its names, as far as they are read here; the schema only ever grows at its ends.
// ortpack-build has the same in ops/ort_schema.py, and a test compares them.
#include <cstdint>

namespace ortpack::fbs {

struct InferenceSession {
  enum : int { kModel = 1 };
};

struct Model {
  enum : int { kGraph = 7 };
};

struct Graph {
  enum : int { kNodeArgs = 1, kNodes = 2, kMaxNodeIndex = 3, kNodeEdges = 4, kInputs = 5, kOutputs = 6 };
};

struct ValueInfo {
  enum : int { kName = 0 };
};

struct Node {
  enum : int {
    kDomain = 2,
    kIndex = 4,
    kOpType = 5,
    kInputs = 8,
    kOutputs = 9,
    kAttributes = 10,
    kInputArgCounts = 11,
    kImplicitInputs = 12
  };
};

struct NodeEdge {
  enum : int { kNodeIndex = 0, kInputEdges = 1, kOutputEdges = 2 };
};

struct Attribute {
  enum : int {
    kName = 0,
    kType = 2,
    kI = 4,
    kT = 6,
    kG = 7,
    kFloats = 8,
    kInts = 9,
    kStrings = 10,
    kGraphs = 12
  };
};

// What Attribute::kType says; no slots.
struct AttributeType {
  enum : uint32_t { kTensor = 4, kFloats = 6, kInts = 7, kStrings = 8 };
};

struct Tensor {
  enum : int { kDims = 2 };
};

}  // namespace ortpack::fbs
