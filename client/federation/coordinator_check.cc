#include "client/federation/coordinator_check.h"

#include <chrono>

#include "audit/log/event_log.h"
#include "audit/log/signed_head.h"
#include "base/version.h"
#include "wire/codec.h"
#include "wire/messages.h"

namespace sotto::client {
namespace {

using namespace std::chrono_literals;

Error not_let_in(const SiteFolder& folder, const std::string& why) {
  return refused("the coordinator at " + folder.site().invite.endpoint + " does not let this site in: " + why +
                 "; ask its operator whether this site was approved ('sotto-coordinator sites') or revoked");
}

}  // namespace

Result<std::string> ask_coordinator(const SiteFolder& folder) {
  const auto lock = folder.lock();
  if (!lock.ok()) return std::string("not asked: 'sotto-client run' holds this folder; its own messages tell");
  SOTTO_TRY(const auto log, audit::EventLog::open(folder.log_path()));
  const auto& invite = folder.site().invite;
  SOTTO_TRY(auto link, wire::DealerLink::connect(invite.endpoint, invite.transport, folder.transport_key()));
  const wire::Hello hello{folder.site().name, std::string(version()),
                          audit::encode(audit::sign_head(log.image(), folder.site().name, folder.identity_key()))};
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (std::chrono::steady_clock::now() < deadline) {
    const auto event = link.receive(200ms);
    if (!event) continue;
    if (event->kind == wire::DealerEvent::Kind::kConnected)
      SOTTO_TRY_VOID(link.send(wire::encode(wire::ToCoordinator(hello)), 5000ms));
    if (event->kind == wire::DealerEvent::Kind::kRefused) return not_let_in(folder, event->detail);
    if (event->kind != wire::DealerEvent::Kind::kMessage) continue;
    SOTTO_TRY(const auto answer, wire::decode_to_site(event->bytes));
    if (std::holds_alternative<wire::Welcome>(answer)) return "lets this site in, at " + invite.endpoint;
    if (const auto* rejected = std::get_if<wire::Rejected>(&answer)) return not_let_in(folder, rejected->reason);
  }
  return unavailable("nobody lets this site in at " + invite.endpoint +
                     " within 10 s: is 'sotto-coordinator serve' running, is this site approved there and not revoked, and "
                     "does the network let this site out to it?");
}

}  // namespace sotto::client
