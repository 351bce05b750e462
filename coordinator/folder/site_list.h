// The list of sites and open invites, kept in one file that is replaced as a whole. A site goes from invited (it has a code)
// to joined (its keys are known) to approved (the operator compared fingerprints). A revoked site may not connect. Each
// method that changes something has written the file when it returns. One thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/random.h"
#include "plan/run_plan.h"
#include "wire/invite.h"
#include "wire/link.h"
#include "wire/messages.h"

namespace sotto::coordinator {

enum class SiteState { kInvited, kJoined, kApproved, kRevoked };
const char* to_string(SiteState state);

struct Site {
  SiteName name;
  SiteState state = SiteState::kInvited;
  Digest token_hash{};        // of the outstanding invite; zero once it was used
  PublicKeyBytes identity{};  // from kJoined on
  PublicKeyBytes transport{};
  std::uint64_t declared_size = 0;
  std::string fingerprint() const;  // empty while invited
};

class SiteList {
 public:
  static Result<SiteList> open(const std::string& path);

  const std::vector<Site>& sites() const { return sites_; }  // by name
  const Site* find(const SiteName& name) const;
  std::vector<Site> approved() const;

  // Makes a fresh token for the name. It replaces an invite that was not used, and a site that was not approved or was
  // revoked. Refused for an approved site.
  Result<std::array<std::uint8_t, 16>> invite(const SiteName& name, RandomSource& random);
  // Takes a Join over a connection with this transport key. Checks token and signature, and that no other site has these
  // keys. The same site may repeat it. The error is the text for the site.
  Result<void> join(const wire::Join& message, const PublicKeyBytes& transport);
  // The site as it stands, when it may be approved (or is already); changes nothing.
  Result<Site> approvable(const SiteName& name) const;
  Result<void> approve(const SiteName& name);
  Result<void> revoke(const SiteName& name);

  // Joined and approved sites may connect; strangers only while an invite is open.
  wire::Admission admission() const;

 private:
  explicit SiteList(std::string path) : path_(std::move(path)) {}
  Site* find_mutable(const SiteName& name);
  Result<void> save() const;
  std::string path_;
  std::vector<Site> sites_;
};

Json to_json(const Site& site);

}  // namespace sotto::coordinator
