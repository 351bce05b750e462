// A coordinator over loopback, with sites that are real but for model and data.
#include "coordinator/server/server.h"

#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <thread>

#include "audit/run/run_folder.h"
#include "coordinator/folder/command_queue.h"
#include "coordinator/runs/proposal.h"
#include "crypto/hash.h"
#include "crypto/statement.h"
#include "tests/coordinator/server/fake_site.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::coordinator {
namespace {

using namespace std::chrono_literals;

const AdapterLayout kLayout{
    {{"model.layers.0.self_attn.q_proj", 6, 9, 3, 0.5}, {"model.layers.1.self_attn.v_proj", 5, 4, 2, 0.5}}};

class Federation {
 public:
  explicit Federation(std::size_t sites) {
    auto link = wire::RouterLink::bind("tcp://127.0.0.1:0", wire::TransportKey::random(random_));
    Addresses addresses;
    addresses.listen = link->endpoint();
    link = unavailable("closed");  // frees the port
    folder_.emplace(CoordinatorFolder::create(files_.file("coordinator"), addresses, random_).value());
    start();
    for (std::size_t i = 0; i < sites; ++i)
      sites_.push_back(std::make_unique<FakeSite>(files_.path(), "site-" + std::to_string(i), 100 + i, kLayout));
  }
  ~Federation() { stop(); }

  void start() {
    stopping_ = false;
    server_ = std::thread([this] {
      crypto_random_.emplace(7);
      auto server = Server::open(*folder_, *crypto_random_);
      if (!server.ok()) {
        failure_ = server.error().message;
        return;
      }
      if (const auto done = server->run([this] { return stopping_.load(); }); !done.ok()) failure_ = done.error().message;
    });
  }
  void stop() {
    stopping_ = true;
    if (server_.joinable()) server_.join();
  }
  Json ask(const Json& request) {
    const auto answer = try_ask(request);
    if (!answer.ok()) FAIL(answer.error().message);
    return *answer;
  }
  Result<Json> try_ask(const Json& request) { return ask_server(folder_->spool_path(), request, random_, 20s); }

  void enrol() {
    for (auto& site : sites_) {
      const auto answer = ask(Json::object({{"command", "invite"}, {"site", site->name()}}));
      site->join(wire::parse_code(*answer.get_string("code")).value(), 1000);
      until([&] { return site->joined.has_value() && site->welcome.has_value(); });
      REQUIRE(site->joined->accepted);
      ask(Json::object({{"command", "approve"}, {"site", site->name()}}));
    }
  }
  Result<Json> submit(const std::string& run, std::uint32_t rounds, std::uint32_t deadline_s = 20) {
    plan::PlanFile file;
    file.path = "test";
    file.plan.run = RunId(run);
    file.plan.lora.targets = {"q_proj", "v_proj"};
    file.plan.rounds = rounds;
    file.plan.privacy = false;
    file.plan.expected_batch = 10;
    file.plan.phase_deadline_s = deadline_s;
    const auto proposal = propose(file, SiteList::open(folder_->registry_path())->approved(), folder_->identity());
    REQUIRE(proposal.ok());
    return try_ask(Json::object(
        {{"command", "submit"}, {"plan", to_hex(encode(proposal->plan))}, {"roster", to_hex(encode(proposal->roster))}}));
  }
  template <class Condition>
  void until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (!condition()) {
      if (!failure_.empty()) FAIL(failure_);
      REQUIRE(std::chrono::steady_clock::now() < end);
      for (auto& site : sites_) site->step();
    }
  }
  store::RunRow row(const std::string& run) const {
    return store::RunIndex::open_read_only(folder_->index_path())->run(run).value();
  }
  bool recorded(const std::string& run) const {
    return std::ranges::all_of(sites_, [&](const auto& s) { return RunFiles(*folder_, RunId(run)).has_record(s->name()); });
  }
  // Every site accepted the same adapter, and it is the one that the coordinator kept.
  void check_adapters(const std::string& run) const {
    const auto kept = decode_adapter(read_binary_file(folder_->run_path(RunId(run)) + "/adapter/adapter.bin").value());
    REQUIRE(kept.ok());
    for (const auto& site : sites_) {
      CHECK(site->trouble.empty());
      REQUIRE(site->adapter);
      CHECK(*site->adapter == *kept);
    }
  }

  TemporaryFolder files_;
  FixedRandom random_{1};
  std::optional<FixedRandom> crypto_random_;
  std::optional<CoordinatorFolder> folder_;
  std::vector<std::unique_ptr<FakeSite>> sites_;
  std::thread server_;
  std::atomic<bool> stopping_{false};
  std::string failure_;
};

TEST_CASE("a run goes from invites to a record that every party signed", "[coordinator][server]") {
  Federation f(3);
  f.enrol();
  REQUIRE(f.submit("first", 2).ok());
  f.until([&] { return f.recorded("first"); });
  f.check_adapters("first");
  for (const auto& site : f.sites_) CHECK(site->rounds_seen == 2);
  for (const auto& site : f.sites_) {
    REQUIRE(site->finished);
    const auto& end = *site->finished;
    CHECK(end.rounds == 2);
    CHECK_FALSE(end.stopped);
    const auto history = f.row("first");
    CHECK(to_hex(end.adapter) == history.adapter);
    const Digest roster = crypto::sha256(read_binary_file(f.folder_->run_path(RunId("first")) + "/roster").value());
    const crypto::Statement said{wire::label_of(end),
                                 wire::kCoordinatorName,
                                 end.run,
                                 RoundId(2),
                                 AttemptId(0),
                                 roster,
                                 crypto::sha256(wire::body(end))};
    CHECK(crypto::verify_statement(crypto::VerifyKey(f.folder_->identity()), said, end.signature).ok());
  }

  const auto row = f.row("first");
  CHECK(row.state == "finished");
  CHECK(row.rounds_done == 2);
  CHECK(row.rounds_void == 0);
  CHECK(row.bytes_up > 0);
  CHECK(row.bytes_down > row.bytes_up);
  const auto rounds = store::RunIndex::open_read_only(f.folder_->index_path())->rounds("first");
  REQUIRE(rounds->size() == 2);
  CHECK(rounds->at(0).survivors == "site-0 site-1 site-2");
  CHECK(rounds->at(1).adapter == row.adapter);

  f.stop();
  const auto folder = audit::read_run_folder(f.folder_->run_path(RunId("first")));
  REQUIRE(folder.ok());
  CHECK_FALSE(folder->coordinator.damage);
  REQUIRE(folder->coordinator.head);
  CHECK(folder->coordinator.head->size == folder->coordinator.size());
  REQUIRE(folder->sites.size() == 3);
  for (const auto& site : folder->sites) {
    CHECK_FALSE(site.damage);
    REQUIRE(site.head);
    CHECK(audit::check_prefix(*site.head, site.image).ok());
  }
  CHECK(std::filesystem::status(f.folder_->path()).permissions() == std::filesystem::perms::owner_all);
}

TEST_CASE("the sum that the coordinator publishes is the sum of what the sites put in", "[coordinator][server]") {
  Federation f(4);
  f.enrol();
  REQUIRE(f.submit("sum", 1).ok());
  f.until([&] { return f.recorded("sum"); });
  const auto outcome = RunFiles(*f.folder_, RunId("sum")).outcome(RoundId(0));
  REQUIRE(outcome.ok());
  const auto& result = std::get<wire::RoundResult>(*outcome);
  const std::size_t size = kLayout.trained_size(TrainedPart::kB);
  std::vector<std::uint32_t> expected(size);
  for (const auto survivor : result.survivors)
    for (std::size_t k = 0; k < size; ++k)
      expected[k] = (expected[k] + f.sites_[survivor.value()]->updates.at(0)[k]) & 0xffffff;
  // 24 bits a coordinate, little-endian.
  REQUIRE(result.sum.size() == size * 3);
  for (std::size_t k = 0; k < size; ++k) {
    const std::uint32_t got = result.sum[3 * k] | result.sum[3 * k + 1] << 8 | result.sum[3 * k + 2] << 16;
    CHECK(got == expected[k]);
  }
}

TEST_CASE("a coordinator that is stopped in the middle goes on where it was", "[coordinator][server]") {
  Federation f(3);
  f.enrol();
  REQUIRE(f.submit("long", 6).ok());
  f.until([&] { return f.sites_[0]->rounds_seen >= 2; });
  f.stop();
  f.start();
  f.until([&] { return f.recorded("long"); });
  f.check_adapters("long");
  const auto row = f.row("long");
  CHECK(row.state == "finished");
  CHECK(row.rounds_done == 6);
}

TEST_CASE("a site that goes away is not waited for, and catches up when it is back", "[coordinator][server]") {
  Federation f(4);
  f.enrol();
  REQUIRE(f.submit("three", 4).ok());
  f.until([&] { return f.sites_[3]->rounds_seen >= 1; });
  f.sites_[3]->disconnect();
  f.until([&] { return f.sites_[0]->rounds_seen >= 3; });
  f.sites_[3]->connect();
  f.until([&] { return f.recorded("three"); });
  f.check_adapters("three");
  CHECK(f.row("three").rounds_void == 0);
}

TEST_CASE("two runs are carried out one after the other", "[coordinator][server]") {
  Federation f(3);
  f.enrol();
  REQUIRE(f.submit("one", 1).ok());
  f.until([&] { return f.recorded("one"); });
  REQUIRE(f.submit("two", 1).ok());
  f.until([&] { return f.recorded("two"); });
  CHECK(f.row("two").state == "finished");
  const auto again = f.submit("two", 1);
  REQUIRE_FALSE(again.ok());
  CHECK(again.error().message.find("another name") != std::string::npos);
}

TEST_CASE("one site's refusal keeps a run from starting, in its own words", "[coordinator][server]") {
  Federation f(3);
  f.enrol();
  f.sites_[1]->refuse = true;
  REQUIRE(f.submit("no", 1).ok());
  f.until([&] { return f.row("no").state == "refused"; });
  CHECK(f.row("no").detail == "site 'site-1' refused: the limit of this site is lower");
  // Another run that it does not refuse is not held up.
  f.sites_[1]->refuse = false;
  REQUIRE(f.submit("yes", 1).ok());
  f.until([&] { return f.recorded("yes"); });
  f.ask(Json::object({{"command", "stop"}, {"run", "no"}}));
  CHECK(f.row("no").state == "stopped");
}

TEST_CASE("a run is stopped between its rounds, and its sites are told", "[coordinator][server]") {
  Federation f(3);
  f.enrol();
  REQUIRE(f.submit("endless", 1000).ok());
  f.until([&] { return f.sites_[0]->rounds_seen >= 1; });
  f.ask(Json::object({{"command", "stop"}, {"run", "endless"}}));
  f.until([&] { return f.recorded("endless"); });
  const auto row = f.row("endless");
  CHECK(row.state == "stopped");
  CHECK(row.rounds_done < 1000);
  f.check_adapters("endless");
  CHECK_FALSE(f.try_ask(Json::object({{"command", "stop"}, {"run", "endless"}})).ok());
  CHECK(f.try_ask(Json::object({{"command", "stop"}, {"run", "nope"}})).error().code == ErrorCode::kNotFound);
}

// The process may open no more files than it has open, and a few.
class FewFiles {
 public:
  explicit FewFiles(rlim_t most) {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const rlimit few{std::min(most, before_.rlim_max), before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  }
  ~FewFiles() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

std::size_t open_files() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

TEST_CASE("a coordinator that gets no more descriptors waits, and goes on when there are some", "[coordinator][server]") {
  Federation f(3);
  f.enrol();
  REQUIRE(f.submit("long", 6).ok());
  f.until([&] { return f.sites_[0]->rounds_seen >= 1; });
  {
    const FewFiles few(open_files() - 1);
    std::this_thread::sleep_for(1500ms);
  }
  f.until([&] { return f.recorded("long"); });
  f.check_adapters("long");
  CHECK(f.row("long").rounds_done == 6);
}

TEST_CASE("a full disk is waited out: the log stays whole, and the run goes on when there is space",
          "[coordinator][server]") {
  Federation f(3);
  f.enrol();
  REQUIRE(f.submit("full", 6).ok());
  f.until([&] { return f.sites_[0]->rounds_seen >= 1; });
  // Files cannot grow beyond the size that the log has now: a write fails, as on a full disk.
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{std::filesystem::file_size(f.folder_->log_path()) + 100, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto end = std::chrono::steady_clock::now() + 1500ms;
  while (std::chrono::steady_clock::now() < end)
    for (auto& site : f.sites_) site->step();
  CHECK(std::filesystem::file_size(f.folder_->log_path()) <= small.rlim_cur);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, old_handler);
  f.until([&] { return f.recorded("full"); });
  f.check_adapters("full");
  const auto row = f.row("full");
  CHECK(row.rounds_done == 6);
  CHECK(row.rounds_void == 0);
  f.stop();
  CHECK(audit::read_log(f.folder_->log_path()).ok());
}

TEST_CASE("a site that says hello with ever newer heads does not make the log grow", "[coordinator][server]") {
  Federation f(2);
  f.enrol();
  const auto size = std::filesystem::file_size(f.folder_->log_path());
  for (int i = 0; i < 60; ++i) f.sites_[0]->say_hello_with_newer_head();
  for (int i = 0; i < 40; ++i) f.sites_[0]->step();
  f.ask(Json::object({{"command", "invite"}, {"site", "other"}}));  // all that came before is handled
  CHECK(std::filesystem::file_size(f.folder_->log_path()) == size);
  CHECK(std::filesystem::file_size(f.folder_->head_path(SiteName("site-0"))) < 4096);
}

TEST_CASE("once a run has begun, no site changes the layout that it approved", "[coordinator][server]") {
  Federation f(3);
  f.enrol();
  REQUIRE(f.submit("fixed", 4).ok());
  f.until([&] { return f.sites_[0]->rounds_seen >= 1; });
  AdapterLayout other = kLayout;
  other.modules.pop_back();
  f.sites_[1]->approve_again_with(other);
  f.until([&] { return !f.sites_[1]->rejected.empty(); });
  CHECK(f.sites_[1]->rejected.back().code == "layout_stands");
  f.stop();
  f.start();
  f.until([&] { return f.recorded("fixed"); });
  CHECK(f.row("fixed").rounds_done == 4);
}

TEST_CASE("a site without approval gets no run, and one that was revoked no connection", "[coordinator][server]") {
  Federation f(2);
  const auto answer = f.ask(Json::object({{"command", "invite"}, {"site", "site-0"}}));
  f.sites_[0]->join(wire::parse_code(*answer.get_string("code")).value(), 1000);
  f.until([&] { return f.sites_[0]->welcome.has_value(); });
  // The same code does not work for another site.
  f.sites_[1]->join(wire::parse_code(*answer.get_string("code")).value(), 1000);
  for (int i = 0; i < 40; ++i) f.sites_[1]->step();
  CHECK_FALSE(f.sites_[1]->joined);
  f.ask(Json::object({{"command", "revoke"}, {"site", "site-0"}}));
  f.sites_[0]->welcome.reset();
  f.sites_[0]->disconnect();
  f.sites_[0]->connect();
  for (int i = 0; i < 100; ++i) f.sites_[0]->step();
  CHECK_FALSE(f.sites_[0]->welcome);
}

}  // namespace
}  // namespace sotto::coordinator
