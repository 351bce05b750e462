// A site's folder, mode 0700: its keys, what it pinned when it joined, its event log, and the state of a run.
//   identity.key   Ed25519 transport.key CURVE run.key what dropout and canaries are derived from (0600 each)
//   site.json      name, declared size, coordinator's address and keys, fingerprint of the configuration's model
//   log            the event log (audit/log/event_log.h); `sotto-client run` alone writes it
//   offers/RUN.*   plan and roster as the coordinator offered them      decisions/RUN   what the site's operator decided
//   state/RUN      the participant's snapshot: write-ahead, replaced in one step
//   runs/RUN/      the tuned adapter, as a PEFT folder and as canonical bytes
// Keys and state lie here unencrypted in this version (docs/threat-model.md). One thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "crypto/signature.h"
#include "plan/run_plan.h"
#include "wire/invite.h"
#include "wire/link.h"

namespace sotto::client {

using RunKey = crypto::Secret<32, struct RunKeyTag>;  // the site's secret that dropout masks and canaries come from

struct SiteIdentity {
  std::string name;
  std::uint64_t declared_size = 0;
  std::string config;   // path of site.toml
  wire::Invite invite;  // endpoint and the coordinator's keys; the token is used up
};

struct Decision {
  bool approve = false;
  Digest plan{};
  Digest roster{};
  std::string reason;  // of a refusal
};

struct Offer {
  RunPlan plan;
  Roster roster;
  Digest plan_hash{};
  Digest roster_hash{};
};

class SiteFolder {
 public:
  // Makes the folder and the keys; refused when it holds a site already.
  static Result<SiteFolder> create(const std::string& path, const SiteIdentity& site);
  static Result<SiteFolder> open(const std::string& path);

  const std::string& path() const { return path_; }
  const SiteIdentity& site() const { return site_; }
  const crypto::SigningKey& identity_key() const { return identity_; }
  const wire::TransportKey& transport_key() const { return transport_; }
  const RunKey& run_key() const { return run_key_; }
  PublicKeyBytes identity() const;

  std::string log_path() const { return path_ + "/log"; }
  Result<FileLock> lock() const;  // held by whoever talks to the coordinator as this site

  Result<void> save_offer(ByteSpan plan, ByteSpan roster) const;
  Result<Offer> offer(const RunId& run) const;
  std::vector<RunId> offers() const;

  Result<void> save_decision(const RunId& run, const Decision& decision) const;
  std::optional<Decision> decision(const RunId& run) const;

  Result<void> save_state(const RunId& run, ByteSpan snapshot) const;
  Result<std::optional<Bytes>> state(const RunId& run) const;

  std::string run_folder(const RunId& run) const { return path_ + "/runs/" + run.value(); }

 private:
  SiteFolder(std::string path, SiteIdentity site, crypto::SigningKey identity, wire::TransportKey transport, RunKey run_key);
  std::string path_;
  SiteIdentity site_;
  crypto::SigningKey identity_;
  wire::TransportKey transport_;
  RunKey run_key_;
};

}  // namespace sotto::client
