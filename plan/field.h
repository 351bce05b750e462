// One row of the tables of fields (plan/plan_fields.h, plan/file_fields.h): where a field stands in the operator's file, what
// it may hold and what it means. Reading, judging, encoding, JSON and docs/configuration.md follow from the rows, so the file
// and a plan from the wire have the same limits. Internal to plan/. Values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sotto::plan {

inline constexpr double kNoLimit = 1e308;  // no limit but that the number is finite

// Which numbers a field may hold. A number that is not finite is outside.
struct Limits {
  double low = 0;
  double high = kNoLimit;
  bool above = false;    // low itself is outside
  bool below = false;    // high itself is outside
  bool or_zero = false;  // 0 is inside, too: it means "none"
  bool contains(double value) const;
  // "from 1 to 64", "above 0 and at most 0.05"; whole numbers are written without a point.
  std::string words(bool whole) const;
};

enum class Source {
  kFile,      // may stand in the operator's file; its default is what a fresh value holds, or what `otherwise` says
  kRequired,  // must stand there
  kComputed   // follows from the file and the sites
};

// What a text may be: kName: 1 to 64 of a-z, 0-9 and '-'; kPath: of a file or folder, relative to the plan's.
enum class Text { kAny, kName, kPath };
inline constexpr std::string_view kNameWords = "1 to 64 of a-z, 0-9 and '-'";

// A value that has its number and its place, and that this version refuses by name.
struct NotYet {
  int number;
  std::string_view name;
  std::string_view meaning;
};

struct Row {
  std::string_view key;             // in the file, dotted; in messages, too
  std::string_view json;            // in JSON, dotted; empty: nowhere
  std::string_view meaning;         // plain words for docs/configuration.md
  Limits limits = {};               // of numbers
  Source source = Source::kFile;    // of what is no number, too
  std::string_view unit = "";       // "units", "s"; empty: a plain number
  std::string_view otherwise = "";  // the default in words, where it is not one value
  Text text = Text::kAny;
  std::optional<NotYet> not_yet = {};
};

// "1.0", "24", "inf"
std::string in_words(double value);

}  // namespace sotto::plan
