// A sequence without elements, which the C API has no function for.
#pragma once

#include "library.h"

namespace ortpack {

// The empty sequence of tensors of that element type; made once for each library, by running a model of one
// SequenceEmpty node, and never freed. Throws Error("NotImplemented") where the runtime can't do that.
OrtValue* empty_sequence(Library& library, int element);

}  // namespace ortpack
