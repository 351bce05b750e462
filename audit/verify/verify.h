// Offline verification of a run folder, trusting neither side. It checks chains, signed heads, what the parties' logs say of
// each other, the survivors' signatures, and that the noise and sampling that ran are those of the plan; it recomputes every
// epsilon and rebuilds the report byte for byte. It detects alteration, omission and inconsistency between parties. It
// cannot see a site that lies about its own noise or data, and without expected fingerprints it cannot tell the parties'
// keys from keys that somebody made up.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "audit/run/run_folder.h"

namespace sotto::audit {

struct Check {
  std::string name;
  bool ok = false;
  std::string detail;  // of a failed check: file, entry number, what is wrong
};

struct PartyIdentity {
  std::string party;
  std::string fingerprint;
  bool pinned = false;  // the auditor expected this one
};

struct Verdict {
  bool ok = false;
  std::vector<Check> checks;  // in order of dependence: the first that failed names the first bad entry
  std::vector<PartyIdentity> identities;
  std::vector<Json> proofs;  // that a party signed two histories (proof.h), for whoever has neither log
  void add(const std::string& name, const Result<std::string>& finding);
  bool all_pinned() const;            // otherwise: identities: self-asserted
  const Check* first_failed() const;  // nullptr when ok
};

// What the auditor got from the parties by another way. A text file, one a line, '#' starts a comment:
//   NAME FINGERPRINT          of the key of site NAME, or of "coordinator"
//   roster HEX                SHA-256 of the roster
//   head NAME SIZE ROOT       a head of NAME's log that somebody kept
struct Expectation {
  struct Head {
    std::string party;
    TreeHead head;
  };
  std::map<std::string, std::string> fingerprints;
  std::optional<Digest> roster;
  std::vector<Head> heads;
};
Result<Expectation> read_expectation(const std::string& path);

Verdict verify(const RunFolder& folder, const std::optional<Expectation>& expected);

// {"ok", "run", "identities", "fingerprints", "checks": [{"name", "ok", "detail"}]}, and "proofs" when there are any.
// Without a run (views.h): without "run", "identities" and "fingerprints".
Json to_json(const Verdict& verdict, const std::optional<RunId>& run);
std::string to_text(const Verdict& verdict, const std::optional<RunId>& run);

}  // namespace sotto::audit
