// What `sotto-audit epsilon | calibrate | compose` print besides one number: the curve over delta and what follows from it.
// Pure functions; any thread.
#pragma once

#include <span>

#include "base/json.h"
#include "privacy/accounting/profile.h"
#include "privacy/accounting/relations.h"

namespace sotto::audit {

// [{"delta", "epsilon_lower", "epsilon_upper"}, ..] from 1e-2 to 1e-10.
Json curve_json(const privacy::PrivacyProfile& profile);
// The same by RDP: upper ends alone.
Json curve_by_rdp(std::span<const privacy::Release> releases, privacy::Neighbours neighbours);
// By the accountant of privacy losses where it knows the releases, narrow near `delta`; else, or when that is asked for, by
// RDP.
Json curve_of(std::span<const privacy::Release> releases, privacy::Neighbours neighbours, privacy::Delta delta, bool by_rdp);

// The curve with RDP's upper ends where those are smaller: what accountant 'both' proves.
Json with_rdp(const Json& curve, std::span<const privacy::Release> releases, privacy::Neighbours neighbours);

Json trade_off_json(const privacy::PrivacyProfile& profile);
// The largest true-positive rate less false-positive rate, and in plain words.
Json advantage_json(const privacy::PrivacyProfile& profile);
// Each relation's {"lower", "upper"}, or {"refused": why}.
Json relations_json(const privacy::Relations& all);

}  // namespace sotto::audit
