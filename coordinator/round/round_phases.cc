// The phases of a round as one table: whom each asks, when a site has answered, how many answers it needs, what it asks and
// what follows. The order of the rows is the order of Phase.
#include <algorithm>

#include "aggregation/ring.h"
#include "coordinator/round/round_state.h"

namespace sotto::coordinator {

const Round::State::PhaseRow& Round::State::row(Phase phase) {
  using S = const State&;
  static constexpr auto all = [](S, SiteIndex) { return true; };
  static constexpr auto survivors = [](S s) -> std::size_t { return s.tau; };
  static constexpr auto threshold = [](S s) -> std::size_t { return s.t; };
  static constexpr auto none = [](S) -> std::size_t { return 0; };
  static constexpr PhaseRow kRows[] = {
      {"waiting_for_head"},
      // Whoever contradicted itself before it was in U1 is left out of it.
      {"keys", all, [](S s, SiteIndex i) { return s.member(i).keys.has_value() && !s.excluded[i.value()]; }, survivors,
       &State::ask_keys, &State::begin_shares},
      {"shares", [](S s, SiteIndex i) { return std::ranges::binary_search(s.key_sites, i); },
       [](S s, SiteIndex i) { return s.member(i).shares.has_value() && !s.excluded[i.value()]; }, survivors,
       &State::ask_shares, &State::begin_report},
      {"report", [](S s, SiteIndex i) { return std::ranges::binary_search(s.u1_sites, i); },
       [](S s, SiteIndex i) { return s.member(i).masked.has_value(); }, survivors, &State::ask_report,
       &State::begin_confirm},
      {"confirm", [](S s, SiteIndex i) { return std::ranges::binary_search(s.u3, i); },
       [](S s, SiteIndex i) { return s.member(i).confirm.has_value(); }, threshold, &State::ask_confirm,
       &State::begin_unmask},
      {"unmask", [](S s, SiteIndex i) { return s.member(i).confirm.has_value(); },
       [](S s, SiteIndex i) { return s.member(i).unmask.has_value(); }, threshold, &State::ask_unmask,
       &State::begin_unmasking},
      {"unmasking"},
      {"server_step"},
      {"result", all, [](S s, SiteIndex i) { return s.member(i).accepted; }, none, &State::ask_result, &State::end_round},
      {"done"},
      {"void"},
  };
  static_assert(std::size(kRows) == static_cast<std::size_t>(Phase::kVoid) + 1);
  return kRows[static_cast<std::size_t>(phase)];
}

const char* to_string(Phase phase) { return Round::State::row(phase).name; }

bool Round::State::expected(SiteIndex site) const {
  const auto asks = row(phase).asks;
  return asks && asks(*this, site);
}

bool Round::State::answered(SiteIndex site) const {
  const auto has = row(phase).answered;
  return has && has(*this, site);
}

std::size_t Round::State::quorum() const { return row(phase).quorum(*this); }

std::optional<wire::ToSite> Round::State::request_for(SiteIndex site) const {
  if (!expected(site)) return std::nullopt;
  return (this->*row(phase).request)(site);
}

bool Round::wants_report(SiteIndex site, const wire::RoundHeader& header, std::uint64_t bytes) const {
  constexpr std::uint64_t kAround = 512;  // header, hashes and signature
  const auto& s = *state_;
  if (s.phase != Phase::kReport || header != s.header() || site.value() >= s.n) return false;
  const auto packed = aggregation::packed_size(s.facts.update_size, s.facts.descriptor.ring.bits);
  return s.expected(site) && s.willing(site) && !s.answered(site) && bytes >= packed && bytes <= packed + kAround;
}

wire::ToSite Round::State::ask_keys(SiteIndex) const { return open; }

wire::ToSite Round::State::ask_shares(SiteIndex) const {
  wire::KeyList list{header(), {}};
  for (const auto site : key_sites) list.keys.push_back({site, *member(site).keys});
  return list;
}

wire::ToSite Round::State::ask_report(SiteIndex site) const {
  wire::ShareList list{header(), {}};
  for (const auto from : u1_sites) {
    const auto& m = member(from);
    wire::SharesFrom entry{from, m.shares->seed_share_hashes, m.shares->key_share_hashes, {}, m.sealed_hashes,
                           {},   m.shares->signature};
    for (const auto& sealed : m.shares->sealed) {
      entry.recipients.push_back(sealed.to);
      if (sealed.to == site) entry.sealed = sealed.sealed;
    }
    list.from.push_back(std::move(entry));
  }
  return list;
}

wire::ToSite Round::State::ask_confirm(SiteIndex) const {
  wire::ConfirmRequest request{header(), {}, {}};
  for (const auto survivor : u3)
    request.survivors.push_back({survivor, *member(survivor).masked, member(survivor).report_signature});
  request.signature = sign(wire::label_of(request), wire::body(request));
  return request;
}

wire::ToSite Round::State::ask_unmask(SiteIndex) const { return wire::UnmaskRequest{header(), u3, result.confirms}; }

wire::ToSite Round::State::ask_result(SiteIndex) const { return result; }

}  // namespace sotto::coordinator
