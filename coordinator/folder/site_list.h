// Who may take part: sites and outstanding invites, kept in one file that is replaced as a whole. A site goes from invited
// (a code is out) to joined (its keys are known) to approved (the operator compared fingerprints); revoked closes the door.
// Each method that changes something has written the file when it returns. One thread.
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

  // A fresh token for the name. An invite that was not used, or a site that was not approved or was revoked, is replaced;
  // an approved one is refused.
  Result<std::array<std::uint8_t, 16>> invite(const SiteName& name, RandomSource& random);
  // A Join over a connection with this transport key: token, signature, and that no other site has these keys. The same site
  // may say it again. The error is what the site is told.
  Result<void> join(const wire::Join& message, const PublicKeyBytes& transport);
  Result<Site> approve(const SiteName& name);
  Result<void> revoke(const SiteName& name);

  // Joined and approved sites may connect; strangers only while an invite is outstanding.
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
