#include "wire/codec.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <span>

#include "wire/codec_fields.h"
#include "wire/codec_walk.h"
#include "wire/link.h"
#include "wire/sotto.pb.h"

namespace sotto::wire {
namespace {

// clang-format off
// Struct and its member of the oneof: the one table that both directions use.
#define SOTTO_TO_COORDINATOR(X)                                                                                            \
  X(Join, join) X(Hello, hello) X(FetchRun, fetch_run) X(RunApproval, run_approval)            \
  X(RunRefusal, run_refusal) X(FetchHeadProof, fetch_head_proof) X(Keys, keys)                  \
  X(Shares, shares) X(Report, report) X(Confirm, confirm) X(Unmask, unmask)                    \
  X(Accepted, accepted) X(Declined, declined) X(SiteRecord, site_record)
#define SOTTO_TO_SITE(X)                                                                                                   \
  X(JoinReply, join_reply) X(Welcome, welcome) X(RunOffer, run_offer) X(RoundOpen, round_open)  \
  X(HeadProof, head_proof) X(KeyList, key_list) X(ShareList, share_list) X(ConfirmRequest, confirm_request) \
  X(UnmaskRequest, unmask_request) X(RoundResult, round_result) X(RoundVoid, round_void)               \
  X(RunFinished, run_finished) X(Rejected, rejected)

// clang-format on
// The twin of a message inside its envelope, and its name.
#define SOTTO_SLOT(Type, member)                                                             \
  [[maybe_unused]] pb::Type* slot(const Type&, Envelope& p) { return p.mutable_##member(); } \
  [[maybe_unused]] const char* label(const Type&) { return #member; }
namespace to_coordinator {
using Envelope = pb::ToCoordinator;
SOTTO_TO_COORDINATOR(SOTTO_SLOT)
}  // namespace to_coordinator
namespace to_site {
using Envelope = pb::ToSite;
SOTTO_TO_SITE(SOTTO_SLOT)
}  // namespace to_site
#undef SOTTO_SLOT

template <class Envelope>
Bytes serialized(const Envelope& envelope) {
  const std::size_t size = envelope.ByteSizeLong();
  SOTTO_CHECK(size <= kMaxMessageBytes);
  Bytes out(size);
  SOTTO_CHECK(envelope.SerializeToArray(out.data(), static_cast<int>(size)));
  return out;
}

// Before Protobuf allocates anything: the message is one field of the envelope and nothing else, and small unless its kind
// may be large. `large` has the field numbers of those kinds.
Result<void> check_envelope(ByteSpan bytes, std::span<const std::uint32_t> large) {
  if (bytes.size() > kMaxMessageBytes)
    return protocol_error("message of " + std::to_string(bytes.size()) + " bytes, at most " +
                          std::to_string(kMaxMessageBytes));
  google::protobuf::io::CodedInputStream in(bytes.data(), static_cast<int>(bytes.size()));
  const std::uint32_t tag = in.ReadTag();
  std::uint32_t length = 0;
  if ((tag & 7) != 2 || !in.ReadVarint32(&length) || static_cast<std::size_t>(in.CurrentPosition()) + length != bytes.size())
    return protocol_error("message of " + std::to_string(bytes.size()) + " bytes is not one message of this protocol");
  if (length > walk::kMaxSmallMessage && std::find(large.begin(), large.end(), tag >> 3) == large.end())
    return protocol_error("message " + std::to_string(tag >> 3) + " of " + std::to_string(length) + " bytes, at most " +
                          std::to_string(walk::kMaxSmallMessage));
  return {};
}

template <class Envelope>
Result<void> parse(Envelope& envelope, ByteSpan bytes, std::span<const std::uint32_t> large) {
  SOTTO_TRY_VOID(check_envelope(bytes, large));
  const google::protobuf::LogSilencer silencer;  // what does not parse is reported below, not on stderr
  if (!envelope.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return protocol_error("message of " + std::to_string(bytes.size()) + " bytes cannot be parsed");
  return {};
}

template <class Message, class Twin>
Result<Message> take(const char* label, Twin& twin) {
  Message message;
  walk::Take taker(label);
  fields(taker, message, twin);
  if (taker.error()) return *taker.error();
  return message;
}

}  // namespace

Bytes encode(const ToCoordinator& message) {
  pb::ToCoordinator envelope;
  walk::Put put;
  std::visit([&](const auto& m) { fields(put, m, *to_coordinator::slot(m, envelope)); }, message);
  return serialized(envelope);
}

Bytes encode(const ToSite& message) {
  pb::ToSite envelope;
  walk::Put put;
  std::visit([&](const auto& m) { fields(put, m, *to_site::slot(m, envelope)); }, message);
  return serialized(envelope);
}

#define SOTTO_TAKE(Type, member)                                                \
  if (envelope.has_##member()) {                                                \
    SOTTO_TRY(auto message, take<Type>(#member, *envelope.mutable_##member())); \
    return Envelope(std::move(message));                                        \
  }

Result<ToCoordinator> decode_to_coordinator(ByteSpan bytes) {
  using Envelope = ToCoordinator;
  constexpr std::array<std::uint32_t, 2> kLarge{pb::ToCoordinator::kReportFieldNumber,
                                                pb::ToCoordinator::kSiteRecordFieldNumber};
  pb::ToCoordinator envelope;
  SOTTO_TRY_VOID(parse(envelope, bytes, kLarge));
  SOTTO_TO_COORDINATOR(SOTTO_TAKE)
  return protocol_error("message of a kind that this version does not know");
}

Result<ToSite> decode_to_site(ByteSpan bytes) {
  using Envelope = ToSite;
  constexpr std::array<std::uint32_t, 2> kLarge{pb::ToSite::kRoundOpenFieldNumber, pb::ToSite::kRoundResultFieldNumber};
  pb::ToSite envelope;
  SOTTO_TRY_VOID(parse(envelope, bytes, kLarge));
  SOTTO_TO_SITE(SOTTO_TAKE)
  return protocol_error("message of a kind that this version does not know");
}

Peeked peek_to_coordinator(ByteSpan first_bytes, std::uint64_t size) {
  using Kind = Peeked::Kind;
  const Peeked other{Kind::kOther, {}, {}, size};
  google::protobuf::io::CodedInputStream in(first_bytes.data(), static_cast<int>(first_bytes.size()));
  const std::uint32_t tag = in.ReadTag();
  std::uint64_t length = 0;
  if ((tag & 7) != 2 || !in.ReadVarint64(&length) || static_cast<std::uint64_t>(in.CurrentPosition()) + length != size)
    return other;
  // The header, or the run's name, is the first field of each of these.
  std::uint32_t first_length = 0;
  std::string first;
  if (in.ReadTag() != (1u << 3 | 2) || !in.ReadVarint32(&first_length) || first_length > 256 ||
      !in.ReadString(&first, static_cast<int>(first_length)))
    return other;
  Peeked out{Kind::kOther, {}, {}, size};
  switch (static_cast<int>(tag >> 3)) {
    case pb::ToCoordinator::kReportFieldNumber: out.kind = Kind::kReport; break;
    case pb::ToCoordinator::kSharesFieldNumber: out.kind = Kind::kShares; break;
    case pb::ToCoordinator::kRunApprovalFieldNumber: out.kind = Kind::kRunApproval; break;
    case pb::ToCoordinator::kSiteRecordFieldNumber: out.kind = Kind::kSiteRecord; break;
    default: return other;
  }
  if (out.kind == Kind::kRunApproval || out.kind == Kind::kSiteRecord) {
    if (!is_valid_name(first)) return other;
    out.run = RunId(first);
    return out;
  }
  const google::protobuf::LogSilencer silencer;
  pb::RoundHeader twin;
  if (!twin.ParseFromString(first)) return other;
  auto header = take<RoundHeader>("header", twin);
  if (!header.ok()) return other;
  out.header = *header;
  out.run = out.header.run;
  return out;
}

const char* name_of(const ToCoordinator& message) {
  return std::visit([](const auto& m) { return to_coordinator::label(m); }, message);
}

const char* name_of(const ToSite& message) {
  return std::visit([](const auto& m) { return to_site::label(m); }, message);
}

}  // namespace sotto::wire
