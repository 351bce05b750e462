#include "tests/audit/audit_fixture.h"

#include <unistd.h>

#include <atomic>
#include <cmath>
#include <memory>

#include "audit/run/empirical_result.h"
#include "crypto/hash.h"
#include "plan/planned_events.h"
#include "privacy/mechanism/noise.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::audit {
namespace {

constexpr std::uint64_t kDimension = 1000;

// One party's log in a folder, with the events' times counted up.
class Writer {
 public:
  Writer(const std::string& folder, const std::string& party) : party_(party), log_(open(folder + "/" + log_file(party))) {}
  void write(const Event& event) { REQUIRE(log_.append(event, at(1700000000 + 10 * ++time_)).ok()); }
  SignedHead head(const crypto::SigningKey& key) const { return sign_head(log_.image(), party_, key); }
  EventLog& log() { return log_; }

 private:
  static EventLog open(const std::string& path) {
    REQUIRE(make_folder(std::filesystem::path(path).parent_path().string()).ok());
    return std::move(EventLog::open(path)).value();
  }
  std::string party_;
  EventLog log_;
  std::int64_t time_ = 0;
};

// The run as it goes on: what the next entries depend on.
class Play {
 public:
  Play(const std::string& path, const Scenario& scenario)
      : scenario_(scenario),
        path_(path),
        plan_(plan_of(scenario)),
        roster_(roster_of(scenario)),
        coordinator_(path, kCoordinatorParty) {
    for (const auto& site : roster_.sites) sites_.push_back(std::make_unique<Writer>(path, site.name));
  }

  void whole_run() {
    create();
    for (std::uint32_t r = 0; r < plan_.rounds; ++r) round(RoundId(r));
    coordinator_.write(RunFinished{plan_.run, adapter_});
    for (std::size_t i = 0; i < sites_.size() && plan_.canaries > 0; ++i)
      sites_[i]->write(measured_at(scenario_, i, adapter_));
    for (auto& site : sites_) site->write(RunFinished{plan_.run, adapter_});
    for (std::size_t i = 0; i < sites_.size(); ++i) coordinator_.write(HeadSeen{encode(head_of(i))});
    for (std::size_t i = 0; i < sites_.size(); ++i) REQUIRE(write_head(path_, head_of(i)).ok());
    REQUIRE(write_head(path_, coordinator_.head(key_of(scenario_, kCoordinatorParty))).ok());
    REQUIRE(write_run_files(path_, plan_, roster_).ok());
  }

 private:
  SignedHead head_of(std::size_t i) const { return sites_[i]->head(key_of(scenario_, roster_.sites[i].name)); }

  void create() {
    coordinator_.write(CoordinatorCreated{roster_.coordinator, digest_of("coordinator salt")});
    for (std::size_t i = 0; i < sites_.size(); ++i) {
      const auto& s = roster_.sites[i];
      coordinator_.write(SiteEnrolled{s.name, s.identity, s.transport, s.declared_size});
      sites_[i]->write(SiteCreated{s.name, s.identity, digest_of(scenario_.run + s.name)});
    }
    coordinator_.write(RunSubmitted{plan_.run, plan_hash(plan_), roster_hash(roster_), encode(plan_), encode(roster_)});
    coordinator_.write(ProgramRan{plan_.run, "0.1.0", digest_of("sotto-coordinator")});
    for (auto& site : sites_) {
      site->write(ProgramRan{plan_.run, "0.1.0", digest_of("sotto-client")});
      site->write(BudgetBound{plan_.run, kDefaultBudget, "patient", 10, plan_.delta});
      site->write(RunApproved{plan_.run, plan_hash(plan_), roster_hash(roster_), encode(plan_), encode(roster_)});
    }
  }

  void spend(std::size_t i, RoundId round) {
    const auto planned = *plan::planned_round(plan_, plan_.sites[i], kDimension);
    auto taken = planned;
    if (scenario_.change_taken && i == 1) scenario_.change_taken(taken);
    sites_[i]->write(Reserved{plan_.run, round, planned});
    sites_[i]->write(Committed{plan_.run, round, taken});
  }

  void round(RoundId r) {
    const AttemptId a(1);
    const RunId& run = plan_.run;
    coordinator_.write(AttemptOpened{run, r, a});
    const SignedHead head = coordinator_.head(key_of(scenario_, kCoordinatorParty));
    RoundDescriptor d = describe(plan_, roster_);
    d.round = r;
    d.attempt = a;
    d.plan = plan_hash(plan_);
    d.roster = roster_hash(roster_);
    d.adapter = adapter_;
    d.layout = digest_of("layout");
    d.transcript = digest_of("transcript" + std::to_string(r.value()));
    d.coordinator_head = head_hash(head);
    coordinator_.write(RoundOpened{run, r, a, encode(d)});
    std::vector<CohortMember> u1;
    for (std::uint32_t i = 0; i < 3; ++i) u1.push_back({SiteIndex(i), body("keys", r, i), body("hashes", r, i)});
    for (std::uint32_t i = 0; i < 3; ++i) {
      sites_[i]->write(HeadSeen{encode(head)});
      sites_[i]->write(RoundJoined{run, r, a, encode(d)});
      sites_[i]->write(KeysSent{run, r, a, body("keys", r, i)});
      sites_[i]->write(SharesSent{run, r, a, body("shares", r, i)});
      coordinator_.write(SiteKeys{run, r, a, SiteIndex(i), body("keys", r, i)});
      coordinator_.write(SiteShares{run, r, a, SiteIndex(i), body("shares", r, i)});
      spend(i, r);
    }
    agree(d, u1);
  }

  // REPORT to RESULT among the sites that did not drop out.
  void agree(const RoundDescriptor& d, const std::vector<CohortMember>& u1) {
    const RunId& run = plan_.run;
    std::vector<SiteIndex> u3;
    for (std::uint32_t i = 0; i < 3; ++i) {
      if (scenario_.dropped != i || d.round.value() + 1 != plan_.rounds) u3.push_back(SiteIndex(i));
    }
    const Digest h1 = u1_hash(u1);
    const Digest h3 = u3_hash(u3);
    for (const SiteIndex i : u3) {
      const Digest y = body("y", d.round, i.value());
      sites_[i.value()]->write(ReportSent{run, d.round, d.attempt, context_of(d), h1, y});
      coordinator_.write(
          ReportReceived{run, d.round, d.attempt, i, h1, y, signed_by(i, report_statement(d, name(i), h1, y))});
    }
    coordinator_.write(Survivors{run, d.round, d.attempt, u1, u3});
    for (const SiteIndex i : u3) {
      sites_[i.value()]->write(ConfirmSigned{run, d.round, d.attempt, context_of(d), h1, h3, u3});
      coordinator_.write(
          ConfirmReceived{run, d.round, d.attempt, i, h1, h3, signed_by(i, confirm_statement(d, name(i), h1, h3))});
      sites_[i.value()]->write(UnmaskAnswered{run, d.round, d.attempt, body("unmask", d.round, i.value())});
    }
    adapter_ = body("adapter", d.round, 0);
    const Digest sum = body("sum", d.round, 0);
    coordinator_.write(RoundResult{run, d.round, d.attempt, u3, sum, adapter_});
    for (auto& site : sites_) site->write(ResultAccepted{run, d.round, d.attempt, sum, adapter_});
    for (std::size_t i = 0; i < sites_.size(); ++i) coordinator_.write(HeadSeen{encode(head_of(i))});
  }

  const std::string& name(SiteIndex i) const { return roster_.sites[i.value()].name; }
  SignatureBytes signed_by(SiteIndex i, const crypto::Statement& statement) const {
    return crypto::sign_statement(key_of(scenario_, name(i)), statement);
  }
  Digest body(const std::string& what, RoundId round, std::uint32_t site) const {
    return digest_of(scenario_.run + what + std::to_string(round.value()) + "/" + std::to_string(site));
  }

  Scenario scenario_;
  std::string path_;
  RunPlan plan_;
  Roster roster_;
  Writer coordinator_;
  std::vector<std::unique_ptr<Writer>> sites_;
  Digest adapter_ = digest_of("adapter at the start");
};

}  // namespace

TempFolder::TempFolder() {
  static std::atomic<int> count{0};
  // In memory where there is such a folder: thousands of fsyncs cost nothing there.
  const std::filesystem::path memory = "/dev/shm";
  const bool usable = ::access(memory.c_str(), W_OK) == 0;
  path_ = (usable ? memory : std::filesystem::temp_directory_path()) /
          ("sotto-audit-test-" + std::to_string(::getpid()) + "-" + std::to_string(count++));
  std::filesystem::create_directories(path_);
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempFolder::path(const std::string& name) const {
  return name.empty() ? path_.string() : (path_ / name).string();
}

Digest digest_of(const std::string& text) { return crypto::sha256(as_bytes(text)); }

Time at(std::int64_t seconds) { return Time(std::chrono::seconds(seconds)); }

privacy::DpEvent some_event(double sigma, std::uint64_t count) {
  const privacy::Grid grid(privacy::ClipNorm(0.3), kDimension);
  return privacy::planned_event(privacy::Unit::kPatient, privacy::SamplingRate(0.02), privacy::NoiseMultiplier(sigma), grid,
                                count);
}

RunPlan plan_of(const Scenario& scenario) {
  RunPlan plan;
  plan.run = RunId(scenario.run);
  plan.model = digest_of("model");
  plan.privacy = scenario.privacy;
  plan.lora.targets = {"q_proj", "v_proj"};
  plan.rounds = scenario.rounds;
  plan.local_steps = 4;
  plan.clip_norm = 0.3;
  plan.expected_batch = 24;
  plan.target_epsilon = scenario.privacy ? 8 : 0;
  plan.min_sites = 3;
  plan.canaries = scenario.canaries;
  if (scenario.dropped < 3) {
    plan.min_sites = 2;
    plan.allow_two_sites = true;
  }
  plan.colluders = scenario.dropped < 3 ? 0 : 1;
  const std::vector<std::pair<std::string, std::uint64_t>> sites = {{"north", 1400}, {"south", 1000}, {"west", 1300}};
  for (const auto& [name, size] : sites) {
    plan.sites.push_back(
        {name, size, 24.0 / static_cast<double>(size), scenario.privacy ? scenario.noise_multiplier : 0.0, 1.0});
  }
  return plan;
}

crypto::SigningKey key_of(const Scenario& scenario, const std::string& party) {
  FixedRandom random(scenario.seed * 1000 + digest_of(party)[0]);
  return crypto::SigningKey::random(random);
}

Roster roster_of(const Scenario& scenario) {
  const RunPlan plan = plan_of(scenario);
  Roster roster;
  roster.coordinator = crypto::verify_key(key_of(scenario, kCoordinatorParty)).value();
  roster.colluders = plan.colluders;
  for (const auto& site : plan.sites) {
    roster.sites.push_back({site.name, crypto::verify_key(key_of(scenario, site.name)).value(),
                            digest_of("transport " + site.name), site.declared_size});
  }
  return roster;
}

AuditMeasured measured_at(const Scenario& scenario, std::uint64_t site, const Digest& adapter) {
  FixedRandom random(100 + site);
  const auto uniform = [&] { return (static_cast<double>(random.below(1ULL << 53)) + 0.5) / 9007199254740992.0; };
  std::vector<double> scores;
  std::vector<bool> planted;
  for (std::uint32_t i = 0; i < scenario.canaries; ++i) {
    planted.push_back(random.below(2) == 1);
    const double noise =
        scenario.noise_was_off ? 0 : std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586 * uniform());
    scores.push_back((planted.back() ? 1.0 : 0.0) + noise);
  }
  const auto guessed = privacy::guess_by_rank(scores, planted, planned_guesses(scenario.canaries));
  const auto separation = privacy::separation_of(scores, planted);
  return {RunId(scenario.run),
          adapter,
          guessed.canaries,
          guessed.guesses,
          guessed.correct,
          separation.auc,
          separation.tpr_at_1_percent,
          separation.tpr_at_01_percent};
}

void write_logs(const std::string& path, const Scenario& scenario) { Play(path, scenario).whole_run(); }

}  // namespace sotto::audit
