#include "curation/check_config.h"

#include "base/config_reader.h"

namespace sotto::curation {
namespace {

Phrases phrases(ConfigReader& config, const std::string& key) {
  auto out = Phrases::make(config.texts(key, std::vector<std::string>{}));
  if (out.ok()) return std::move(*out);
  config.reject(key, "cannot be used: " + out.error().message);
  return {};
}

double share(ConfigReader& config, const std::string& key, double otherwise) {
  const double value = config.number(key, otherwise);
  if (!(value >= 0 && value <= 1)) config.reject(key, "must be a share from 0 to 1");
  return value;
}

}  // namespace

Result<CheckConfig> read_check_config(const std::string& path) {
  SOTTO_TRY(auto config, ConfigReader::read_file(path));
  CheckConfig out;
  out.near = share(config, "duplicates.near", out.near);
  const auto tokens = config.integer("lengths.max_tokens", 0);
  if (tokens < 0) config.reject("lengths.max_tokens", "must be 0 (no limit) or more");
  out.max_tokens = static_cast<std::size_t>(std::max<std::int64_t>(tokens, 0));
  out.languages = config.texts("language.expected", std::vector<std::string>{});
  out.stakes = phrases(config, "caution.stakes");
  out.caution = phrases(config, "caution.words");
  for (auto& table : config.tables("topic")) {
    Topic topic;
    topic.name = table.text("name");
    topic.situation = table.text("situation", "common");
    topic.phrases = phrases(table, "phrases");
    const auto at_least = table.integer("at_least", 1);
    if (at_least < 1) table.reject("at_least", "must be 1 or more");
    topic.at_least = static_cast<std::uint64_t>(std::max<std::int64_t>(at_least, 1));
    out.topics.push_back(std::move(topic));
  }
  Limits& limits = out.limits;
  limits.broken = share(config, "limits.broken", limits.broken);
  limits.duplicates = share(config, "limits.duplicates", limits.duplicates);
  limits.leaks = share(config, "limits.leaks", limits.leaks);
  limits.damaged = share(config, "limits.damaged", limits.damaged);
  limits.no_caution = share(config, "limits.no_caution", limits.no_caution);
  limits.other_language = share(config, "limits.other_language", limits.other_language);
  limits.uncovered = share(config, "limits.uncovered", limits.uncovered);
  SOTTO_TRY_VOID(config.finish());
  return out;
}

}  // namespace sotto::curation
