// docs/configuration.md is what the tables of fields say: this test makes it and compares. SOTTO_UPDATE_DOCS=1 writes it.
#include <cstdlib>
#include <map>

#include "base/files.h"
#include "base/json.h"
#include "plan/file_fields.h"
#include "plan/lora_targets.h"
#include "plan/plan_fields.h"
#include "tests/support/catch.h"

namespace sotto::plan {
namespace {

// Collects a line a row, by the table of the file that it stands in.
class Lines {
 public:
  explicit Lines(std::string table = "") : table_(std::move(table)) {}

  template <class Value>
  void operator()(const Row& row, const Value& v) {
    if (row.source == Source::kComputed) return;
    const auto dot = row.key.rfind('.');
    const std::string table = !table_.empty()                 ? table_
                              : dot == std::string_view::npos ? ""
                                                              : "[" + std::string(row.key.substr(0, dot)) + "]";
    const auto key = table_.empty() && dot != std::string_view::npos ? row.key.substr(dot + 1) : row.key;
    const std::string fallback = row.source == Source::kRequired && row.otherwise.empty() ? "required"
                                 : !row.otherwise.empty()                                 ? std::string(row.otherwise)
                                                                                          : "`" + shown(v) + "`";
    of_[table] +=
        "| `" + std::string(key) + "` | " + values(row, v) + " | " + fallback + " | " + std::string(row.meaning) + " |\n";
  }
  const std::string& of(const std::string& table) { return of_[table]; }

 private:
  static std::string shown(double v) { return Json(v).dump(); }
  static std::string shown(std::uint32_t v) { return std::to_string(v); }
  static std::string shown(std::uint64_t v) { return std::to_string(v); }
  static std::string shown(bool v) { return v ? "true" : "false"; }
  static std::string shown(const std::string& v) { return "\"" + v + "\""; }
  template <NamedEnum Enum>
  static std::string shown(Enum v) {
    return "\"" + std::string(name_of(v)) + "\"";
  }
  template <class Other>
    requires(!NamedEnum<Other>)
  static std::string shown(const Other&) {
    return "none";
  }

  static std::string of_unit(const Row& row) { return row.unit.empty() ? "" : ", " + std::string(row.unit); }
  static std::string values(const Row& row, double) { return "number " + row.limits.words(false) + of_unit(row); }
  static std::string values(const Row& row, const std::optional<double>&) { return values(row, 0.0); }
  static std::string values(const Row& row, std::uint64_t) {
    return "whole number " + row.limits.words(true) + of_unit(row);
  }
  static std::string values(const Row& row, std::uint32_t) { return values(row, std::uint64_t{0}); }
  static std::string values(const Row&, bool) { return "true or false"; }
  static std::string values(const Row&, const RunId&) { return std::string(kNameWords); }
  static std::string values(const Row&, const Digest&) { return "64 hexadecimal digits"; }
  static std::string values(const Row& row, const std::string&) {
    return row.text == Text::kPath ? "path" : row.text == Text::kName ? std::string(kNameWords) : "text";
  }
  static std::string values(const Row& row, const std::optional<std::string>&) { return values(row, std::string()); }
  static std::string values(const Row&, const std::vector<std::string>&) { return "list of texts"; }
  template <NamedEnum Enum>
  static std::string values(const Row&, Enum) {
    return listed_names<Enum>();
  }
  template <class Other>
    requires(!NamedEnum<Other>)
  static std::string values(const Row&, const Other&) {
    throw Failure("no words for the values of a field");
  }

  std::string table_;
  std::map<std::string, std::string> of_;
};

const char* const kHead = "| key | values | default | meaning |\n|---|---|---|---|\n";

std::string element(const char* name, auto fields, const char* what) {
  Lines lines(name);
  for_each_field(fields, lines);
  return std::string("\n## ") + name + "\n" + what + "\n\n" + kHead + lines.of(name);
}

std::string page() {
  Lines lines;
  FileWords words;
  RunPlan run;
  PlanFile file;
  ModelShape shape;
  for_each_field(words, lines);
  for_each_field(run, lines);
  for_each_field(file, lines);
  for_each_field(shape, lines);
  for_each_field(file.alone, lines);
  std::string out =
      "# The plan file\n"
      "`sotto-coordinator plan` and `submit` and `sotto-client train` read a run from a TOML file; configs/run.toml is a "
      "commented "
      "example. The file has these tables and keys. An unknown key, a wrong type and a value outside its limits are errors "
      "that "
      "name file, line and key. A site judges a plan that a coordinator sends it by the same limits. This page is made from "
      "the "
      "code's own table of fields (plan/plan_fields.h, plan/file_fields.h); `SOTTO_UPDATE_DOCS=1 build/bin/test_plan` "
      "writes "
      "it. Files of sites and coordinators are explained in configs/site.toml and configs/coordinator.toml.\n"
      "\n## Top of the file\n\n" +
      std::string(kHead) + lines.of("");
  const std::vector<std::pair<const char*, const char*>> tables{
      {"[model]", ""},
      {"[model.shape]", "Only for the estimate of traffic that `plan` prints: the widths of a Llama-shaped model.\n"},
      {"[privacy]", ""},
      {"[audit]", ""},
      {"[training]", ""},
      {"[lora]", "Read where training.trained is \"lora\".\n"},
      {"[prompt]", "Read where training.trained is \"prompt\".\n"},
      {"[optimizer]", ""},
      {"[aggregation]", "Of runs of several sites.\n"},
      {"[train]", "Only for `sotto-client train`, one site alone. Paths are relative to the plan file.\n"}};
  for (const auto& [table, what] : tables)
    out += std::string("\n## ") + table + "\n" + what + "\n" + kHead + lines.of(table);
  out += element("[[train.mixture]]", PublicSource{},
                 "Public text, which costs no epsilon: a file that is mixed into every step of the rounds.");
  out += element("[[train.stage]]", Stage{}, "Steps on public text alone, before the first round.");
  out += element("[[train.stage.source]]", PublicSource{}, "A file of the stage above it; at least one.");
  out += "\nlora.targets may name " + known_targets() + ".\n";
  return out;
}

}  // namespace

TEST_CASE("docs/configuration.md lists what a plan file may hold", "[plan]") {
  const std::string path = std::string(SOTTO_SOURCE) + "/docs/configuration.md", wanted = page();
  if (std::getenv("SOTTO_UPDATE_DOCS") != nullptr) REQUIRE(write_file_atomically(path, wanted).ok());
  INFO("run test_plan with SOTTO_UPDATE_DOCS=1 to write it");
  const auto found = read_text_file(path);
  REQUIRE(found.ok());
  CHECK(*found == wanted);
}

}  // namespace sotto::plan
