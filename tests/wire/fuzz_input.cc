#include "tests/wire/fuzz_input.h"

#include "wire/codec.h"

namespace sotto::wire {

void try_decoding(ByteSpan bytes) {
  if (const auto message = decode_to_coordinator(bytes); message.ok()) {
    const Bytes again = encode(message.value());
    const auto back = decode_to_coordinator(again);
    SOTTO_CHECK(back.ok() && encode(back.value()) == again);
  }
  if (const auto message = decode_to_site(bytes); message.ok()) {
    const Bytes again = encode(message.value());
    const auto back = decode_to_site(again);
    SOTTO_CHECK(back.ok() && encode(back.value()) == again);
  }
}

}  // namespace sotto::wire
