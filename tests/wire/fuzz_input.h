// What the fuzzer and the tests of hostile input hold to be true of any bytes.
#pragma once

#include "base/bytes.h"

namespace sotto::wire {

// Decodes in both directions. What decodes must encode to bytes that decode to the same again.
void try_decoding(ByteSpan bytes);

}  // namespace sotto::wire
