// Canonical bytes of what has a table of fields: numbers little-endian in the table's order, enumerations as one byte, lists
// with a count before them, an optional last digest by its presence. Internal to plan/; pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/enum_names.h"
#include "plan/plan_fields.h"

namespace sotto::plan {

class FieldWriter {
 public:
  void operator()(const Row&, bool v) { out_.u8(v); }
  void operator()(const Row&, std::uint32_t v) { out_.u32(v); }
  void operator()(const Row&, std::uint64_t v) { out_.u64(v); }
  void operator()(const Row&, double v) { out_.f64(v); }
  void operator()(const Row&, const std::string& v) { out_.text(v); }
  void operator()(const Row&, const RunId& v) { out_.text(v.value()); }
  void operator()(const Row&, const RoundId& v) { out_.u32(v.value()); }
  void operator()(const Row&, const AttemptId& v) { out_.u32(v.value()); }
  void operator()(const Row&, const Digest& v) { out_.raw(v); }
  void operator()(const Row&, const std::optional<Digest>& v) {
    if (v) out_.raw(*v);
  }
  template <NamedEnum Enum>
  void operator()(const Row&, Enum v) {
    out_.u8(static_cast<std::uint8_t>(v));
  }
  void operator()(const Row&, const std::vector<std::string>& v) {
    out_.u32(static_cast<std::uint32_t>(v.size()));
    for (const auto& text : v) out_.text(text);
  }
  void operator()(const Row&, const std::vector<SitePlan>& v) {
    out_.u32(static_cast<std::uint32_t>(v.size()));
    for (const auto& site : v) for_each_field(site, *this);
  }
  ByteWriter& out() { return out_; }

 private:
  ByteWriter out_;
};

// What is wrong with a number that stands for an enumeration's value: a value that is not in this version (its row says why),
// or none at all. `known` lists the values that there are.
Error unknown_value(std::string_view what, const Row& row, int number, const std::string& known);

// Takes the same order from bytes. Check finish() before using what was read.
class FieldReader {
 public:
  // `what` names the structure in messages: "run plan".
  FieldReader(ByteReader& in, std::string_view what) : in_(in), what_(what) {}
  void operator()(const Row&, bool& v) { v = in_.u8() != 0; }
  void operator()(const Row&, std::uint32_t& v) { v = in_.u32(); }
  void operator()(const Row&, std::uint64_t& v) { v = in_.u64(); }
  void operator()(const Row&, double& v) { v = in_.f64(); }
  void operator()(const Row&, std::string& v) { v = in_.text(); }
  void operator()(const Row&, RunId& v) { v = RunId(in_.text()); }
  void operator()(const Row&, RoundId& v) { v = RoundId(in_.u32()); }
  void operator()(const Row&, AttemptId& v) { v = AttemptId(in_.u32()); }
  void operator()(const Row&, Digest& v) { v = in_.digest(); }
  void operator()(const Row&, std::optional<Digest>& v) {
    if (in_.ok() && in_.left() > 0) v = in_.digest();
  }
  template <NamedEnum Enum>
  void operator()(const Row& row, Enum& v) {
    const std::uint8_t number = in_.u8();
    if (const auto known = with_number<Enum>(number))
      v = *known;
    else if (!unknown_)
      unknown_ = unknown_value(what_, row, number, listed_names<Enum>(" or "));
  }
  void operator()(const Row&, std::vector<std::string>& v) {
    const auto n = in_.count(4);
    for (std::uint32_t i = 0; i < n && in_.ok(); ++i) v.push_back(in_.text());
  }
  void operator()(const Row&, std::vector<SitePlan>& v) {
    const auto n = in_.count(4 + 8 + 3 * 8);
    for (std::uint32_t i = 0; i < n && in_.ok(); ++i) for_each_field(v.emplace_back(), *this);
  }
  // Nothing may be left over, and every enumeration has a value.
  Result<void> finish() const;

 private:
  ByteReader& in_;
  std::string what_;
  std::optional<Error> unknown_;
};

}  // namespace sotto::plan
