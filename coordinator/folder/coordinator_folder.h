// The coordinator's folder, mode 0700: its keys, its event log and what it keeps of each run.
//   coordinator.json   addresses               identity.key Ed25519, transport.key CURVE   (0600 each)
//   registry.json      sites and invites       log          the event log (audit/log/event_log.h)
//   index.sqlite       what read-only commands read while `serve` runs; rebuilt from the log
//   spool/             commands for a running `serve`        lock   held by whoever writes here
//   heads/SITE         the newest signed head that a site showed outside the steps of a run
//   runs/RUN/          the folder that `sotto-audit verify` takes (audit/run/run_folder.h), and beside it adapter/ and
//                      state/
// Keys lie here unencrypted in this version (docs/threat-model.md). Values; one thread.
#pragma once

#include <string>

#include "base/files.h"
#include "crypto/signature.h"
#include "wire/link.h"

namespace sotto::coordinator {

struct Addresses {
  std::string listen = "tcp://0.0.0.0:7300";  // where `serve` listens
  std::string reachable;                      // how sites reach it, for invite codes; empty: `listen`
  wire::ConnectionLimits limits;              // of connections, in all and of one source
};

// coordinator.toml (configs/coordinator.toml is a commented example). Errors name file, line and key.
Result<Addresses> read_addresses(const std::string& path);

class CoordinatorFolder {
 public:
  // Makes the folder, the keys and the first entry of the log; refused when it holds a coordinator already.
  static Result<CoordinatorFolder> create(const std::string& path, const Addresses& addresses, RandomSource& random);
  static Result<CoordinatorFolder> open(const std::string& path);

  const std::string& path() const { return path_; }
  const Addresses& addresses() const { return addresses_; }
  const crypto::SigningKey& identity_key() const { return identity_; }
  const wire::TransportKey& transport_key() const { return transport_; }
  PublicKeyBytes identity() const;
  std::string fingerprint() const;

  std::string log_path() const { return path_ + "/log"; }
  std::string registry_path() const { return path_ + "/registry.json"; }
  std::string index_path() const { return path_ + "/index.sqlite"; }
  std::string spool_path() const { return path_ + "/spool"; }
  std::string endpoint_path() const { return path_ + "/endpoint"; }  // there while `serve` listens: its address
  std::string head_path(const SiteName& site) const { return path_ + "/heads/" + site.value(); }
  std::string run_path(const RunId& run) const { return path_ + "/runs/" + run.value(); }
  std::string state_path(const RunId& run) const { return run_path(run) + "/state"; }
  Result<FileLock> lock() const { return FileLock::acquire(path_ + "/lock"); }

 private:
  CoordinatorFolder(std::string path, Addresses addresses, crypto::SigningKey identity, wire::TransportKey transport)
      : path_(std::move(path)),
        addresses_(std::move(addresses)),
        identity_(std::move(identity)),
        transport_(std::move(transport)) {}
  std::string path_;
  Addresses addresses_;
  crypto::SigningKey identity_;
  wire::TransportKey transport_;
};

}  // namespace sotto::coordinator
