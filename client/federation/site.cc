#include "client/federation/site.h"

#include <chrono>
#include <optional>

#include "audit/log/signed_head.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/program/process.h"
#include "base/version.h"
#include "client/federation/clock_check.h"
#include "client/federation/connection_watch.h"
#include "client/site/site_spending.h"
#include "client/text/text_model.h"
#include "crypto/hash.h"
#include "crypto/statement.h"
#include "crypto/system_random.h"
#include "model/adapter/lora.h"
#include "model/files/fingerprint.h"
#include "plan/plan_json.h"
#include "wire/codec.h"

namespace sotto::client {
namespace {

using namespace std::chrono_literals;

// The run that a message belongs to; nullopt for messages of no run and for descriptors that do not decode.
std::optional<RunId> run_of(const wire::ToSite& message) {
  return std::visit(
      [](const auto& m) -> std::optional<RunId> {
        if constexpr (requires { m.header.run; })
          return m.header.run;
        else if constexpr (requires { m.run; })
          return m.run;
        else if constexpr (requires { m.descriptor; }) {
          const auto d = decode_descriptor(m.descriptor);
          if (!d.ok()) return std::nullopt;
          return d->run;
        } else
          return std::nullopt;
      },
      message);
}

class Site {
 public:
  Site(const SiteFolder& folder, const SiteConfig& config, const SiteHooks& hooks, const SharedLedger& shared,
       audit::EventLog& log)
      : folder_(&folder), config_(&config), hooks_(&hooks), shared_(shared), log_(&log) {}

  Result<void> connect() {
    const auto& invite = folder_->site().invite;
    SOTTO_TRY(link_, wire::DealerLink::connect(invite.endpoint, invite.transport, folder_->transport_key()));
    return {};
  }

  Result<void> loop(const RunOptions& options) {
    auto decisions_read = std::chrono::steady_clock::time_point{};
    if (const auto doubt = clock_doubt(log_->image(), wall_clock()))
      log(Level::kWarning, "clock_behind", {{"reason", *doubt}});
    while (!(options.stop && options.stop())) {
      if (auto event = link_->receive(200ms)) SOTTO_TRY_VOID(on(*event));
      tell_what_is_awaited();
      if (connected_ && std::chrono::steady_clock::now() - decisions_read > 500ms) {
        decisions_read = std::chrono::steady_clock::now();
        SOTTO_TRY_VOID(act_on_decisions());
      }
      if (options.exit_when_finished && finished_) return {};
    }
    return {};
  }

 private:
  Result<void> on(const wire::DealerEvent& event) {
    switch (event.kind) {
      case wire::DealerEvent::Kind::kConnected:
        connected_ = true;
        watch_.connected(std::chrono::steady_clock::now());
        announced_.clear();
        return send(wire::Hello{folder_->site().name, std::string(version()), own_head()});
      case wire::DealerEvent::Kind::kDisconnected:
        connected_ = false;
        watch_.lost(std::chrono::steady_clock::now());
        log(Level::kWarning, "disconnected", {{"endpoint", folder_->site().invite.endpoint}});
        return {};
      case wire::DealerEvent::Kind::kOtherVersion:
        log(Level::kError, "other_version", {{"reason", event.detail}});
        return {};
      case wire::DealerEvent::Kind::kRefused:
        connected_ = false;
        watch_.lost(std::chrono::steady_clock::now());
        log(Level::kError, "connection_refused", {{"reason", event.detail}});
        return {};
      case wire::DealerEvent::Kind::kMessage: {
        auto message = wire::decode_to_site(event.bytes);
        if (message.ok()) return on(std::move(message).value());
        log(Level::kError, "bad_message", {{"reason", message.error().message}});
        return {};
      }
    }
    SOTTO_CHECK(false);
  }

  Result<void> on(wire::ToSite message) {
    if (const auto* welcome = std::get_if<wire::Welcome>(&message)) {
      watch_.welcomed();
      return check_rollback(*welcome);
    }
    if (const auto* offer = std::get_if<wire::RunOffer>(&message)) return take_offer(*offer);
    if (const auto* rejected = std::get_if<wire::Rejected>(&message)) {
      log(Level::kWarning, "rejected", {{"code", rejected->code}, {"reason", rejected->reason}});
      return {};
    }
    const auto run = run_of(message);
    if (!run) return {};
    SOTTO_TRY(RunSession * session, session_of(*run));
    if (!session) {
      log(Level::kWarning, "run_not_approved",
          {{"run", run->value()}, {"next_step", "sotto-client approve " + run->value()}});
      return {};
    }
    SOTTO_TRY_VOID(session->on(std::move(message)));
    finished_ = finished_ || session->finished();
    return {};
  }

  void tell_what_is_awaited() {
    const auto waiting = watch_.due(std::chrono::steady_clock::now());
    if (!waiting) return;
    const auto& site = folder_->site();
    if (*waiting == Waiting::kForConnection)
      log(Level::kWarning, "waiting_for_coordinator",
          {{"endpoint", site.invite.endpoint},
           {"next_step",
            "is 'sotto-coordinator serve' running there, and does the network let this site out to it? It is "
            "tried again until it answers"}});
    else
      log(Level::kWarning, "waiting_for_approval",
          {{"endpoint", site.invite.endpoint},
           {"next_step", "the coordinator's operator lets this site in: sotto-coordinator approve " + site.name}});
  }

  // A restored backup forgets spent budget and released shares: refuse to work from a log that is older than what others
  // saw.
  Result<void> check_rollback(const wire::Welcome& welcome) {
    if (!welcome.last_head_of_site.empty()) {
      const auto seen = audit::decode_head(welcome.last_head_of_site);
      if (!seen.ok()) {  // not this site's word, so no reason to stop
        log(Level::kError, "bad_head", {{"reason", seen.error().message}});
        return {};
      }
      const bool own = seen->key == folder_->identity() && audit::signature_holds(*seen);
      if (own && !audit::check_prefix(*seen, log_->image()).ok())
        return refused("this site signed a log of " + std::to_string(seen->size) + " entries before, and the one in '" +
                       folder_->path() +
                       "' is another or older (a restored backup?): budget that was spent and shares that were given would "
                       "be forgotten. "
                       "Restore the newest log, or enrol as a new site whose budget counts everything as spent");
    }
    return {};
  }

  // Offers that nobody has decided on are few; what is beyond them is not kept, so that a coordinator cannot fill the disk.
  bool has_room_for(const RunId& run) const {
    constexpr std::size_t kMostUndecided = 32;
    std::size_t undecided = 0;
    for (const RunId& other : folder_->offers()) {
      if (other == run) return true;
      undecided += folder_->decision(other) ? 0 : 1;
    }
    return undecided < kMostUndecided;
  }

  Result<void> take_offer(const wire::RunOffer& offer) {
    const auto offered = decode_plan(offer.plan);
    if (offered.ok() && !has_room_for(offered->run)) {
      if (!told_of_offers_)
        log(Level::kError, "too_many_offers",
            {{"run", offered->run.value()},
             {"next_step", "decide on those that wait (sotto-client approve or refuse), then ask the coordinator again"}});
      told_of_offers_ = true;
      return {};
    }
    if (const auto saved = folder_->save_offer(offer.plan, offer.roster); !saved.ok()) {
      log(Level::kError, "bad_offer", {{"reason", saved.error().message}});
      return {};
    }
    const auto plan = decode_plan(offer.plan);
    log(Level::kInfo, "run_offered",
        {{"run", plan->run.value()}, {"next_step", "sotto-client approve " + plan->run.value()}});
    return {};
  }

  Result<void> act_on_decisions() {
    for (const RunId& run : folder_->offers()) {
      if (announced_.contains(run.value())) continue;
      const auto decision = folder_->decision(run);
      if (!decision) continue;
      SOTTO_TRY(const Offer offer, folder_->offer(run));
      if (decision->plan != offer.plan_hash || decision->roster != offer.roster_hash) {
        log(Level::kError, "decision_outdated",
            {{"run", run.value()},
             {"next_step", "the coordinator changed its offer; look at it again: sotto-client approve " + run.value()}});
      } else {
        SOTTO_TRY_VOID(decision->approve ? approve(offer) : refuse(offer, decision->reason));
      }
      announced_.insert(run.value());
    }
    return {};
  }

  bool logged_approval(const Offer& offer) const {
    for (std::uint64_t i = 0; i < log_->size(); ++i) {
      const auto event = log_->event(i);
      const auto* approved = std::get_if<audit::RunApproved>(&event);
      if (approved && approved->run == offer.plan.run && approved->plan_hash == offer.plan_hash &&
          approved->roster_hash == offer.roster_hash)
        return true;
    }
    return false;
  }

  Result<void> approve(const Offer& offer) {
    const RunPlan& plan = offer.plan;
    SOTTO_TRY(const SiteFacts facts, site_facts(*folder_, *config_, plan));
    if (!logged_approval(offer)) {
      // The decision was made on what the ledger said then; what counts is what it says now.
      SOTTO_TRY_VOID(note_elsewhere());
      const auto consent =
          check_run(config_->policy, facts, plan, offer.roster, shared_.ledger->spending().total(config_->policy.budget));
      if (!consent.ok()) return refuse(offer, consent.error().message);
      const auto bound = shared_.ledger->bind(
          {plan.run, config_->policy.budget, to_string(plan.unit), config_->policy.epsilon_limit, config_->policy.delta},
          wall_clock());
      if (!bound.ok() && bound.error().code != ErrorCode::kRefused) return bound.error();
      if (!bound.ok()) return refuse(offer, bound.error().message);
      SOTTO_TRY(
          [[maybe_unused]] const auto index,
          log_->append(audit::RunApproved{plan.run, offer.plan_hash, offer.roster_hash, encode(plan), encode(offer.roster)},
                       wall_clock()));
    }
    SOTTO_TRY(const auto shape, read_model_config(config_->model));
    SOTTO_TRY(const auto layout, model::adapter_layout(shape, plan));
    wire::RunApproval message{plan.run, offer.plan_hash, offer.roster_hash, encode(layout), own_head(), {}};
    const crypto::Statement statement{wire::label_of(message),
                                      facts.name,
                                      plan.run,
                                      RoundId(0),
                                      AttemptId(0),
                                      offer.roster_hash,
                                      crypto::sha256(wire::body(message))};
    message.signature = crypto::sign_statement(folder_->identity_key(), statement);
    log(Level::kInfo, "run_approved", {{"run", plan.run.value()}});
    SOTTO_TRY([[maybe_unused]] RunSession * session, session_of(plan.run));  // load now what the first round needs
    return send(message);
  }

  // What the same patients have spent by other folders of this site: into the log, before anything is judged by it.
  Result<void> note_elsewhere() { return client::note_elsewhere(shared_, config_->policy.budget, wall_clock()); }

  Result<void> refuse(const Offer& offer, const std::string& reason) {
    log(Level::kWarning, "run_refused", {{"run", offer.plan.run.value()}, {"reason", reason}});
    SOTTO_TRY([[maybe_unused]] const auto index,
              log_->append(audit::RunRefused{offer.plan.run, offer.plan_hash, reason}, wall_clock()));
    return send(wire::RunRefusal{offer.plan.run, reason});
  }

  // The session of a run that stands approved in this site's log; nullptr for any other.
  Result<RunSession*> session_of(const RunId& run) {
    if (const auto open = sessions_.find(run); open != sessions_.end()) return open->second.get();
    const auto offer = folder_->offer(run);
    if (!offer.ok() || !logged_approval(*offer)) return static_cast<RunSession*>(nullptr);
    SOTTO_TRY(const SiteFacts facts, site_facts(*folder_, *config_, offer->plan));
    SOTTO_TRY(const SiteIndex site, find_site(offer->roster, facts));
    sessions_.clear();  // one run at a time: a model is large
    const SiteContext context{folder_,      config_,  log_,   shared_.ledger,
                              shared_.book, &random_, hooks_, [this](const auto& m) { return send(m); }};
    SOTTO_TRY(auto session, RunSession::open(context, *offer, site));
    return (sessions_[run] = std::move(session)).get();
  }

  // A message that cannot be sent now is not lost: the coordinator asks again when the connection is back. Nothing leaves
  // before the book of patients has seen the log as it stands.
  Result<void> send(const wire::ToCoordinator& message) {
    SOTTO_TRY_VOID(keep(shared_));
    const auto sent = link_->send(wire::encode(message), 5000ms);
    if (!sent.ok())
      log(Level::kWarning, "not_sent", {{"message", wire::name_of(message)}, {"reason", sent.error().message}});
    return {};
  }

  wire::HeadBytes own_head() const {
    return audit::encode(audit::sign_head(log_->image(), folder_->site().name, folder_->identity_key()));
  }

  const SiteFolder* folder_;
  const SiteConfig* config_;
  const SiteHooks* hooks_;
  SharedLedger shared_;
  audit::EventLog* log_;                  // the one of shared_, to be written
  std::optional<wire::DealerLink> link_;  // from connect() on
  crypto::SystemRandom random_;
  std::map<RunId, std::unique_ptr<RunSession>> sessions_;
  std::set<std::string> announced_;  // runs whose decision this connection was told
  ConnectionWatch watch_{std::chrono::steady_clock::now()};
  bool connected_ = false;
  bool finished_ = false;
  bool told_of_offers_ = false;
};

}  // namespace

Result<SiteFacts> site_facts(const SiteFolder& folder, const SiteConfig& config, const RunPlan& plan) {
  SOTTO_TRY(const Digest model, model::model_hash(config.model));
  SOTTO_TRY(const auto shape, read_model_config(config.model));
  SOTTO_TRY(const auto layout, model::adapter_layout(shape, plan));
  const auto& site = folder.site();
  return SiteFacts{
      site.name, folder.identity(), site.invite.identity, site.declared_size, model, layout.trained_size(plan.trained)};
}

Result<void> run_site(const SiteFolder& folder, const SiteConfig& config, const RunOptions& options,
                      const SiteHooks& hooks) {
  keep_memory_private();
  SOTTO_TRY(const auto lock, folder.lock());
  SOTTO_TRY(auto event_log, audit::EventLog::open(folder.log_path()));
  if (!event_log.recovered().empty()) log(Level::kWarning, "log_recovered", {{"what", event_log.recovered()}});
  SOTTO_TRY(auto ledger, audit::Ledger::open(event_log));
  SOTTO_TRY(const auto book, PatientBook::open(config.budget_folder));
  const SharedLedger shared{&book, &event_log, &ledger};
  SOTTO_TRY(const auto mine, take_up(shared));
  Site site(folder, config, hooks, shared, event_log);
  SOTTO_TRY_VOID(site.connect());
  return site.loop(options);
}

}  // namespace sotto::client
