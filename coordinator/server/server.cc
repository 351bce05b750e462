#include "coordinator/server/server.h"

#include <filesystem>
#include <thread>

#include "base/log.h"
#include "coordinator/folder/command_queue.h"
#include "wire/codec.h"

namespace sotto::coordinator {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kPoll = 100ms;
constexpr auto kPollWhileWorking = 10ms;
constexpr auto kSpoolInterval = 200ms;
constexpr auto kGrace = 2s;

}  // namespace

Server::Server(const CoordinatorFolder& folder, std::unique_ptr<FolderWriter> writer, wire::RouterLink link)
    : folder_(&folder), office_(std::move(writer)), link_(std::move(link)) {}

Result<Server> Server::open(const CoordinatorFolder& folder, RandomSource& random) {
  // A command that works in the folder at this moment is done in a blink.
  auto writer = FolderWriter::open(folder, random);
  for (int tries = 0; !writer.ok() && writer.error().code == ErrorCode::kRefused && tries < 15; ++tries) {
    std::this_thread::sleep_for(kSpoolInterval);
    writer = FolderWriter::open(folder, random);
  }
  if (!writer.ok()) return writer.error();
  SOTTO_TRY(auto link, wire::RouterLink::bind(folder.addresses().listen, folder.transport_key()));
  link.admit(writer.value()->registry().admission());
  SOTTO_TRY_VOID(write_file_atomically(folder.endpoint_path(), link.endpoint() + "\n", FileMode::kPrivate));
  log(Level::kInfo, "listening", {{"endpoint", link.endpoint()}, {"fingerprint", folder.fingerprint()}});
  return Server(folder, std::move(writer).value(), std::move(link));
}

Result<void> Server::run(const std::function<bool()>& stop) {
  while (!stop()) {
    if (const auto received = link_.receive(office_->scheduler().working() ? kPollWhileWorking : kPoll))
      SOTTO_TRY_VOID(take(*received));
    SOTTO_TRY_VOID(take_gone());
    SOTTO_TRY_VOID(take_spool());
    SOTTO_TRY(const auto out, office_->scheduler().tick(Clock::now()));
    send(out);
  }
  std::error_code ignored;
  std::filesystem::remove(folder_->endpoint_path(), ignored);
  log(Level::kInfo, "stopped");
  return {};
}

Result<void> Server::take(const wire::Received& received) {
  const auto message = wire::decode_to_coordinator(received.bytes);
  if (!message.ok()) {
    log(Level::kWarning, "bad_message",
        {{"site", received.peer ? received.peer->value() : "?"}, {"reason", message.error().message}});
    if (received.peer) send({{{*received.peer}, wire::Rejected{"bad_message", message.error().message}}});
    return {};
  }
  if (const auto* join = std::get_if<wire::Join>(&*message)) return take_join(received, *join);
  if (!received.peer) return {};  // nothing but a Join is taken from strangers
  if (link_.connected(*received.peer)) gone_since_.erase(*received.peer);
  const Site* site = office_->registry().find(*received.peer);
  SOTTO_CHECK(site != nullptr);
  office_->scheduler().count(received.bytes.size(), 0);
  log(Level::kDebug, "received",
      {{"site", site->name.value()}, {"message", wire::name_of(*message)}, {"bytes", received.bytes.size()}});
  SOTTO_TRY(const auto out, office_->scheduler().on(*site, *message, Clock::now()));
  send(out);
  return {};
}

Result<void> Server::take_join(const wire::Received& received, const wire::Join& join) {
  const auto joined = office_->registry().join(join, received.transport);
  if (joined.ok()) {
    log(Level::kInfo, "site_joined",
        {{"site", join.name}, {"next_step", "compare fingerprints, then: sotto-coordinator approve " + join.name}});
    link_.admit(office_->registry().admission());
  } else {
    log(Level::kWarning, "join_refused", {{"site", join.name}, {"reason", joined.error().message}});
  }
  const wire::JoinReply reply{
      joined.ok(), joined.ok() ? "wait for the coordinator's operator to approve this site" : joined.error().message};
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
  SOTTO_TRY(const auto requests, take_requests(folder_->spool_path()));
  for (const auto& request : requests) {
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
    const Bytes bytes = wire::encode(outgoing.message);
    for (const auto& site : outgoing.to) {
      const auto sent = link_.send(site, bytes);
      if (sent.ok()) office_->scheduler().count(0, bytes.size());
      log(Level::kDebug, sent.ok() ? "sent" : "not_sent",
          {{"site", site.value()}, {"message", wire::name_of(outgoing.message)}, {"bytes", bytes.size()}});
    }
  }
}

}  // namespace sotto::coordinator
