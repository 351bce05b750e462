#include "base/bytes.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sotto {
namespace {

static_assert(std::endian::native == std::endian::little, "float vectors are copied as little-endian");

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

template <class T>
void append_little_endian(Bytes& out, T v) {
  for (std::size_t i = 0; i < sizeof(T); ++i) out.push_back(static_cast<std::uint8_t>(v >> (8 * i)));
}

template <class T>
T read_little_endian(ByteSpan in) {
  T v = 0;
  for (std::size_t i = 0; i < in.size(); ++i) v = static_cast<T>(v | static_cast<T>(static_cast<T>(in[i]) << (8 * i)));
  return v;
}

}  // namespace

std::string to_hex(ByteSpan bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const auto b : bytes) {
    out.push_back(kDigits[b >> 4]);
    out.push_back(kDigits[b & 15]);
  }
  return out;
}

Result<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return invalid("hexadecimal text has an odd length of " + std::to_string(text.size()));
  Bytes out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0)
      return invalid("not hexadecimal at position " + std::to_string(i) + ": '" + std::string(text.substr(i, 2)) + "'");
    out.push_back(static_cast<std::uint8_t>(high * 16 + low));
  }
  return out;
}

Result<Digest> digest_from_hex(std::string_view text) {
  SOTTO_TRY(const Bytes bytes, from_hex(text));
  Digest out{};
  if (bytes.size() != out.size())
    return invalid("a SHA-256 digest has 64 hexadecimal digits, not " + std::to_string(text.size()));
  std::ranges::copy(bytes, out.begin());
  return out;
}

ByteSpan as_bytes(std::string_view text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }
std::string as_text(ByteSpan bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

ByteWriter& ByteWriter::u8(std::uint8_t v) {
  out_.push_back(v);
  return *this;
}
ByteWriter& ByteWriter::u16(std::uint16_t v) {
  append_little_endian(out_, v);
  return *this;
}
ByteWriter& ByteWriter::u32(std::uint32_t v) {
  append_little_endian(out_, v);
  return *this;
}
ByteWriter& ByteWriter::u64(std::uint64_t v) {
  append_little_endian(out_, v);
  return *this;
}
ByteWriter& ByteWriter::f64(double v) { return u64(std::bit_cast<std::uint64_t>(v)); }
ByteWriter& ByteWriter::raw(ByteSpan v) {
  out_.insert(out_.end(), v.begin(), v.end());
  return *this;
}

ByteWriter& ByteWriter::bytes(ByteSpan v) {
  SOTTO_CHECK(v.size() <= UINT32_MAX);
  return u32(static_cast<std::uint32_t>(v.size())).raw(v);
}

ByteWriter& ByteWriter::text(std::string_view v) { return bytes(as_bytes(v)); }

ByteWriter& ByteWriter::floats(std::span<const float> v) {
  SOTTO_CHECK(v.size() <= UINT32_MAX);
  u32(static_cast<std::uint32_t>(v.size()));
  return raw({reinterpret_cast<const std::uint8_t*>(v.data()), v.size_bytes()});
}

ByteSpan ByteReader::take(std::size_t n) {
  if (failed_ || n > in_.size()) {
    failed_ = true;
    in_ = {};
    return {};
  }
  const ByteSpan out = in_.first(n);
  in_ = in_.subspan(n);
  return out;
}

std::uint8_t ByteReader::u8() { return read_little_endian<std::uint8_t>(take(1)); }
std::uint16_t ByteReader::u16() { return read_little_endian<std::uint16_t>(take(2)); }
std::uint32_t ByteReader::u32() { return read_little_endian<std::uint32_t>(take(4)); }
std::uint64_t ByteReader::u64() { return read_little_endian<std::uint64_t>(take(8)); }
double ByteReader::f64() { return std::bit_cast<double>(u64()); }

Bytes ByteReader::raw(std::size_t n) {
  const ByteSpan in = take(n);
  return {in.begin(), in.end()};
}

Digest ByteReader::digest() {
  Digest out{};
  const ByteSpan in = take(out.size());
  std::ranges::copy(in, out.begin());
  return out;
}

Bytes ByteReader::bytes() { return raw(u32()); }
std::string ByteReader::text() { return as_text(bytes()); }

std::vector<float> ByteReader::floats() {
  const std::size_t n = count(sizeof(float));
  const ByteSpan in = take(n * sizeof(float));
  std::vector<float> out(failed_ ? 0 : n);
  if (!out.empty()) std::memcpy(out.data(), in.data(), in.size());
  return out;
}

std::uint32_t ByteReader::count(std::size_t min_item_bytes) {
  const std::uint32_t n = u32();
  if (n > in_.size() / std::max<std::size_t>(min_item_bytes, 1)) {
    failed_ = true;
    in_ = {};
    return 0;
  }
  return n;
}

Result<void> ByteReader::finish(std::string_view what) const {
  if (failed_) return invalid(std::string(what) + " ends too early");
  if (!in_.empty()) return invalid(std::string(what) + " has " + std::to_string(in_.size()) + " bytes too many");
  return {};
}

}  // namespace sotto
