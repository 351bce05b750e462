#include "curation/check_page.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/page/html.h"

namespace sotto::curation {
namespace {

constexpr const char* kStyle = R"(
body { font: 15px/1.5 Georgia, serif; color: #1a1a1a; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid #999; }
table { border-collapse: collapse; width: 100%; margin: .8rem 0; font-size: .92em; }
th, td { border: 1px solid #bbb; padding: .3rem .5rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { background: #f0f0ee; } .bad { color: #a00; font-weight: bold; } .note { background: #fff7dc; border: 1px solid #d8c067; padding: .5rem .8rem; }
svg { width: 100%; height: auto; margin: .3rem 0; } figure { margin: 0 0 1rem; }
@media print { body { margin: 0; max-width: none; font-size: 11pt; } table, figure { break-inside: avoid; } }
)";

std::string shown(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

std::string text_of(const Json& value) {
  if (value.is_null()) return "–";
  if (value.is_string()) return escape_html(value.as_string());
  if (value.is_bool()) return value.as_bool() ? "yes" : "no";
  if (value.is_int()) return std::to_string(value.as_int());
  if (value.is_number()) return shown(value.as_double());
  std::string out;
  for (const auto& item : value.items()) out += (out.empty() ? "" : "; ") + text_of(item);
  return out.empty() ? "–" : out;
}

std::string heading(const std::string& text) { return "<h2>" + text + "</h2>\n"; }

// The rows of a list of objects, one column a name.
std::string table(const Json& rows, const std::vector<std::string>& names) {
  if (rows.items().empty()) return "<p>None.</p>\n";
  std::string out = "<table>\n<tr>";
  for (const auto& name : names) out += "<th>" + escape_html(name) + "</th>";
  out += "</tr>\n";
  for (const auto& row : rows.items()) {
    const Json* ok = row.find("ok");
    out += ok != nullptr && !ok->as_bool() ? "<tr class=\"bad\">" : "<tr>";
    for (const auto& name : names) out += "<td>" + text_of(row.at(name)) + "</td>";
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

// Names and their values; an object inside is written out with a dot between.
void pairs(const Json& object, const std::string& prefix, Json& rows) {
  for (const auto& [name, value] : object.members()) {
    const std::string full = prefix.empty() ? name : prefix + ": " + name;
    if (value.is_object())
      pairs(value, full, rows);
    else
      rows.push(Json::object({{"what", full}, {"value", value}}));
  }
}

std::string pair_table(const Json& object) {
  if (!object.is_object() || object.members().empty()) return "<p>None.</p>\n";
  Json rows = Json::array();
  pairs(object, "", rows);
  return table(rows, {"what", "value"});
}

// A bar for each value, the most frequent first; at most twelve, the rest together.
std::string bars(const std::string& title, const Json& axis) {
  std::vector<std::pair<std::string, double>> values;
  for (const auto& [name, count] : axis.at("values").members()) values.emplace_back(name, count.as_double());
  std::ranges::stable_sort(values, std::greater<>{}, &std::pair<std::string, double>::second);
  constexpr std::size_t kMost = 12;
  if (values.size() > kMost) {
    double rest = 0;
    for (std::size_t i = kMost - 1; i < values.size(); ++i) rest += values[i].second;
    const std::string name = std::to_string(values.size() - kMost + 1) + " others";
    values.resize(kMost - 1);
    values.emplace_back(name, rest);
  }
  double most = 1;
  for (const auto& [name, count] : values) most = std::max(most, count);
  const auto height = std::to_string(22 * values.size() + 4);
  std::string out = "<figure>\n<figcaption><b>" + escape_html(title) + "</b>: as varied as " +
                    shown(axis.at("effective").as_double()) + " equally common values (" +
                    shown(axis.at("entropy_bits").as_double()) + " bits)</figcaption>\n" + "<svg viewBox=\"0 0 760 " +
                    height + "\" role=\"img\" aria-label=\"" + escape_html(title) + "\">\n";
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto y = 22 * i;
    const std::string name = values[i].first.size() > 40 ? values[i].first.substr(0, 40) + "..." : values[i].first;
    out += "<text x=\"236\" y=\"" + std::to_string(y + 15) + "\" text-anchor=\"end\" font-size=\"13\">" + escape_html(name) +
           "</text>" + "<rect x=\"244\" y=\"" + std::to_string(y + 3) + "\" width=\"" +
           shown(420 * values[i].second / most) + "\" height=\"15\" fill=\"#4a6d8c\"/>" + "<text x=\"" +
           shown(250 + 420 * values[i].second / most) + "\" y=\"" + std::to_string(y + 15) + "\" font-size=\"13\">" +
           shown(values[i].second) + "</text>\n";
  }
  return out + "</svg>\n</figure>\n";
}

}  // namespace

std::string check_page(const Json& report) {
  const bool ok = report.at("ok").as_bool();
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">"
      "<title>Data check</title><style>" +
      std::string(kStyle) + "</style></head>\n<body>\n<h1>Data check</h1>\n";
  out += "<p>" + text_of(report.at("records")) + " records of " + text_of(report.at("patients")) + " patients; " +
         text_of(report.at("validation_records")) + " for validation. Files: " + text_of(report.at("files")) + ".</p>\n";
  out += ok ? "<p>Every limit is kept.</p>\n" : "<p class=\"bad\">A limit is not kept; see below.</p>\n";
  out +=
      "<p class=\"note\">For the site's own eyes: these counts depend on single patients and are in no guarantee. Nothing "
      "is removed because of another "
      "patient's records.</p>\n";
  if (!report.at("warnings").items().empty()) out += "<p class=\"note\">" + text_of(report.at("warnings")) + "</p>\n";
  out += heading("Limits") + table(report.at("limits"), {"name", "value", "limit", "ok"});
  out += heading("Worst records first") + table(report.at("worst"), {"where", "score", "why"});
  out += heading("Lines that are no record") + "<p>" + text_of(report.at("broken").at("lines")) + ". " +
         text_of(report.at("broken").at("first")) + "</p>\n";
  out += heading("Flaws") + pair_table(report.at("flaws"));
  out += heading("Repeats and leaks") + pair_table(report.at("duplicates"));
  out += heading("Lengths") + pair_table(report.at("lengths"));
  out += heading("Languages") + pair_table(report.at("languages"));
  out += heading("Diversity");
  for (const auto& [axis, values] : report.at("diversity").members()) out += bars(axis, values);
  out += heading("Coverage") + table(report.at("coverage").at("topics"), {"name", "situation", "records", "wanted"});
  out += "<p>Missing: " + text_of(report.at("coverage").at("missing")) + "</p>\n";
  if (!report.at("production").is_null()) out += heading("Against production") + pair_table(report.at("production"));
  return out + "</body>\n</html>\n";
}

}  // namespace sotto::curation
