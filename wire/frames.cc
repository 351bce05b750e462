#include "wire/frames.h"

#include <algorithm>

#include "base/check.h"
#include "crypto/hash.h"

namespace sotto::wire {
namespace {

constexpr unsigned kWhole = 0;
constexpr unsigned kChunk = 1;
constexpr unsigned kProtobuf = 2;
constexpr auto kAskAgain = std::chrono::milliseconds(200);

ByteWriter begin(unsigned kind) {
  ByteWriter out;
  out.u8(static_cast<std::uint8_t>(kProtocolVersion << 3 | kind));
  return out;
}

std::uint64_t u64_at(ByteSpan bytes, std::size_t at) {
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < 8; ++i) v |= std::uint64_t{bytes[at + i]} << 8 * i;
  return v;
}

Digest digest_at(ByteSpan bytes, std::size_t at) {
  Digest out{};
  std::ranges::copy(bytes.subspan(at, out.size()), out.begin());
  return out;
}

}  // namespace

ParsedFrame parse_frame(ByteSpan bytes) {
  constexpr std::size_t kNamed = 1 + sizeof(Digest);
  if (bytes.empty()) return MalformedFrame{};
  const unsigned version = bytes[0] >> 3;
  const unsigned kind = bytes[0] & 7;
  if (kind == kProtobuf) return OtherVersionFrame{kProtocolVersion - 1};
  if (version != kProtocolVersion) return OtherVersionFrame{version};
  if (kind == kWhole) return WholeFrame{bytes.subspan(1)};
  if (kind == kChunk) {
    if (bytes.size() <= kNamed + 16) return MalformedFrame{};
    const ChunkFrame chunk{digest_at(bytes, 1), u64_at(bytes, kNamed), u64_at(bytes, kNamed + 8),
                           bytes.subspan(kNamed + 16)};
    if (chunk.offset > chunk.size || chunk.payload.size() > chunk.size - chunk.offset) return MalformedFrame{};
    return chunk;
  }
  const auto answer = static_cast<AnswerFrame::Kind>(kind);
  if (answer == AnswerFrame::Kind::kTaken && bytes.size() == kNamed + 8)
    return AnswerFrame{answer, digest_at(bytes, 1), u64_at(bytes, kNamed)};
  if ((answer == AnswerFrame::Kind::kBusy || answer == AnswerFrame::Kind::kRefused) && bytes.size() == kNamed)
    return AnswerFrame{answer, digest_at(bytes, 1), 0};
  return MalformedFrame{};
}

Bytes whole_frame(ByteSpan message) {
  ByteWriter out = begin(kWhole);
  out.raw(message);
  return std::move(out).take();
}

Bytes chunk_frame(const ChunkFrame& chunk) {
  ByteWriter out = begin(kChunk);
  out.raw(chunk.digest).u64(chunk.size).u64(chunk.offset).raw(chunk.payload);
  return std::move(out).take();
}

Bytes answer_frame(const AnswerFrame& answer) {
  ByteWriter out = begin(static_cast<unsigned>(answer.kind));
  out.raw(answer.digest);
  if (answer.kind == AnswerFrame::Kind::kTaken) out.u64(answer.offset);
  return std::move(out).take();
}

std::string version_mismatch(const std::string& who, unsigned version, const std::string& older, const std::string& newer) {
  const bool other_is_older = version < kProtocolVersion;
  return who + " speaks protocol version " + std::to_string(version) + (other_is_older ? " or older" : "") + ", this is " +
         std::to_string(kProtocolVersion) + "; upgrade " + (other_is_older ? older : newer);
}

OutgoingMessage::OutgoingMessage(Bytes bytes) : bytes_(std::move(bytes)) {
  if (!whole()) digest_ = crypto::sha256(bytes_);
}

void MessageStore::keep(const OutgoingMessage& message) {
  auto& kept = kept_[message.digest()];
  if (kept.users++ > 0) return;
  kept.bytes = message.bytes();
  bytes_ += kept.bytes.size();
}

void MessageStore::release(const Digest& digest) {
  const auto kept = kept_.find(digest);
  SOTTO_CHECK(kept != kept_.end());
  if (--kept->second.users > 0) return;
  bytes_ -= kept->second.bytes.size();
  kept_.erase(kept);
}

ByteSpan MessageStore::at(const Digest& digest) const {
  const auto kept = kept_.find(digest);
  SOTTO_CHECK(kept != kept_.end());
  return kept->second.bytes;
}

std::uint64_t SendQueue::bytes_left() const {
  std::uint64_t left = 0;
  for (const Item& item : items_) left += item.size - item.taken;
  return left;
}

bool SendQueue::has_transfer(const Digest& digest) const {
  return std::ranges::any_of(items_, [&](const Item& item) { return item.whole.empty() && item.digest == digest; });
}

void SendQueue::push(const OutgoingMessage& message, MessageStore& store) {
  Item item;
  if (message.whole()) {
    item.whole = whole_frame(message.bytes());
  } else {
    store.keep(message);
    item.digest = message.digest();
    item.size = message.bytes().size();
  }
  items_.push_back(std::move(item));
}

std::optional<Bytes> SendQueue::next(const MessageStore& store, Time now) {
  pending_ = 0;
  if (!answers_.empty()) return answers_.front();
  if (items_.empty()) return std::nullopt;
  const Item& item = items_.front();
  if (!item.whole.empty()) return item.whole;
  if (item.asked || item.next == item.size || now < item.not_before) return std::nullopt;
  if (item.next > 0 && item.next - item.taken >= kTransferWindow) return std::nullopt;
  pending_ = std::min<std::uint64_t>(kChunkBytes, item.size - item.next);
  return chunk_frame({item.digest, item.size, item.next, store.at(item.digest).subspan(item.next, pending_)});
}

void SendQueue::sent() {
  if (!answers_.empty()) return answers_.pop_front();
  SOTTO_CHECK(!items_.empty());
  Item& item = items_.front();
  if (!item.whole.empty()) return items_.pop_front();
  item.asked = item.next == 0;
  item.next += pending_;
}

void SendQueue::on(const AnswerFrame& answer, MessageStore& store, Time now) {
  if (items_.empty() || !items_.front().whole.empty() || items_.front().digest != answer.digest) return;
  Item& item = items_.front();
  const auto done = [&] {
    store.release(item.digest);
    items_.pop_front();
  };
  if (answer.kind == AnswerFrame::Kind::kRefused) return done();
  if (answer.kind == AnswerFrame::Kind::kBusy) {
    item.asked = false;
    item.next = item.taken = 0;
    item.not_before = now + kAskAgain;
    return;
  }
  if (answer.offset > item.size) return;
  if (answer.offset == item.size) return done();
  // The first answer says where the receiver wants to go on; one that goes back says that it has lost what it had.
  if (item.asked || answer.offset < item.taken || answer.offset > item.next) item.next = answer.offset;
  item.asked = false;
  item.taken = answer.offset;
}

void SendQueue::clear(MessageStore& store) {
  for (const Item& item : items_)
    if (item.whole.empty()) store.release(item.digest);
  items_.clear();
  answers_.clear();
}

void Arriving::begin(const ChunkFrame& first, std::chrono::steady_clock::time_point now) {
  forget();
  digest_ = first.digest;
  size_ = first.size;
  moved_ = now;
}

std::optional<Bytes> Arriving::take(const ChunkFrame& chunk, std::chrono::steady_clock::time_point now) {
  SOTTO_CHECK(is(chunk.digest));
  if (chunk.size != size_ || chunk.offset != bytes_.size()) return std::nullopt;
  bytes_.insert(bytes_.end(), chunk.payload.begin(), chunk.payload.end());
  moved_ = now;
  if (bytes_.size() < size_) return std::nullopt;
  Bytes whole = std::move(bytes_);
  const Digest named = *digest_;
  forget();
  if (crypto::sha256(whole) != named) return std::nullopt;
  return whole;
}

void Arriving::forget() {
  digest_.reset();
  size_ = 0;
  Bytes().swap(bytes_);
}

}  // namespace sotto::wire
