#include "audit/report/report_page.h"

#include <cstdio>

#include "base/page/html.h"

namespace sotto::audit {

const char* const kPageStyle = R"(
:root { --ink: #1b2430; --soft: #5b6675; --rule: #c9d0d8; --wash: #f4f6f8; --blue: #1f4e79; --warn: #8a1c1c; }
* { box-sizing: border-box; }
body { font: 16px/1.55 Charter, "Bitstream Charter", "Source Serif Pro", Georgia, serif; color: var(--ink); background: #fff;
  max-width: 54rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1, h2, h3, th, .card, .status, figcaption, nav, .tag { font-family: "Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.01em; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .7rem; padding-top: .7rem; border-top: 2px solid var(--blue); color: var(--blue); }
h3 { font-size: .95rem; margin: 1.4rem 0 .3rem; }
p { margin: .5rem 0 .8rem; } ul { margin: .4rem 0 .8rem; padding-left: 1.2rem; } li { margin: .25rem 0; }
.lead { color: var(--soft); margin: 0 0 1.2rem; }
.cards { display: grid; grid-template-columns: repeat(4, 1fr); gap: .8rem; margin: 1.4rem 0; }
.card { border: 1px solid var(--rule); border-top: 3px solid var(--blue); padding: .7rem .8rem .8rem; background: var(--wash); }
.card b { display: block; font-size: 1.55rem; line-height: 1.25; font-weight: 600; }
.card span { display: block; font-size: .8rem; font-weight: 600; } .card small { display: block; font-size: .72rem; color: var(--soft); line-height: 1.35; }
table { border-collapse: collapse; width: 100%; margin: .8rem 0 1.2rem; font-size: .86rem; line-height: 1.4; }
th { text-align: left; font-size: .74rem; font-weight: 600; color: var(--soft); border-bottom: 1.5px solid var(--ink); padding: .3rem .6rem .3rem 0; vertical-align: bottom; }
td { border-bottom: 1px solid var(--rule); padding: .38rem .6rem .38rem 0; vertical-align: top; overflow-wrap: anywhere; }
th:last-child, td:last-child { padding-right: 0; }
table.short { width: auto; min-width: 26rem; }
th.n, td.n { text-align: right; padding-right: 1.1rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
td:first-child { min-width: 5.5rem; } table.fields td:first-child { width: 30%; color: var(--soft); }
code { font: .82em/1.4 ui-monospace, Menlo, Consolas, "Liberation Mono", monospace; overflow-wrap: anywhere; }
.off, .fails { border: 3px solid var(--warn); color: var(--warn); padding: 1rem 1.2rem; margin: 1.2rem 0; font: 700 1.25rem/1.35 "Helvetica Neue", Arial, "Liberation Sans", sans-serif; }
.off { font-size: 1.9rem; text-align: center; } .fails ul { font-size: .85rem; font-weight: 400; }
.status { font-size: .85rem; background: #fdf6e3; border-left: 4px solid #c9a227; padding: .55rem .9rem; }
figure { margin: 1.2rem 0; } figcaption { font-size: .78rem; color: var(--soft); line-height: 1.4; }
svg { width: 100%; height: auto; display: block; }
footer { margin-top: 3rem; border-top: 1px solid var(--rule); padding-top: .8rem; font-size: .8rem; color: var(--soft); }
@media (max-width: 40rem) { .cards { grid-template-columns: repeat(2, 1fr); } }
@page { size: A4; margin: 18mm 16mm 20mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  h2, h3 { break-after: avoid; } tr, figure, .cards, .card, .off, .fails, li { break-inside: avoid; }
  thead { display: table-header-group; } .page { break-before: page; }
  .card { background: none; } a { color: inherit; text-decoration: none; } }
)";

std::string text_of(const Json& json) {
  if (json.is_string()) return escape_html(json.as_string());
  if (json.is_bool()) return json.as_bool() ? "yes" : "no";
  if (json.is_null()) return "–";
  return escape_html(json.dump());
}

std::string number_of(const Json& json) {
  if (!json.is_number() || json.is_int()) return text_of(json);
  char text[40];
  std::snprintf(text, sizeof text, "%.5g", json.as_double());
  return text;
}

std::string code(const Json& text) { return "<code>" + text_of(text) + "</code>"; }
std::string paragraph(const Json& text) { return "<p>" + text_of(text) + "</p>\n"; }
std::string heading(const std::string& text, const std::string& id) {
  return "<h2 id=\"" + id + "\">" + escape_html(text) + "</h2>\n";
}

std::string list(const Json& items) {
  if (items.items().empty()) return "<p>None.</p>\n";
  std::string out = "<ul>\n";
  for (const auto& item : items.items()) out += "<li>" + text_of(item) + "</li>\n";
  return out + "</ul>\n";
}

std::string joined(const Json& names) {
  std::string out;
  for (const auto& name : names.items()) out += (out.empty() ? "" : ", ") + text_of(name);
  return out.empty() ? "–" : out;
}

Table::Table(const std::vector<std::string>& head, Width width) {
  out_ = std::string(width == Width::kPage ? "<table>" : "<table class=\"short\">") + "\n<thead><tr>";
  for (const auto& h : head) {
    const bool number = !h.empty() && h[0] == '#';
    numbers_.push_back(number);
    out_ += (number ? "<th class=\"n\">" : "<th>") + escape_html(number ? h.substr(1) : h) + "</th>";
  }
  out_ += "</tr></thead>\n<tbody>\n";
}

Table& Table::row(const std::vector<std::string>& cells) {
  out_ += "<tr>";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    out_ += (i < numbers_.size() && numbers_[i] ? "<td class=\"n\">" : "<td>") + cells[i] + "</td>";
  }
  out_ += "</tr>\n";
  return *this;
}

std::string Table::done() const { return out_ + "</tbody>\n</table>\n"; }

std::string fields_table(const Json& object) {
  std::string out = "<table class=\"fields\">\n<tbody>\n";
  for (const auto& [name, value] : object.members()) {
    std::string words = name;
    for (char& c : words) c = c == '_' ? ' ' : c;
    const bool digest = value.is_string() && value.as_string().size() == 64;
    out += "<tr><td>" + escape_html(words) + "</td><td>" + (digest ? code(value) : number_of(value)) + "</td></tr>\n";
  }
  return out + "</tbody>\n</table>\n";
}

std::string card(const std::string& value, const std::string& label, const std::string& note) {
  return "<div class=\"card\"><b>" + value + "</b><span>" + escape_html(label) + "</span><small>" + escape_html(note) +
         "</small></div>\n";
}

}  // namespace sotto::audit
