// Pieces of an HTML page, for the report. Every text goes through escape_html; a Table's cells are HTML already.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace sotto::audit {

extern const char* const kPageStyle;  // CSS, for screen and paper

std::string text_of(const Json& json);    // escaped; whole numbers and numbers as they are, booleans as yes and no
std::string number_of(const Json& json);  // at most five significant digits, for people; "none" as it is
std::string code(const Json& text);
std::string paragraph(const Json& text);
std::string heading(const std::string& text, const std::string& id);
std::string list(const Json& items);    // "None." when empty
std::string joined(const Json& names);  // "a, b"; a dash when empty

class Table {
 public:
  // A heading that starts with '#' is of a column of numbers.
  enum class Width { kPage, kContent };  // as wide as the page, or as what is in it
  explicit Table(const std::vector<std::string>& head, Width width = Width::kPage);
  Table& row(const std::vector<std::string>& cells);
  std::string done() const;

 private:
  std::vector<bool> numbers_;
  std::string out_;
};

// Two columns: a member's name in words, and its value.
std::string fields_table(const Json& object);
// A figure and what it is, for the first page.
std::string card(const std::string& value, const std::string& label, const std::string& note);

}  // namespace sotto::audit
