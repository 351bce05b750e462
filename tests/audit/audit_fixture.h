// Logs and folders for the audit tests: keys from FixedRandom, one run of a few rounds with three sites, every entry that
// the real programs write, every signature real.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "audit/ledger/ledger.h"
#include "audit/log/statements.h"
#include "audit/run/run_folder.h"
#include "crypto/signature.h"

namespace sotto::audit {

// A folder under the system's temporary one, removed with the object.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string path(const std::string& name = "") const;

 private:
  std::filesystem::path path_;
};

Digest digest_of(const std::string& text);
Time at(std::int64_t seconds);
privacy::DpEvent some_event(double sigma = 1.0, std::uint64_t count = 4);

// What a folder is built from; tests change one thing and look at what verify says.
struct Scenario {
  std::uint64_t seed = 1;
  std::string run = "demo";
  std::uint32_t rounds = 2;
  bool privacy = true;
  double noise_multiplier = 0.6;
  // Applied before the site's Committed and Reserved are written.
  std::function<void(std::vector<privacy::DpEvent>&)> change_taken;
  // Index of a site that joins the last round and never reports; none when >= 3.
  std::uint32_t dropped = 99;
  // Planted at each site; what the sites measure is drawn from a Gaussian mechanism with mu = 1.
  std::uint32_t canaries = 0;
  // Of the guesses of canaries that a site logs, all are right: as in a build without noise.
  bool noise_was_off = false;
};

RunPlan plan_of(const Scenario& scenario);
Roster roster_of(const Scenario& scenario);
crypto::SigningKey key_of(const Scenario& scenario, const std::string& party);

// What an audit of a mu = 1 Gaussian mechanism with the scenario's canaries gives; another for each site.
AuditMeasured measured_at(const Scenario& scenario, std::uint64_t site, const Digest& adapter);

// Writes the whole folder but for the report.
void write_logs(const std::string& path, const Scenario& scenario);

}  // namespace sotto::audit
