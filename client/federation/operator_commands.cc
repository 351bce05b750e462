#include "client/federation/operator_commands.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <optional>

#include "audit/log/log_reader.h"
#include "base/clock.h"
#include "base/number.h"
#include "client/federation/budget.h"
#include "client/federation/clock_check.h"
#include "client/federation/coordinator_check.h"
#include "client/federation/data_report.h"
#include "client/federation/policy.h"
#include "client/federation/site.h"
#include "client/text/text_model.h"
#include "crypto/hash.h"
#include "model/files/fingerprint.h"
#include "plan/plan_json.h"
#include "wire/codec.h"

namespace sotto::client {
namespace {

using namespace std::chrono_literals;

std::string fingerprint(const PublicKeyBytes& key) { return crypto::fingerprint(crypto::VerifyKey(key)); }

// The offer that `run` saved, or, when no `run` works in this folder, a fresh one from the coordinator.
Result<Offer> find_offer(const SiteFolder& folder, const RunId& run) {
  const auto lock = folder.lock();
  if (!lock.ok()) return folder.offer(run);
  const auto& invite = folder.site().invite;
  SOTTO_TRY(auto link, wire::DealerLink::connect(invite.endpoint, invite.transport, folder.transport_key()));
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (std::chrono::steady_clock::now() < deadline) {
    const auto event = link.receive(500ms);
    if (!event) continue;
    if (event->kind == wire::DealerEvent::Kind::kOtherVersion) return refused(event->detail);
    if (event->kind == wire::DealerEvent::Kind::kRefused)
      return refused("the coordinator does not let this site in: " + event->detail +
                     "; has its operator approved the site?");
    if (event->kind == wire::DealerEvent::Kind::kConnected) {
      SOTTO_TRY_VOID(link.send(wire::encode(wire::ToCoordinator(wire::FetchRun{run.value()})), 5000ms));
      continue;
    }
    if (event->kind != wire::DealerEvent::Kind::kMessage) continue;
    SOTTO_TRY(const auto message, wire::decode_to_site(event->bytes));
    if (const auto* rejected = std::get_if<wire::Rejected>(&message)) return refused(rejected->reason);
    const auto* offer = std::get_if<wire::RunOffer>(&message);
    if (!offer) continue;
    SOTTO_TRY_VOID(folder.save_offer(offer->plan, offer->roster));
    SOTTO_TRY(const auto plan, decode_plan(offer->plan));
    if (plan.run == run) return folder.offer(run);
  }
  return unavailable("the coordinator at " + invite.endpoint + " did not offer run '" + run.value() + "' within 20 s");
}

void show(const Offer& offer, const SiteFacts& facts, const Consent& consent, double delta) {
  const RunPlan& p = offer.plan;
  const SitePlan& own = p.sites.at(consent.site.value());
  std::printf("run %s: %u rounds of %u local steps, rank %u, sums of at least %u of %zu sites, %u counted as colluding\n",
              p.run.value().c_str(), p.rounds, p.local_steps, p.lora.rank, p.min_sites, p.sites.size(), p.colluders);
  if (p.privacy) {
    std::printf("  privacy   %s level, q = %.5f, clip norm %g, noise multiplier %.5f\n", to_string(p.unit).c_str(),
                own.sampling_rate, p.clip_norm, own.noise_multiplier);
    std::printf("  epsilon   %s from this run, %s with all runs before it, at delta %g\n",
                shown_up(consent.epsilon_of_run).c_str(), shown_up(consent.epsilon_after).c_str(), delta);
  } else {
    std::printf("  PRIVACY IS OFF: no clipping, no noise, no guarantee for any patient\n");
  }
  std::printf("  model     %s\n", to_hex(p.model).c_str());
  if (p.parent) std::printf("  goes on from model %s\n", to_hex(*p.parent).c_str());
  std::printf("  roster    %s\n", to_hex(offer.roster_hash).c_str());
  std::printf("    coordinator        %s\n", fingerprint(offer.roster.coordinator).c_str());
  for (const auto& s : offer.roster.sites)
    std::printf("    %-18s %s  %llu units declared%s\n", s.name.c_str(), fingerprint(s.identity).c_str(),
                static_cast<unsigned long long>(s.declared_size), s.name == facts.name ? "  (this site)" : "");
}

Result<bool> ask_person(const std::string& question) {
  if (::isatty(STDIN_FILENO) == 0)
    return invalid(
        "there is no terminal to ask on; look at what is printed above and give the command again with --yes, or with "
        "--roster FINGERPRINT");
  std::cout << question << " [yes/no] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "yes" || answer == "y";
}

struct Opened {
  SiteFolder folder;
  SiteConfig config;
};

Result<Opened> open(const std::string& path) {
  SOTTO_TRY(auto folder, SiteFolder::open(path));
  SOTTO_TRY(auto config, read_site_config(folder.site().config));
  return Opened{std::move(folder), std::move(config)};
}

}  // namespace

Result<void> approve(const DecisionRequest& request) {
  if (!is_valid_name(request.run)) return invalid("'" + request.run + "' is not a run's name ([a-z0-9-], up to 64)");
  const RunId run(request.run);
  SOTTO_TRY(const Opened site, open(request.folder));
  SOTTO_TRY(const Offer offer, find_offer(site.folder, run));
  SOTTO_TRY(const SiteFacts facts, site_facts(site.folder, site.config, offer.plan));
  SOTTO_TRY(const auto spent, spending_of(site.folder, site.config));
  const std::string& budget = site.config.policy.budget;
  SOTTO_TRY_VOID(spent.check(audit::BudgetBound{run, budget, to_string(offer.plan.unit), site.config.policy.epsilon_limit,
                                                site.config.policy.delta}));
  SOTTO_TRY(const Consent consent, check_run(site.config.policy, facts, offer.plan, offer.roster, spent.total(budget)));
  show(offer, facts, consent, site.config.policy.delta);
  if (!request.roster.empty()) {
    if (request.roster != to_hex(offer.roster_hash))
      return refused("the roster's fingerprint is " + to_hex(offer.roster_hash) + ", not the " + request.roster +
                     " that was given; nothing was approved");
  } else if (!request.yes) {
    SOTTO_TRY(const bool agreed, ask_person("Approve this run with this roster?"));
    if (!agreed) return refused("nothing was approved");
  }
  SOTTO_TRY_VOID(site.folder.save_decision(run, {true, offer.plan_hash, offer.roster_hash, ""}));
  std::printf("approved; 'sotto-client run' takes part from now on\n");
  return {};
}

Result<void> refuse(const DecisionRequest& request) {
  if (!is_valid_name(request.run)) return invalid("'" + request.run + "' is not a run's name ([a-z0-9-], up to 64)");
  const RunId run(request.run);
  SOTTO_TRY(const auto folder, SiteFolder::open(request.folder));
  SOTTO_TRY(const Offer offer, find_offer(folder, run));
  const std::string reason = request.reason.empty() ? "the site's operator refused" : request.reason;
  SOTTO_TRY_VOID(folder.save_decision(run, {false, offer.plan_hash, offer.roster_hash, reason}));
  std::printf("refused; 'sotto-client run' tells the coordinator\n");
  return {};
}

Result<void> status(const std::string& path, bool json) {
  SOTTO_TRY(const auto folder, SiteFolder::open(path));
  const bool running = !folder.lock().ok();
  Json::Array runs;
  for (const RunId& run : folder.offers()) {
    const auto decision = folder.decision(run);
    const bool done = file_exists(folder.run_folder(run) + "/adapter/adapter_config.json");
    runs.push_back(Json::object({{"run", run.value()},
                                 {"decision", !decision           ? "open"
                                              : decision->approve ? "approved"
                                                                  : "refused"},
                                 {"finished", done},
                                 {"adapter", done ? folder.run_folder(run) + "/adapter" : ""}}));
  }
  if (json) {
    std::cout << Json::object({{"site", folder.site().name},
                               {"fingerprint", fingerprint(folder.identity())},
                               {"running", running},
                               {"runs", runs}})
                     .dump()
              << '\n';
    return {};
  }
  std::printf("site %s, fingerprint %s, %s\n", folder.site().name.c_str(), fingerprint(folder.identity()).c_str(),
              running ? "running" : "not running");
  for (const auto& r : runs)
    std::printf("  run %-24s %s%s\n", r.at("run").as_string().c_str(), r.at("decision").as_string().c_str(),
                r.at("finished").as_bool() ? (", finished: " + r.at("adapter").as_string()).c_str() : "");
  return {};
}

Result<void> show_fingerprint(const std::string& model, bool json) {
  SOTTO_TRY(const Digest hash, model::model_hash(model));
  std::cout << (json ? Json::object({{"sha256", to_hex(hash)}}).dump() : to_hex(hash)) << '\n';
  return {};
}

Result<void> doctor(const std::string& path, const std::string& config_path, bool json) {
  std::optional<SiteFolder> folder;
  std::string config_file = config_path;
  std::string coordinator;  // what it says to this site; empty where only a configuration is looked at
  if (config_file.empty()) {
    SOTTO_TRY(folder, SiteFolder::open(path));
    config_file = folder->site().config;
    SOTTO_TRY(const Bytes written, audit::read_log_bytes(folder->log_path()));
    if (const auto doubt = clock_doubt(audit::parse_log(written).image, wall_clock())) return invalid(*doubt);
    SOTTO_TRY(coordinator, ask_coordinator(*folder));
  }
  SOTTO_TRY(const SiteConfig config, read_site_config(config_file));
  SOTTO_TRY(const Digest hash, model::model_hash(config.model));
  SOTTO_TRY(const TextModel text, TextModel::load(config.model));
  SOTTO_TRY([[maybe_unused]] const auto chat, text.chat());
  SOTTO_TRY(const auto model, model::LanguageModel::load(
                                  config.model, {config.device, Precision::kAuto, config.threads, config.quantized_base}));
  SOTTO_TRY(const Json data, data_report(config, folder ? &*folder : nullptr, text));
  const std::string precision = to_string(model.precision());
  if (json) {
    Json out = Json::object({{"model", config.model},
                             {"sha256", to_hex(hash)},
                             {"parameters", model.config().parameters()},
                             {"device", model.device()},
                             {"precision", precision},
                             {"coordinator", coordinator.empty() ? Json() : Json(coordinator)}});
    for (const auto& [name, value] : data.members()) out.set(name, value);
    std::cout << out.dump() << '\n';
    return {};
  }
  std::printf("model     %s\n  fingerprint %s\n  %llu parameters, %s, %s\n", config.model.c_str(), to_hex(hash).c_str(),
              static_cast<unsigned long long>(model.config().parameters()), model.device().c_str(), precision.c_str());
  const bool complete = print_data_report(data);
  std::printf("limit     epsilon %g at delta %g\n", config.policy.epsilon_limit, config.policy.delta);
  if (!coordinator.empty()) std::printf("coordinator  %s\n", coordinator.c_str());
  std::printf("%s\n", complete ? "all is in place" : "all is in place but what is marked with '!'");
  return {};
}

}  // namespace sotto::client
