#include "base/config_reader.h"

#include <toml++/toml.h>

#include <map>
#include <set>

#include "base/files.h"
#include "base/spelling.h"

namespace sotto {
namespace {

const char* type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string: return "a string";
    case toml::node_type::integer: return "an integer";
    case toml::node_type::floating_point: return "a number";
    case toml::node_type::boolean: return "true or false";
    case toml::node_type::array: return "an array";
    case toml::node_type::table: return "a table";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time: return "a date or time";
    case toml::node_type::none: return "nothing";
  }
  SOTTO_CHECK(false);
}

struct Document {
  std::string origin;
  toml::table root;
  std::optional<Error> first_error;
  std::optional<Error> first_missing;  // told only when nothing else is wrong: a misspelt key is missing, too
};

}  // namespace

struct ConfigReader::State {
  std::unique_ptr<Document> owned;  // of the reader that parsed the file
  Document* document = nullptr;
  const toml::table* table = nullptr;
  std::string prefix;  // "site[1]." in messages of a sub-reader
  std::set<std::string> known;

  std::string place(const toml::node* node) const {
    return node ? document->origin + ":" + std::to_string(node->source().begin.line) : document->origin;
  }

  void fail(const toml::node* node, const std::string& why) {
    if (!document->first_error) document->first_error = invalid(place(node) + ": " + why);
  }

  const toml::node* find(std::string_view key) const { return table->at_path(key).node(); }

  const toml::node* read(std::string_view key, bool required) {
    known.insert(std::string(key));
    const toml::node* node = find(key);
    if (!node && required && !document->first_missing)
      document->first_missing = invalid(place(table->source().begin.line ? table : nullptr) + ": key '" + prefix +
                                        std::string(key) + "' is missing");
    return node;
  }

  template <class T>
  void wrong(std::string_view key, const toml::node& node, T wanted) {
    fail(&node, "'" + prefix + std::string(key) + "' must be " + wanted + ", not " + type_name(node));
  }

  // Every leaf of the table that nobody asked for is an error; a table counts as asked for when something in it is known.
  void check_unknown(const toml::table& at, const std::string& path) {
    for (const auto& [name, node] : at) {
      const std::string key = path + std::string(name.str());
      if (known.contains(key)) continue;
      const std::string inside = key + ".";
      const auto under = known.lower_bound(inside);
      if (const auto* sub = node.as_table(); sub && under != known.end() && under->starts_with(inside)) {
        check_unknown(*sub, inside);
        continue;
      }
      std::string best;
      std::size_t best_distance = 4;
      for (const auto& k : known)
        if (const auto d = edit_distance(k, key); d < best_distance) best_distance = d, best = k;
      fail(&node, "unknown key '" + prefix + key + "'" + (best.empty() ? "" : "; did you mean '" + prefix + best + "'?"));
    }
  }
};

ConfigReader::ConfigReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
ConfigReader::ConfigReader(ConfigReader&&) noexcept = default;
ConfigReader& ConfigReader::operator=(ConfigReader&&) noexcept = default;
ConfigReader::~ConfigReader() = default;

Result<ConfigReader> ConfigReader::read_file(const std::string& path) {
  SOTTO_TRY(const std::string text, read_text_file(path));
  return parse(text, path);
}

Result<ConfigReader> ConfigReader::parse(std::string_view text, std::string_view origin) {
  auto state = std::make_unique<State>();
  state->owned = std::make_unique<Document>();
  state->owned->origin = std::string(origin);
  try {
    state->owned->root = toml::parse(text, std::string(origin));
  } catch (const toml::parse_error& e) {
    return invalid(std::string(origin) + ":" + std::to_string(e.source().begin.line) +
                   ": not valid TOML: " + std::string(e.description()));
  }
  state->document = state->owned.get();
  state->table = &state->document->root;
  return ConfigReader(std::move(state));
}

std::string ConfigReader::text(std::string_view key, std::optional<std::string> fallback) {
  const toml::node* node = state_->read(key, !fallback);
  if (!node) return fallback.value_or("");
  if (const auto value = node->value_exact<std::string>()) return *value;
  state_->wrong(key, *node, "a string");
  return fallback.value_or("");
}

double ConfigReader::number(std::string_view key, std::optional<double> fallback) {
  const toml::node* node = state_->read(key, !fallback);
  if (!node) return fallback.value_or(0);
  if (const auto value = node->value_exact<double>()) return *value;
  if (const auto value = node->value_exact<std::int64_t>()) return static_cast<double>(*value);
  state_->wrong(key, *node, "a number");
  return fallback.value_or(0);
}

std::int64_t ConfigReader::integer(std::string_view key, std::optional<std::int64_t> fallback) {
  const toml::node* node = state_->read(key, !fallback);
  if (!node) return fallback.value_or(0);
  if (const auto value = node->value_exact<std::int64_t>()) return *value;
  state_->wrong(key, *node, "an integer");
  return fallback.value_or(0);
}

bool ConfigReader::boolean(std::string_view key, std::optional<bool> fallback) {
  const toml::node* node = state_->read(key, !fallback);
  if (!node) return fallback.value_or(false);
  if (const auto value = node->value_exact<bool>()) return *value;
  state_->wrong(key, *node, "true or false");
  return fallback.value_or(false);
}

std::vector<std::string> ConfigReader::texts(std::string_view key, std::optional<std::vector<std::string>> fallback) {
  const toml::node* node = state_->read(key, !fallback);
  if (!node) return fallback.value_or(std::vector<std::string>{});
  std::vector<std::string> out;
  const auto* array = node->as_array();
  if (!array) {
    state_->wrong(key, *node, "an array of strings");
    return out;
  }
  for (const auto& item : *array) {
    const auto value = item.value_exact<std::string>();
    if (!value) {
      state_->wrong(key, item, "an array of strings");
      return {};
    }
    out.push_back(*value);
  }
  return out;
}

bool ConfigReader::has(std::string_view key) const { return state_->find(key) != nullptr; }

std::vector<ConfigReader> ConfigReader::tables(std::string_view key) {
  std::vector<ConfigReader> out;
  const toml::node* node = state_->read(key, false);
  if (!node) return out;
  const auto* array = node->as_array();
  if (!array || !std::ranges::all_of(*array, [](const auto& item) { return item.is_table(); })) {
    state_->wrong(key, *node, "an array of tables ([[" + std::string(key) + "]])");
    return out;
  }
  for (std::size_t i = 0; i < array->size(); ++i) {
    auto state = std::make_unique<State>();
    state->document = state_->document;
    state->table = array->get(i)->as_table();
    state->prefix = state_->prefix + std::string(key) + "[" + std::to_string(i) + "].";
    out.push_back(ConfigReader(std::move(state)));
  }
  return out;
}

void ConfigReader::reject(std::string_view key, const std::string& why) {
  state_->fail(state_->find(key), "'" + state_->prefix + std::string(key) + "' " + why);
}

Result<void> ConfigReader::finish() {
  state_->check_unknown(*state_->table, "");
  if (state_->document->first_error) return *state_->document->first_error;
  if (state_->document->first_missing) return *state_->document->first_missing;
  return {};
}

}  // namespace sotto
