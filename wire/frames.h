// What one frame of a link carries. A message that fits goes whole; a longer one travels as a transfer: chunks in order, each
// acknowledged, named by the SHA-256 of the message, so that a receiver that has a part of it (from a connection that broke)
// says where to go on. Pure state machines; the links (link.h) drive them. Internal to wire.
//
//   frame = u8 (version << 3 | kind), then by kind
//     0 whole     the message
//     1 chunk     raw digest of the message (32), u64 its size, u64 offset, raw payload (1 byte or more)
//     3 taken     raw digest, u64 offset: the receiver has everything before it, and wants what comes from there
//     4 busy      raw digest: ask again in a moment, no memory is free now
//     5 refused   raw digest: the message is not wanted
//
// Kind 2 is never used: a frame of protocol version 3 is a bare Protobuf message, whose first byte ends in the bits 010.
// A sender sends the first chunk, waits for "taken", and then keeps up to kTransferWindow bytes under way.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <variant>

#include "base/bytes.h"
#include "base/ids.h"
#include "plan/run_plan.h"

namespace sotto::wire {

constexpr unsigned kProtocolVersion = 4;
// A frame on the wire, encryption included: nothing larger is taken, in no phase.
constexpr std::size_t kMaxFrameBytes = 32 << 10;
constexpr std::size_t kFrameOverhead = 128;  // CURVE's (33), ZMTP's (9), and some room
constexpr std::size_t kChunkBytes = kMaxFrameBytes - kFrameOverhead - 49;
constexpr std::size_t kMaxWholeBytes = kMaxFrameBytes - kFrameOverhead - 1;
constexpr std::size_t kTransferWindow = 3 * kChunkBytes;

struct WholeFrame {
  ByteSpan message;
};
struct ChunkFrame {
  Digest digest{};
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
  ByteSpan payload;
};
struct AnswerFrame {
  enum class Kind { kTaken = 3, kBusy = 4, kRefused = 5 };
  Kind kind = Kind::kTaken;
  Digest digest{};
  std::uint64_t offset = 0;  // of kTaken
};
struct OtherVersionFrame {
  unsigned version = 0;  // 3: that or an older one
};
struct MalformedFrame {};
using ParsedFrame = std::variant<WholeFrame, ChunkFrame, AnswerFrame, OtherVersionFrame, MalformedFrame>;

ParsedFrame parse_frame(ByteSpan bytes);  // spans point into `bytes`
Bytes whole_frame(ByteSpan message);
Bytes chunk_frame(const ChunkFrame& chunk);
Bytes answer_frame(const AnswerFrame& answer);

// "site 'x' speaks protocol version 3, this is 4; upgrade sotto-client there".
std::string version_mismatch(const std::string& who, unsigned version, const std::string& older, const std::string& newer);

// A message on its way out; `digest` is of a message too long for one frame only.
class OutgoingMessage {
 public:
  explicit OutgoingMessage(Bytes bytes);
  const Bytes& bytes() const { return bytes_; }
  bool whole() const { return bytes_.size() <= kMaxWholeBytes; }
  const Digest& digest() const { return digest_; }

 private:
  Bytes bytes_;
  Digest digest_{};
};

// Messages that wait for their transfer, each kept once however many peers it goes to.
class MessageStore {
 public:
  void keep(const OutgoingMessage& message);
  void release(const Digest& digest);
  ByteSpan at(const Digest& digest) const;
  std::size_t bytes() const { return bytes_; }

 private:
  struct Kept {
    Bytes bytes;
    std::size_t users = 0;
  };
  std::map<Digest, Kept> kept_;
  std::size_t bytes_ = 0;
};

// What waits to be sent to one peer, in order.
class SendQueue {
 public:
  using Time = std::chrono::steady_clock::time_point;

  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty() && answers_.empty(); }
  std::uint64_t bytes_left() const;  // of transfers, that are not acknowledged
  bool has_transfer(const Digest& digest) const;
  void push(const OutgoingMessage& message, MessageStore& store);
  void answer(const AnswerFrame& answer) { answers_.push_back(answer_frame(answer)); }
  // The next frame that may go now; sent() when it has gone.
  std::optional<Bytes> next(const MessageStore& store, Time now);
  void sent();
  void on(const AnswerFrame& answer, MessageStore& store, Time now);
  void clear(MessageStore& store);

 private:
  struct Item {
    Bytes whole;      // a frame; empty for a transfer
    Digest digest{};  // of a transfer
    std::uint64_t size = 0;
    std::uint64_t next = 0;   // to be sent
    std::uint64_t taken = 0;  // acknowledged
    bool asked = false;       // the first chunk is out, and not answered
    Time not_before{};
  };
  std::deque<Item> items_;
  std::deque<Bytes> answers_;
  std::uint64_t pending_ = 0;  // payload of the frame that next() gave
};

// The message of one peer that is arriving.
class Arriving {
 public:
  bool is(const Digest& digest) const { return digest_ == digest; }
  bool any() const { return digest_.has_value(); }
  std::uint64_t size() const { return size_; }
  std::size_t have() const { return bytes_.size(); }
  std::chrono::steady_clock::time_point moved() const { return moved_; }
  void begin(const ChunkFrame& first, std::chrono::steady_clock::time_point now);
  // Takes the chunk if it is the next one; the message when it is whole and what its name says. Forgets it when it is not.
  std::optional<Bytes> take(const ChunkFrame& chunk, std::chrono::steady_clock::time_point now);
  void forget();

 private:
  std::optional<Digest> digest_;
  std::uint64_t size_ = 0;
  Bytes bytes_;
  std::chrono::steady_clock::time_point moved_{};
};

}  // namespace sotto::wire
