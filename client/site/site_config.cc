#include "client/site/site_config.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/config_reader.h"

namespace sotto::client {
namespace {

Policy read_policy(ConfigReader& in) {
  Policy p;
  p.epsilon_limit = in.number("policy.epsilon_limit");
  if (!(std::isfinite(p.epsilon_limit) && p.epsilon_limit >= 0))
    in.reject("policy.epsilon_limit", "must be 0 or a positive number");
  p.delta = in.number("policy.delta", 1e-5);
  if (!(p.delta > 0 && p.delta < 1)) in.reject("policy.delta", "must lie between 0 and 1");
  for (const auto& unit : in.texts("policy.units", std::vector<std::string>{"patient"})) {
    if (const auto known = with_name<privacy::Unit>(unit))
      p.units.push_back(*known);
    else
      in.reject("policy.units", "has '" + unit + "'; known are " + listed_names<privacy::Unit>());
  }
  const auto natural = [&](const char* key, std::int64_t fallback, std::int64_t least) {
    const auto v = in.integer(key, fallback);
    if (v < least || v > 1000000) in.reject(key, "must be from " + std::to_string(least) + " to 1000000");
    return static_cast<std::uint32_t>(v);
  };
  p.min_sites = natural("policy.min_sites", 3, 2);
  p.min_colluders = natural("policy.min_colluders", 1, 0);
  p.max_rounds = natural("policy.max_rounds", 1000, 1);
  for (const auto& text : in.texts("policy.models", std::vector<std::string>{})) {
    if (const auto digest = digest_from_hex(text); digest.ok())
      p.models.push_back(*digest);
    else
      in.reject("policy.models", "has '" + text + "', which is no SHA-256 fingerprint of 64 hexadecimal digits");
  }
  p.budget = in.text("policy.budget", "patients");
  if (!is_valid_name(p.budget))
    in.reject("policy.budget", "is '" + p.budget + "'; a budget's name is 1 to 64 of a-z, 0-9 and '-'");
  if (in.has("policy.own_share_limit")) {
    p.own_share_limit = in.number("policy.own_share_limit");
    if (!(std::isfinite(*p.own_share_limit) && *p.own_share_limit >= 0))
      in.reject("policy.own_share_limit", "must be 0 or a positive number");
    if (*p.own_share_limit < p.epsilon_limit)
      in.reject("policy.own_share_limit",
                "is below policy.epsilon_limit; a share of the noise protects no more than all of it does");
  }
  p.allow_without_privacy = in.boolean("policy.allow_without_privacy", false);
  return p;
}

WatchConfig read_watch(ConfigReader& in, const std::filesystem::path& folder) {
  WatchConfig out;
  if (!in.has("watch")) return out;
  out.general = (folder / in.text("watch.general")).lexically_normal().string();
  const auto every = in.integer("watch.every", 1);
  if (every < 1 || every > 100000) in.reject("watch.every", "must be from 1 to 100000 rounds");
  out.every = static_cast<std::uint32_t>(std::clamp<std::int64_t>(every, 1, 100000));
  out.limit = in.number("watch.limit", 0.1);
  if (!(std::isfinite(out.limit) && out.limit >= 0))
    in.reject("watch.limit", "must be 0 or a positive number of nats a token");
  out.stops = in.boolean("watch.stops", false);
  return out;
}

}  // namespace

Result<SiteConfig> read_site_config(const std::string& path) {
  SOTTO_TRY(ConfigReader in, ConfigReader::read_file(path));
  const auto folder = std::filesystem::path(path).parent_path();
  const auto beside_config = [&](const std::string& file) { return (folder / file).lexically_normal().string(); };
  SiteConfig config;
  config.model = beside_config(in.text("model"));
  for (const auto& file : in.texts("data")) config.data.push_back(beside_config(file));
  if (config.data.empty() && in.has("data")) in.reject("data", "must name at least one JSON-lines file");
  config.device = in.text("device", "cpu");
  config.quantized_base = in.boolean("quantized_base", false);
  config.gradient_checkpointing = in.boolean("gradient_checkpointing", false);
  const auto threads = in.integer("threads", 0);
  if (threads < 0 || threads > 1024) in.reject("threads", "must be from 0 (the library's choice) to 1024");
  config.threads = static_cast<int>(threads);
  // Beside the configuration and named after it, so that every folder that joins with it shares the book.
  config.budget_folder = beside_config(in.text("budget_folder", std::filesystem::path(path).stem().string() + ".budget"));
  config.log_key = in.text("log_key", "");
  if (config.log_key.rfind("file:", 0) == 0) config.log_key = "file:" + beside_config(config.log_key.substr(5));
  if (const auto file = in.text("data_key", ""); !file.empty()) config.data_key = beside_config(file);
  config.holdout_fraction = in.number("holdout_fraction", 0.0);
  if (!(config.holdout_fraction >= 0 && config.holdout_fraction < 1))
    in.reject("holdout_fraction", "must be at least 0 and below 1");
  config.watch = read_watch(in, folder);
  config.policy = read_policy(in);
  SOTTO_TRY_VOID(in.finish());
  return config;
}

bool is_rounded(std::uint64_t declared_size) {
  while (declared_size > 0 && declared_size % 10 == 0) declared_size /= 10;
  return declared_size > 0 && declared_size < 100;
}

}  // namespace sotto::client
