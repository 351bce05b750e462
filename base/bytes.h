// Byte strings, hexadecimal, and the fixed-order binary encoding used wherever bytes are hashed or signed (protobuf's are
// not canonical). Integers are little-endian; doubles are their IEEE-754 bits; strings and byte strings carry a u32 length.
// ByteWriter and ByteReader are mirror images: what one writes in an order the other reads in the same order.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sotto {

using Bytes = std::vector<std::uint8_t>;
using ByteSpan = std::span<const std::uint8_t>;
using Digest = std::array<std::uint8_t, 32>;  // a SHA-256 value

std::string to_hex(ByteSpan bytes);
Result<Bytes> from_hex(std::string_view text);
Result<Digest> digest_from_hex(std::string_view text);

ByteSpan as_bytes(std::string_view text);
std::string as_text(ByteSpan bytes);

class ByteWriter {
 public:
  ByteWriter& u8(std::uint8_t v);
  ByteWriter& u16(std::uint16_t v);
  ByteWriter& u32(std::uint32_t v);
  ByteWriter& u64(std::uint64_t v);
  ByteWriter& f64(double v);
  ByteWriter& raw(ByteSpan v);                   // no length: for fixed-size fields
  ByteWriter& bytes(ByteSpan v);                 // u32 length, then the bytes
  ByteWriter& text(std::string_view v);          // u32 length, then UTF-8
  ByteWriter& floats(std::span<const float> v);  // u32 count, then IEEE-754 bits
  const Bytes& view() const { return out_; }
  Bytes take() { return std::move(out_); }

 private:
  Bytes out_;
};

// Reads never go past the end: after the first short read every further one returns zero or empty and finish() fails.
// Check finish() (or ok()) before using what was read. A length is checked against what is left before memory is taken.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan in) : in_(in) {}
  std::uint8_t u8();
  std::uint16_t u16();
  std::uint32_t u32();
  std::uint64_t u64();
  double f64();
  Bytes raw(std::size_t n);
  Digest digest();
  Bytes bytes();
  std::string text();
  std::vector<float> floats();
  // A u32 count of items that take at least `min_item_bytes` each: fails if they cannot fit in what is left.
  std::uint32_t count(std::size_t min_item_bytes);

  bool ok() const { return !failed_; }
  std::size_t left() const { return in_.size(); }
  // Fails if any read was short or bytes are left over; `what` names the structure in the message.
  Result<void> finish(std::string_view what) const;

 private:
  ByteSpan take(std::size_t n);
  ByteSpan in_;
  bool failed_ = false;
};

}  // namespace sotto
