#include "coordinator/server/server.h"

#include <filesystem>
#include <new>
#include <system_error>
#include <thread>

#include "base/log.h"
#include "coordinator/folder/command_queue.h"
#include "coordinator/server/machine_limits.h"
#include "wire/codec.h"

namespace sotto::coordinator {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kPoll = 100ms;
constexpr auto kPollWhileWorking = 10ms;
constexpr auto kSpoolInterval = 200ms;
constexpr auto kGrace = 2s;
constexpr auto kWaitForMachine = 500ms;

}  // namespace

Server::Server(const CoordinatorFolder& folder, RandomSource& random, std::unique_ptr<FolderWriter> writer,
               wire::RouterLink link)
    : folder_(&folder), random_(&random), office_(std::move(writer)), link_(std::move(link)) {}

Result<Server> Server::open(const CoordinatorFolder& folder, RandomSource& random) {
  // A command that works in the folder at this moment is done in a blink.
  auto writer = FolderWriter::open(folder, random);
  for (int tries = 0; !writer.ok() && writer.error().code == ErrorCode::kRefused && tries < 15; ++tries) {
    std::this_thread::sleep_for(kSpoolInterval);
    writer = FolderWriter::open(folder, random);
  }
  if (!writer.ok()) return writer.error();
  const auto& asked = folder.addresses().limits;
  wire::LinkOptions options;
  options.connections = fitting(asked, raise_open_files(asked.connections * kDescriptorsPerConnection + kOwnDescriptors));
  if (options.connections.connections < asked.connections)
    log(Level::kWarning, "fewer_connections",
        {{"asked", asked.connections},
         {"granted", options.connections.connections},
         {"next_step", "raise the limit of open files (ulimit -n, or LimitNOFILE of the service)"}});
  SOTTO_TRY(auto link, wire::RouterLink::bind(folder.addresses().listen, folder.transport_key(), options));
  link.admit(writer.value()->registry().admission());
  SOTTO_TRY_VOID(write_file_atomically(folder.endpoint_path(), link.endpoint() + "\n", FileMode::kPrivate));
  log(Level::kInfo, "listening", {{"endpoint", link.endpoint()}, {"fingerprint", folder.fingerprint()}});
  return Server(folder, random, std::move(writer).value(), std::move(link));
}

Result<void> Server::run(const std::function<bool()>& stop) {
  office_->wait_with([&stop](const Error& error) {
    log(Level::kError, "waiting_for_machine", {{"reason", error.message}, {"next_step", "make room; nothing is lost"}});
    std::this_thread::sleep_for(kWaitForMachine);
    return !stop();
  });
  while (!stop()) {
    const auto done = guarded_step();
    if (!done.ok() && !stop()) recover(done.error(), stop);
  }
  std::error_code ignored;
  std::filesystem::remove(folder_->endpoint_path(), ignored);
  log(Level::kInfo, "stopped");
  return {};
}

Result<void> Server::step() {
  const auto wait = office_->scheduler().working() ? kPollWhileWorking : kPoll;
  const auto judge = [this](const SiteName& peer, ByteSpan first, std::uint64_t size) { return wants(peer, first, size); };
  if (const auto received = link_.receive(wait, judge)) SOTTO_TRY_VOID(take(*received));
  SOTTO_TRY_VOID(take_late_hellos());
  SOTTO_TRY_VOID(take_gone());
  SOTTO_TRY_VOID(take_spool());
  SOTTO_TRY(const auto out, office_->scheduler().tick(Clock::now()));
  send(out);
  return {};
}

// No memory and no thread are the machine's refusals, too.
Result<void> Server::guarded_step() {
  try {
    return step();
  } catch (const std::bad_alloc&) {
    return unavailable("no memory");
  } catch (const std::system_error& error) {
    return unavailable(error.what());
  }
}

// What is in memory may be ahead of what is on disk: the folder is opened anew. Meanwhile nobody is served.
void Server::recover(const Error& error, const std::function<bool()>& stop) {
  log(Level::kError, "folder_error", {{"reason", error.message}, {"next_step", "the folder is opened anew"}});
  auto patience = office_->patience();
  office_.reset();
  while (!stop()) {
    const auto until = Clock::now() + kWaitForMachine;
    while (Clock::now() < until && !stop()) static_cast<void>(link_.receive(kPoll));
    auto writer = FolderWriter::open(*folder_, *random_);
    if (!writer.ok()) {
      say("folder_error", "", writer.error().message);
      continue;
    }
    office_ = std::move(writer).value();
    office_->wait_with(std::move(patience));
    link_.admit(office_->registry().admission());
    link_.drop_connections();
    gone_since_.clear();
    late_hellos_.clear();
    log(Level::kInfo, "folder_opened_anew");
    return;
  }
}

// Writes to the running log, unless much like it was written already.
void Server::say(const char* event, const std::string& site, const std::string& reason) {
  const auto answer = sampler_.ask(event + (" " + site), Clock::now());
  if (!answer.write) return;
  if (answer.left_out == 0)
    log(Level::kWarning, event, {{"site", site}, {"reason", reason}});
  else
    log(Level::kWarning, event, {{"site", site}, {"reason", reason}, {"left_out_before", answer.left_out}});
}

// Told by the first chunk, before memory is taken: what kind it is and how large it is to be.
bool Server::wants(const SiteName& peer, ByteSpan first_bytes, std::uint64_t size) {
  const Site* site = office_ ? office_->registry().find(peer) : nullptr;
  const bool wanted = site && office_->scheduler().wants(*site, wire::peek_to_coordinator(first_bytes, size));
  if (wanted) return true;
  say("message_not_wanted", peer.value(), std::to_string(size) + " bytes");
  send({{{peer},
         wire::Rejected{"not_wanted", "a message of " + std::to_string(size) +
                                          " bytes is not expected of this site now, or is not of the size that "
                                          "the run's layout gives"}}});
  return false;
}

void Server::refuse_version(const wire::Received& received) {
  const auto who = received.peer ? "site '" + received.peer->value() + "'" : std::string("a joining site");
  const std::string reason = wire::version_mismatch(who, received.other_version, "sotto-client there", "sotto-coordinator");
  say("other_version", who, reason);
  if (!versions_.take(to_hex(received.transport), Clock::now())) return;
  const auto sent = link_.reply_in_version(received, wire::encode(wire::ToSite(wire::Rejected{"protocol_version", reason})));
  if (!sent.ok()) log(Level::kDebug, "not_sent", {{"reason", sent.error().message}});
}

Result<void> Server::take(const wire::Received& received) {
  const auto now = Clock::now();
  if (received.other_version != 0) {
    refuse_version(received);
    return {};
  }
  const std::string who = received.peer ? received.peer->value() : "?";
  const Site* site = received.peer ? office_->registry().find(*received.peer) : nullptr;
  SOTTO_CHECK(!received.peer || site != nullptr);
  if (site && !(site->state == SiteState::kApproved ? messages_ : unapproved_).take(who, now)) {
    say("too_many_messages", who, "dropped");
    return {};
  }
  const auto message = wire::decode_to_coordinator(received.bytes);
  if (!message.ok()) {
    say("bad_message", who, message.error().message);
    if (received.peer) send({{{*received.peer}, wire::Rejected{"bad_message", message.error().message}}});
    return {};
  }
  if (const auto* join = std::get_if<wire::Join>(&*message)) return take_join(received, *join);
  if (!received.peer) return {};  // nothing but a Join is taken from strangers
  if (link_.connected(*received.peer)) gone_since_.erase(*received.peer);
  const bool hello = std::holds_alternative<wire::Hello>(*message);
  if ((hello || std::holds_alternative<wire::FetchRun>(*message)) && !hellos_.take(who, now)) {
    say("too_many_hellos", who, hello ? "answered later" : "dropped");
    if (hello) late_hellos_.insert_or_assign(site->name, *message);
    return {};
  }
  if (std::holds_alternative<wire::SiteRecord>(*message) && !records_.take(who, now)) {
    say("too_many_records", who, "dropped");
    return {};
  }
  office_->scheduler().count(received.bytes.size(), 0);
  log(Level::kDebug, "received",
      {{"site", site->name.value()}, {"message", wire::name_of(*message)}, {"bytes", received.bytes.size()}});
  return take(*site, *message);
}

Result<void> Server::take(const Site& site, const wire::ToCoordinator& message) {
  SOTTO_TRY(const auto out, office_->scheduler().on(site, message, Clock::now()));
  send(out);
  return {};
}

Result<void> Server::take_late_hellos() {
  const auto now = Clock::now();
  for (auto late = late_hellos_.begin(); late != late_hellos_.end();) {
    const Site* site = office_->registry().find(late->first);
    if (site && !hellos_.take(late->first.value(), now)) {
      ++late;
      continue;
    }
    const wire::ToCoordinator message = std::move(late->second);
    late = late_hellos_.erase(late);
    if (site) SOTTO_TRY_VOID(take(*site, message));
  }
  return {};
}

// Every refusal has one answer, so that a stranger does not learn which names there are; the running log has the reason.
Result<void> Server::take_join(const wire::Received& received, const wire::Join& join) {
  if (!received.peer && !strangers_.take("", Clock::now())) {
    say("too_many_joins", "", "dropped");
    return {};
  }
  const auto joined = office_->registry().join(join, received.transport);
  if (joined.ok()) {
    log(Level::kInfo, "site_joined",
        {{"site", join.name}, {"next_step", "compare fingerprints, then: sotto-coordinator approve " + join.name}});
    link_.admit(office_->registry().admission());
  } else {
    if (joined.error().code == ErrorCode::kUnavailable) return joined.error();
    say("join_refused", "", "'" + join.name + "': " + joined.error().message);
  }
  const wire::JoinReply reply{joined.ok(), joined.ok() ? "wait for the coordinator's operator to approve this site"
                                                       : "there is no open invite with this name and code, or this site "
                                                         "joined with other keys; ask the operator for a new invite"};
  const auto sent = link_.reply(received.transport, wire::encode(wire::ToSite(reply)));
  if (!sent.ok()) log(Level::kDebug, "not_sent", {{"reason", sent.error().message}});
  return {};
}

Result<void> Server::take_gone() {
  const auto now = Clock::now();
  for (const auto& site : link_.take_gone()) {
    log(Level::kInfo, "site_gone", {{"site", site.value()}});
    gone_since_.emplace(site, now);
  }
  for (auto it = gone_since_.begin(); it != gone_since_.end();) {
    if (now - it->second < kGrace) {
      ++it;
      continue;
    }
    SOTTO_TRY(const auto out, office_->scheduler().gone(it->first, now));
    send(out);
    it = gone_since_.erase(it);
  }
  return {};
}

Result<void> Server::take_spool() {
  const auto now = Clock::now();
  if (now - spool_read_ < kSpoolInterval) return {};
  spool_read_ = now;
  const auto requests = take_requests(folder_->spool_path());
  if (!requests.ok()) {
    say("commands_not_read", "", requests.error().message);
    return {};  // they wait there
  }
  for (const auto& request : *requests) {
    auto answer = office_->execute(request.json);
    SOTTO_TRY_VOID(answer_request(folder_->spool_path(), request.id,
                                  answer.ok() ? Result<Json>(answer->json) : Result<Json>(answer.error())));
    link_.admit(office_->registry().admission());
    if (!answer.ok()) continue;
    if (answer->shut_out) gone_since_[*answer->shut_out] = now - kGrace;
    send(answer->out);
  }
  return {};
}

// What cannot be sent now is asked for again by the site's next Hello.
void Server::send(const Outbox& out) {
  for (const auto& outgoing : out) {
    const wire::OutgoingMessage message(wire::encode(outgoing.message));
    for (const auto& site : outgoing.to) {
      const auto sent = link_.send(site, message);
      if (sent.ok()) office_->scheduler().count(0, message.bytes().size());
      log(Level::kDebug, sent.ok() ? "sent" : "not_sent",
          {{"site", site.value()}, {"message", wire::name_of(outgoing.message)}, {"bytes", message.bytes().size()}});
    }
  }
}

}  // namespace sotto::coordinator
