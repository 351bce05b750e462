// Epsilon after every one of many releases, as they come: the running product of the rounds' spectra is kept
// (loss_spectrum.h), so that a new round costs its own spectrum and one transform back, not a new composition. Certified
// like pld.h. One thread at a time.
#pragma once

#include <memory>
#include <vector>

#include "privacy/accounting/mechanism.h"
#include "privacy/accounting/release_losses.h"
#include "privacy/losses/pld.h"
#include "privacy/mechanism/neighbours.h"
#include "privacy/renyi/rdp.h"

namespace sotto::privacy {

class OnlineProfile {
 public:
  explicit OnlineProfile(Delta delta, Neighbours neighbours = Neighbours::kAddRemove);
  ~OnlineProfile();
  OnlineProfile(OnlineProfile&&) noexcept;
  OnlineProfile& operator=(OnlineProfile&&) noexcept;

  // The epsilon of everything up to this release. Refused, and then not counted: what loss_of refuses.
  Result<ReleasesBracket> append(const Release& release);

 private:
  class Course;  // one direction
  bool adding_is_below(double epsilon) const;

  Delta delta_;
  Neighbours neighbours_;
  std::unique_ptr<Course> remove_, add_;
  std::vector<double> rdp_of_adding_;  // of everything, at the orders of kOrders
};

}  // namespace sotto::privacy
