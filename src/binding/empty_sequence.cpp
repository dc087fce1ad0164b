#include "empty_sequence.h"

#include <map>

namespace ortpack {

namespace {

// One field of a protobuf message: key, then a number or bytes. All numbers here are below 128.
std::string number(int field, int value) { return {static_cast<char>(field << 3), static_cast<char>(value)}; }

std::string number2(int field, int value) {  // fields 16 and above have keys of two bytes
  const int key = field << 3;
  return {static_cast<char>((key & 0x7F) | 0x80), static_cast<char>(key >> 7), static_cast<char>(value)};
}

std::string bytes(int field, const std::string& value) {
  return std::string{static_cast<char>(field << 3 | 2), static_cast<char>(value.size())} + value;
}

// An ONNX model: y = SequenceEmpty<dtype = element>(). Field numbers are those of onnx.proto.
std::string model(int element) {
  const std::string attribute = bytes(1, "dtype") + number(3, element) + number2(20, 2);
  const std::string node = bytes(2, "y") + bytes(4, "SequenceEmpty") + bytes(5, attribute);
  const std::string tensor = bytes(1, number(1, element));
  const std::string sequence = bytes(4, bytes(1, tensor));
  const std::string output = bytes(1, "y") + bytes(2, sequence);
  const std::string graph = bytes(1, node) + bytes(2, "g") + bytes(12, output);
  return number(1, 7) + bytes(7, graph) + bytes(8, number(2, 11));
}

OrtValue* make(Library& library, int element) {
  const OrtApi& api = library.api();
  const std::string data = model(element);
  Handle<OrtSessionOptions> options(api);
  check(api, api.CreateSessionOptions(options.out()));
  check(api, api.SetIntraOpNumThreads(options.get(), 1));
  Handle<OrtSession> session(api);
  check(api, api.CreateSessionFromArray(library.env(), data.data(), data.size(), options.get(), session.out()));
  const char* name = "y";
  OrtValue* value = nullptr;
  check(api, api.Run(session.get(), nullptr, nullptr, nullptr, 0, &name, 1, &value));
  return value;
}

}  // namespace

OrtValue* empty_sequence(Library& library, int element) {
  // Only used with the GIL held, which guards it
  static auto& made = *new std::map<std::pair<const Library*, int>, OrtValue*>;
  OrtValue*& value = made[{&library, element}];
  if (value == nullptr) {
    try {
      value = make(library, element);
    } catch (const Error& error) {
      throw Error("NotImplemented", std::string("this runtime can't make an empty sequence: ") + error.what());
    }
  }
  return value;
}

}  // namespace ortpack
