#include "curation/pii/phones.h"

#include <phonenumbers/phonenumbermatch.h>
#include <phonenumbers/phonenumbermatcher.h>
#include <phonenumbers/phonenumberutil.h>

#include <algorithm>
#include <set>

namespace sotto::curation {

using i18n::phonenumbers::PhoneNumberMatch;
using i18n::phonenumbers::PhoneNumberMatcher;
using i18n::phonenumbers::PhoneNumberUtil;

std::vector<PhoneSpan> find_phones(std::string_view text, const std::vector<std::string>& regions) {
  constexpr int kTries = 1 << 20;  // candidates that are no number before it gives up; no text of ours has as many
  const std::string copy(text);
  std::vector<PhoneSpan> out;
  if (std::ranges::count_if(text, [](char c) { return c >= '0' && c <= '9'; }) < 6) return out;
  for (const auto& region : regions) {
    PhoneNumberMatcher matcher(*PhoneNumberUtil::GetInstance(), copy, region, PhoneNumberMatcher::VALID, kTries);
    while (matcher.HasNext()) {
      PhoneNumberMatch match;
      matcher.Next(&match);
      out.push_back({static_cast<std::size_t>(match.start()), static_cast<std::size_t>(match.end())});
    }
  }
  return out;
}

Result<void> check_regions(const std::vector<std::string>& regions) {
  std::set<std::string> known;
  PhoneNumberUtil::GetInstance()->GetSupportedRegions(&known);
  for (const auto& region : regions)
    if (!known.contains(region))
      return invalid("phone_regions has '" + region +
                     "', which is no region with telephone numbers (ISO 3166-1: \"US\", \"GB\")");
  return {};
}

}  // namespace sotto::curation
