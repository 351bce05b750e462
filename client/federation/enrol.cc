#include "client/federation/enrol.h"

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "audit/log/event_log.h"
#include "base/clock.h"
#include "client/site/data_facts.h"
#include "client/site/site_data.h"
#include "crypto/hash.h"
#include "crypto/statement.h"
#include "crypto/system_random.h"
#include "wire/codec.h"
#include "wire/messages.h"

namespace sotto::client {
namespace {

using namespace std::chrono_literals;

// Record 0 of the site's log names it, before anything else can be logged.
Result<void> begin_log(const SiteFolder& folder) {
  SOTTO_TRY(auto log, audit::EventLog::open(folder.log_path()));
  if (log.size() > 0) return {};
  crypto::SystemRandom random;
  audit::SiteCreated created{folder.site().name, folder.identity(), {}};
  random.fill(created.salt);
  SOTTO_TRY([[maybe_unused]] const auto index, log.append(created, wall_clock()));
  return {};
}

Result<SiteFolder> make_or_reopen(const JoinRequest& request, const wire::Invite& invite) {
  if (!file_exists(request.folder + "/site.json")) {
    const auto config = std::filesystem::absolute(request.config).lexically_normal().string();
    return SiteFolder::create(request.folder,
                              {invite.site.value(), static_cast<std::uint64_t>(request.declared_size), config, invite});
  }
  SOTTO_TRY(auto folder, SiteFolder::open(request.folder));
  const auto& site = folder.site();
  if (site.name != invite.site.value() || site.invite.identity != invite.identity ||
      site.declared_size != static_cast<std::uint64_t>(request.declared_size))
    return refused("'" + request.folder + "' already holds site '" + site.name + "' of " +
                   std::to_string(site.declared_size) + " units; use another folder with --dir");
  return folder;
}

Result<wire::JoinReply> ask(const SiteFolder& folder, const wire::Invite& invite) {
  SOTTO_TRY(auto link, wire::DealerLink::connect(invite.endpoint, invite.transport, folder.transport_key()));
  wire::Join message{folder.site().name,
                     Bytes(invite.token.begin(), invite.token.end()),
                     folder.identity(),
                     folder.site().declared_size,
                     {}};
  const auto transport = wire::transport_public_key(folder.transport_key());
  const crypto::Statement statement{wire::label_of(message),
                                    message.name,
                                    {},
                                    RoundId(0),
                                    AttemptId(0),
                                    {},
                                    crypto::sha256(wire::body(message, transport))};
  message.signature = crypto::sign_statement(folder.identity_key(), statement);
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (std::chrono::steady_clock::now() < deadline) {
    const auto event = link.receive(500ms);
    if (!event) continue;
    if (event->kind == wire::DealerEvent::Kind::kConnected) SOTTO_TRY_VOID(link.send(wire::encode(message), 5000ms));
    if (event->kind == wire::DealerEvent::Kind::kRefused)
      return refused("the coordinator at " + invite.endpoint + " does not let this site in: " + event->detail);
    if (event->kind == wire::DealerEvent::Kind::kOtherVersion) return refused(event->detail);
    if (event->kind != wire::DealerEvent::Kind::kMessage) continue;
    SOTTO_TRY(const auto answer, wire::decode_to_site(event->bytes));
    if (const auto* reply = std::get_if<wire::JoinReply>(&answer)) return *reply;
    if (const auto* rejected = std::get_if<wire::Rejected>(&answer)) return refused(rejected->reason);
  }
  return unavailable("no answer from the coordinator at " + invite.endpoint +
                     " within 30 s; is it running, and does the network let this site out to it?");
}

}  // namespace

Result<void> join(const JoinRequest& request) {
  SOTTO_TRY(const wire::Invite invite, wire::parse_code(request.code));
  if (request.declared_size <= 0 || !is_rounded(static_cast<std::uint64_t>(request.declared_size)))
    return invalid("--declared-size is " + std::to_string(request.declared_size) +
                   "; give a positive number of patients rounded to one or two digits (1400, not 1427): the exact count "
                   "would tell about patients");
  SOTTO_TRY(const SiteConfig config, read_site_config(request.config));
  SOTTO_TRY(const auto records, read_site_records(config, {}));
  SOTTO_TRY_VOID(check_declared_size(static_cast<std::uint64_t>(request.declared_size),
                                     training_patients(patients_of(records), config.holdout_fraction), request.yes));
  SOTTO_TRY(const SiteFolder folder, make_or_reopen(request, invite));
  SOTTO_TRY(const auto lock, folder.lock());
  SOTTO_TRY_VOID(begin_log(folder));
  SOTTO_TRY(const auto reply, ask(folder, invite));
  if (!reply.accepted) return refused("the coordinator refused: " + reply.message);
  if (request.json) {
    const auto of = [](const PublicKeyBytes& key) { return crypto::fingerprint(crypto::VerifyKey(key)); };
    std::printf("%s\n", Json::object({{"site", folder.site().name},
                                      {"folder", folder.path()},
                                      {"fingerprint", of(folder.identity())},
                                      {"coordinator", of(invite.identity)}})
                            .dump()
                            .c_str());
    return {};
  }
  std::printf("joined as '%s'; the coordinator's operator has to approve this site\n", folder.site().name.c_str());
  std::printf("  this site's fingerprint    %s\n", crypto::fingerprint(crypto::VerifyKey(folder.identity())).c_str());
  std::printf("  coordinator's fingerprint  %s\n", crypto::fingerprint(crypto::VerifyKey(invite.identity)).c_str());
  std::printf("compare both by telephone, then: sotto-client run --dir %s\n", folder.path().c_str());
  return {};
}

}  // namespace sotto::client
