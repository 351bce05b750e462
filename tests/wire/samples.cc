#include "tests/wire/samples.h"

namespace sotto::wire {
namespace {

class Filler {
 public:
  explicit Filler(RandomSource& source) : source_(source) {}

  Bytes bytes(std::size_t n) {
    Bytes out(n);
    source_.fill(out);
    return out;
  }
  template <class Array>
  Array fixed() {
    Array out{};
    source_.fill(out);
    return out;
  }
  Digest digest() { return fixed<Digest>(); }
  SignatureBytes signature() { return fixed<SignatureBytes>(); }
  std::vector<Digest> digests(std::size_t n) {
    std::vector<Digest> out;
    for (std::size_t i = 0; i < n; ++i) out.push_back(digest());
    return out;
  }
  Keys keys() { return {kHeader, digest(), digest(), digest(), signature()}; }
  ConfirmOf confirm_of(std::uint32_t site) { return {SiteIndex(site), signature()}; }

  const RoundHeader kHeader{RunId("icd-1"), RoundId(7), AttemptId(2)};

 private:
  RandomSource& source_;
};

std::vector<SiteIndex> sites(std::initializer_list<std::uint32_t> indexes) {
  std::vector<SiteIndex> out;
  for (const auto i : indexes) out.emplace_back(i);
  return out;
}

}  // namespace

std::vector<ToCoordinator> samples_to_coordinator(RandomSource& source) {
  Filler f(source);
  return {
      Join{"north", f.bytes(16), f.digest(), 1400, f.signature()},
      Hello{"north", "0.1.0", f.bytes(150)},
      FetchRun{"icd-1"},
      RunApproval{RunId("icd-1"), f.digest(), f.digest(), f.bytes(900), f.bytes(150), f.signature()},
      RunRefusal{RunId("icd-1"), "epsilon 8 is above this site's limit of 4"},
      FetchHeadProof{f.kHeader, 41},
      f.keys(),
      Shares{f.kHeader,
             f.digests(3),
             f.digests(3),
             {{SiteIndex(0), f.bytes(300)}, {SiteIndex(2), f.bytes(300)}},
             f.signature()},
      Report{f.kHeader, f.digest(), f.digest(), f.bytes(5000), f.signature()},
      Confirm{f.kHeader, f.digest(), f.digest(), f.digest(), f.signature()},
      Unmask{f.kHeader,
             {{SiteIndex(0), SecretKind::kSelfMaskSeed, f.digest()}, {SiteIndex(1), SecretKind::kMaskKey, f.digest()}},
             f.signature()},
      Accepted{f.kHeader, f.digest(), f.bytes(150)},
      Declined{f.kHeader, "no_room", "the site's disk is full"},
      SiteRecord{RunId("icd-1"), f.bytes(4000), f.bytes(150)},
  };
}

std::vector<ToSite> samples_to_site(RandomSource& source) {
  Filler f(source);
  return {
      JoinReply{true, "wait for the operator's approval"},
      Welcome{f.bytes(150), f.bytes(150)},
      RunOffer{f.bytes(400), f.bytes(300)},
      RoundOpen{f.bytes(500), f.bytes(150), f.bytes(6000), f.signature()},
      HeadProof{f.kHeader, 41, f.digests(7)},
      KeyList{f.kHeader, {{SiteIndex(0), f.keys()}, {SiteIndex(2), f.keys()}}},
      ShareList{f.kHeader,
                {{SiteIndex(0), f.digests(3), f.digests(3), sites({1, 2}), f.digests(2), {}, f.signature()},
                 {SiteIndex(2), f.digests(3), f.digests(3), sites({0, 1}), f.digests(2), f.bytes(300), f.signature()}}},
      ConfirmRequest{f.kHeader, {{SiteIndex(1), f.digest(), f.signature()}}, f.signature()},
      UnmaskRequest{f.kHeader, sites({0, 2}), {f.confirm_of(0), f.confirm_of(2)}},
      RoundResult{f.kHeader,
                  f.bytes(500),
                  {{SiteIndex(0), f.digest(), f.digest()}, {SiteIndex(2), f.digest(), f.digest()}},
                  sites({0, 2}),
                  {f.confirm_of(0), f.confirm_of(2)},
                  f.bytes(3000),
                  f.bytes(6000),
                  f.signature(),
                  f.bytes(900)},
      RoundVoid{f.kHeader, "two of three sites were left, three are needed", f.signature()},
      RunFinished{RunId("icd-1"), f.digest(), f.bytes(150), 30, true, f.signature()},
      Rejected{"unknown_run", "there is no run 'icd-9'"},
  };
}

}  // namespace sotto::wire
