// The two directions of the codec. Put copies a struct's fields into its Protobuf twin; Take copies back and checks every
// limit. Each message lists its fields once (`fields` in codec_fields.h) in the terms of the methods below, so that what is
// written and what is read cannot differ. Protobuf's types come in as template parameters only. Internal to codec.cc.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "wire/messages.h"

namespace sotto::wire::walk {

constexpr std::size_t kMaxList = 128;          // sites of a roster
constexpr std::size_t kMaxHead = 4096;         // a signed tree head
constexpr std::size_t kMaxSealed = 256 << 10;  // two shares and a head for each site of a roster
constexpr std::size_t kMaxConfig = 1 << 20;    // a plan, a roster, a descriptor
constexpr std::size_t kMaxLayout = 4 << 20;
constexpr std::size_t kMaxText = 1000;  // a sentence
constexpr std::size_t kMaxToken = 64;
// Only messages with a vector, an adapter or a log in them may be larger. It also bounds what an empty list item, two bytes
// on the wire and some forty in memory, can be multiplied to.
constexpr std::size_t kMaxSmallMessage = 16 << 20;

class Put {
 public:
  template <std::size_t N>
  void fixed(const char*, const std::array<std::uint8_t, N>& value, std::string* field) {
    field->assign(value.begin(), value.end());
  }
  void bytes(const char*, std::size_t, const Bytes& value, std::string* field) { field->assign(value.begin(), value.end()); }
  template <class Tag>
  void name(const char*, const Strong<std::string, Tag>& value, std::string* field) {
    *field = value.value();
  }
  void name(const char*, const std::string& value, std::string* field) { *field = value; }
  void name_or_empty(const char*, const std::string& value, std::string* field) { *field = value; }
  void sentence(const char*, const std::string& value, std::string* field) {
    *field = value.substr(0, kMaxText);
    while (!field->empty() && value.size() > kMaxText && (static_cast<unsigned char>(field->back()) & 0x80))
      field->pop_back();
    for (char& c : *field)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  template <class Number, class Set>
  void number(const char*, std::uint64_t, Number value, Number, Set set) {
    set(value);
  }
  template <class Set>
  void flag(bool value, bool, Set set) {
    set(value);
  }
  // An enum whose values are 1 to `last`, with the same numbers in Protobuf.
  template <class Enum, class Set>
  void choice(const char*, int, Enum value, int, Set set) {
    set(static_cast<int>(value));
  }
  template <class Tag, class Set>
  void number(const char*, std::uint64_t, const Strong<std::uint32_t, Tag>& value, std::uint32_t, Set set) {
    set(value.value());
  }
  template <class Field>
  void digests(const char*, const std::vector<Digest>& value, Field* field) {
    SOTTO_CHECK(value.size() <= kMaxList);
    for (const auto& d : value) field->Add()->assign(d.begin(), d.end());
  }
  template <class Field>
  void sites(const char*, const std::vector<SiteIndex>& value, Field* field) {
    SOTTO_CHECK(value.size() <= kMaxList);
    for (const auto site : value) field->Add(site.value());
  }
  template <class T, class Field>
  void list(const char*, const std::vector<T>& value, Field* field) {
    SOTTO_CHECK(value.size() <= kMaxList);
    for (const auto& item : value) fields(*this, item, *field->Add());
  }
  template <class T, class Twin>
  void nested(const char*, const T& value, Twin* twin) {
    fields(*this, value, *twin);
  }
};

// Keeps the first error, which names message and field, and goes on.
class Take {
 public:
  explicit Take(std::string message) : path_(std::move(message)) {}

  template <std::size_t N>
  void fixed(const char* field, std::array<std::uint8_t, N>& value, const std::string* in) {
    if (in->size() != N) return fail(field, std::to_string(in->size()) + " bytes, must be " + std::to_string(N));
    std::copy(in->begin(), in->end(), value.begin());
  }
  void bytes(const char* field, std::size_t limit, Bytes& value, const std::string* in) {
    if (in->size() > limit) return fail(field, std::to_string(in->size()) + " bytes, at most " + std::to_string(limit));
    value.assign(in->begin(), in->end());
  }
  template <class Tag>
  void name(const char* field, Strong<std::string, Tag>& value, const std::string* in) {
    if (!is_valid_name(*in)) return fail(field, "not a name of 1 to 64 of a-z, 0-9 and '-'");
    value = Strong<std::string, Tag>(*in);
  }
  void name(const char* field, std::string& value, const std::string* in) {
    if (!is_valid_name(*in)) return fail(field, "not a name of 1 to 64 of a-z, 0-9 and '-'");
    value = *in;
  }
  void name_or_empty(const char* field, std::string& value, const std::string* in) {
    if (!in->empty()) name(field, value, in);
  }
  // Shown to people: no control characters, which could rewrite a terminal.
  void sentence(const char* field, std::string& value, const std::string* in) {
    if (in->size() > kMaxText)
      return fail(field, std::to_string(in->size()) + " characters, at most " + std::to_string(kMaxText));
    for (const char c : *in)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return fail(field, "holds a control character");
    value = *in;
  }
  template <class Number, class Set>
  void number(const char* field, std::uint64_t limit, Number& value, Number in, Set) {
    if (in > limit) return fail(field, std::to_string(in) + ", at most " + std::to_string(limit));
    value = in;
  }
  template <class Set>
  void flag(bool& value, bool in, Set) {
    value = in;
  }
  template <class Enum, class Set>
  void choice(const char* field, int last, Enum& value, int in, Set) {
    if (in < 1 || in > last) return fail(field, std::to_string(in) + ", must be from 1 to " + std::to_string(last));
    value = static_cast<Enum>(in);
  }
  template <class Tag, class Set>
  void number(const char* field, std::uint64_t limit, Strong<std::uint32_t, Tag>& value, std::uint32_t in, Set) {
    if (in > limit) return fail(field, std::to_string(in) + ", at most " + std::to_string(limit));
    value = Strong<std::uint32_t, Tag>(in);
  }
  template <class Field>
  void digests(const char* field, std::vector<Digest>& value, const Field* in) {
    if (!short_enough(field, static_cast<std::size_t>(in->size()))) return;
    value.resize(static_cast<std::size_t>(in->size()));
    for (int i = 0; i < in->size(); ++i) fixed(field, value[static_cast<std::size_t>(i)], &in->Get(i));
  }
  template <class Field>
  void sites(const char* field, std::vector<SiteIndex>& value, const Field* in) {
    if (!short_enough(field, static_cast<std::size_t>(in->size()))) return;
    for (const auto site : *in) {
      if (site >= kMaxList) return fail(field, "site " + std::to_string(site) + ", at most " + std::to_string(kMaxList - 1));
      value.emplace_back(site);
    }
  }
  template <class T, class Field>
  void list(const char* field, std::vector<T>& value, Field* in) {
    if (!short_enough(field, static_cast<std::size_t>(in->size()))) return;
    value.resize(static_cast<std::size_t>(in->size()));
    for (int i = 0; i < in->size(); ++i) {
      const auto outer = path_;
      path_ += std::string(".") + field + "[" + std::to_string(i) + "]";
      fields(*this, value[static_cast<std::size_t>(i)], *in->Mutable(i));
      path_ = outer;
    }
  }
  template <class T, class Twin>
  void nested(const char* field, T& value, Twin* twin) {
    const auto outer = path_;
    path_ += std::string(".") + field;
    fields(*this, value, *twin);
    path_ = outer;
  }
  void fail(const char* field, const std::string& why) {
    if (!error_) error_ = protocol_error(path_ + "." + field + ": " + why);
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  bool short_enough(const char* field, std::size_t size) {
    if (size > kMaxList) fail(field, std::to_string(size) + " items, at most " + std::to_string(kMaxList));
    return size <= kMaxList;
  }
  std::string path_;
  std::optional<Error> error_;
};

}  // namespace sotto::wire::walk
