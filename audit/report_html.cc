// report/report.html from the JSON report. Every text goes through escape_html; there is no script and nothing is loaded.
#include <cmath>
#include <cstdio>

#include "audit/report.h"
#include "audit/svg_plot.h"

namespace sotto::audit {
namespace {

constexpr const char* kStyle = R"(
body { font: 15px/1.5 Georgia, serif; color: #1a1a1a; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0; } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid #999; }
table { border-collapse: collapse; width: 100%; margin: .8rem 0; font-size: .92em; }
th, td { border: 1px solid #bbb; padding: .3rem .5rem; text-align: left; vertical-align: top; }
th { background: #f0f0ee; } td.n { text-align: right; white-space: nowrap; }
code { font: .88em ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.off { border: 4px solid #a00; color: #a00; font: bold 2rem/1.2 sans-serif; padding: 1rem; text-align: center; }
.note { background: #fff7dc; border: 1px solid #d8c067; padding: .5rem .8rem; }
svg { width: 100%; height: auto; margin: .5rem 0; }
@media print {
  body { margin: 0; max-width: none; font-size: 11pt; } h2 { break-after: avoid; }
  table, svg { break-inside: avoid; }
  .page { break-before: page; } th { background: none; } }
)";

std::string text_of(const Json& json) {
  if (json.is_string()) return escape_html(json.as_string());
  if (json.is_bool()) return json.as_bool() ? "yes" : "no";
  return escape_html(json.dump());
}

std::string paragraph(const Json& text) { return "<p>" + text_of(text) + "</p>\n"; }
std::string heading(const std::string& text) { return "<h2>" + escape_html(text) + "</h2>\n"; }
std::string code(const Json& text) { return "<code>" + text_of(text) + "</code>"; }

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

// Cells are HTML already.
class Table {
 public:
  explicit Table(const std::vector<std::string>& head) {
    out_ = "<table>\n<tr>";
    for (const auto& h : head) out_ += "<th>" + escape_html(h) + "</th>";
    out_ += "</tr>\n";
  }
  Table& row(const std::vector<std::string>& cells) {
    out_ += "<tr>";
    for (const auto& c : cells) out_ += "<td>" + c + "</td>";
    out_ += "</tr>\n";
    return *this;
  }
  std::string done() const { return out_ + "</table>\n"; }

 private:
  std::string out_;
};

std::string fields_table(const Json& object) {
  Table table({"What", "Value"});
  for (const auto& [name, value] : object.members()) {
    std::string words = name;
    for (char& c : words) c = c == '_' ? ' ' : c;
    table.row({escape_html(words), value.is_string() && value.as_string().size() == 64 ? code(value) : text_of(value)});
  }
  return table.done();
}

std::string first_page(const Json& r) {
  std::string out = "<h1>Privacy report of run " + text_of(r.at("run")) + "</h1>\n";
  out += "<p>" + text_of(r.at("started")) + " to " + text_of(r.at("ended")) + "</p>\n";
  if (!r.at("private").as_bool()) out += "<div class=\"off\">NO PRIVACY GUARANTEE: epsilon is none</div>\n";
  out += heading("What this means");
  for (const auto& p : r.at("plain_words").items()) out += paragraph(p);
  Table sites({"Site", "Epsilon of this run", "Epsilon with its other runs", "Delta", "Fingerprint of the site's key"});
  for (const auto& s : r.at("sites").items()) {
    sites.row({text_of(s.at("name")), text_of(s.at("epsilon")), text_of(s.at("epsilon_with_other_runs")),
               text_of(s.at("delta")), code(s.at("identity"))});
  }
  out += sites.done();
  out += "<p>Coordinator: " + code(r.at("coordinator_identity")) + "</p>\n";
  out += "<p class=\"note\">identities: " + text_of(r.at("identities")) +
         ". The keys vouch for themselves until somebody compares each fingerprint with its owner.</p>\n";
  out += heading("Points to weigh") + list(r.at("hazards"));
  return out;
}

std::string plots(const Json& r) {
  Plot curve{"Epsilon for each failure probability delta", "delta", "epsilon", true, {}};
  Plot rounds{"Epsilon after each round", "round", "epsilon", false, {}};
  for (const auto& s : r.at("sites").items()) {
    PlotSeries by_delta{s.at("name").as_string(), {}};
    for (const auto& p : s.at("curve").items()) {
      if (p.at("epsilon").is_number()) {
        by_delta.points.emplace_back(-std::log10(p.at("delta").as_double()), p.at("epsilon").as_double());
      }
    }
    PlotSeries by_round{s.at("name").as_string(), {}};
    for (const auto& p : s.at("by_round").items()) {
      if (p.at("epsilon").is_number())
        by_round.points.emplace_back(p.at("round").as_double() + 1, p.at("epsilon").as_double());
    }
    curve.series.push_back(std::move(by_delta));
    rounds.series.push_back(std::move(by_round));
  }
  return svg_of(curve) + svg_of(rounds);
}

std::string promise(const Json& r) {
  std::string out = "<div class=\"page\"></div>" + heading("What is promised, exactly");
  out += paragraph(r.at("unit")) + paragraph(r.at("neighbouring"));
  out += "<p>At the site with the largest epsilon (" + text_of(r.at("largest_epsilon")) + ", delta " +
         text_of(r.at("delta")) +
         ") no guess about a person's participation, from an even prior, is right more often than " +
         text_of(r.at("best_guess_accuracy")) + ".</p>\n";
  Table several({"A person who is a patient at", "Epsilon", "Sites (those with the largest epsilon)"});
  for (const auto& p : r.at("person_at_several_sites").items()) {
    several.row({text_of(p.at("sites")) + " of the sites", text_of(p.at("epsilon")), joined(p.at("names"))});
  }
  out += several.done();
  out += "<p>The plan's claim is for persons at " + text_of(r.at("max_sites_per_patient")) + " of the sites.</p>\n";
  return out + plots(r);
}

std::string how(const Json& r) {
  std::string out = heading("How it was done") + fields_table(r.at("mechanism"));
  Table sampling({"Site", "Sampling planned", "Sampling run", "Noise multiplier planned", "Noise run (effective)", "Steps"});
  for (const auto& s : r.at("sites").items()) {
    const Json& assumed = s.at("sampling").at("assumed");
    std::string sampled;
    std::string noised;
    std::string steps;
    for (const auto& e : s.at("sampling").at("run").items()) {
      sampled += text_of(e.at("kind")) + ", q = " + text_of(e.at("rate")) + "<br>";
      steps += text_of(e.at("steps")) + "<br>";
    }
    for (const auto& e : s.at("noise").at("run").items()) {
      noised += text_of(e.at("kind")) + ", " + text_of(e.at("effective_noise_multiplier")) + "<br>";
    }
    sampling.row({text_of(s.at("name")), text_of(assumed.at("kind")) + ", q = " + text_of(assumed.at("rate")),
                  sampled.empty() ? "none" : sampled, text_of(s.at("noise").at("planned_noise_multiplier")),
                  noised.empty() ? "none" : noised, steps.empty() ? "0" : steps});
  }
  out += sampling.done();
  out += heading("Who is trusted for what");
  Table trust({"Who", "Sees", "What protects"});
  for (const auto& t : r.at("trust").items())
    trust.row({text_of(t.at("who")), text_of(t.at("sees")), text_of(t.at("protection"))});
  return out + trust.done();
}

std::string course(const Json& r) {
  Table rounds({"Round", "Attempts", "Outcome", "In the sum", "Missing"});
  for (const auto& x : r.at("rounds").items()) {
    rounds.row({text_of(x.at("round")), text_of(x.at("attempts")), text_of(x.at("outcome")), joined(x.at("survivors")),
                joined(x.at("missing"))});
  }
  std::string out = heading("Rounds") + rounds.done();
  out += heading("What was composed") + list(r.at("composed"));
  out +=
      heading("Accountant") + fields_table(r.at("accountant")) + "<p>Randomness: " + text_of(r.at("randomness")) + ".</p>\n";
  return out + heading("What is not covered") + list(r.at("not_covered"));
}

std::string provenance(const Json& r) {
  std::string out = heading("Lineage (SHA-256)") + fields_table(r.at("lineage"));
  Table heads({"Party", "Entries", "Root of the log", "Key", "Signature"});
  for (const auto& h : r.at("heads").items()) {
    heads.row({text_of(h.at("party")), text_of(h.at("size")), code(h.at("root")), code(h.at("fingerprint")),
               code(h.at("signature"))});
  }
  out += heading("Signed heads of the logs") + heads.done();
  return out + "<p>To check all of this again: " + code(r.at("recompute")) + "</p>\n";
}

}  // namespace

std::string report_html_text(const Json& r) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>" +
         text_of(r.at("run")) + ": privacy report</title>\n<style>" + kStyle + "</style>\n</head>\n<body>\n" +
         first_page(r) + promise(r) + how(r) + course(r) + provenance(r) + "</body>\n</html>\n";
}

}  // namespace sotto::audit
