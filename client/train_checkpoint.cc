#include "client/train_checkpoint.h"

#include "base/files.h"
#include "crypto/hash.h"

namespace sotto::client {
namespace {

constexpr std::string_view kLabel = "sotto/train-checkpoint/v2";

Result<TrainCheckpoint> decode(ByteSpan bytes) {
  ByteReader in(bytes);
  if (in.text() != kLabel) return invalid("it is no checkpoint of this version");
  TrainCheckpoint c;
  c.plan = in.digest();
  c.steps = in.u64();
  c.threshold = in.f64();
  c.seconds = in.f64();
  c.state = in.floats();
  c.optimizer.first = in.floats();
  c.optimizer.second = in.floats();
  c.optimizer.steps = in.u64();
  const auto events = in.count(4);
  for (std::uint32_t i = 0; i < events && in.ok(); ++i) {
    SOTTO_TRY(const auto event, privacy::decode_event(in.bytes()));
    c.events.push_back(event);
  }
  const auto evaluations = in.count(32);
  for (std::uint32_t i = 0; i < evaluations && in.ok(); ++i) c.evaluations.push_back({in.u64(), in.f64(), in.f64(), in.f64()});
  if (in.u8() != 0) c.best = in.floats();
  if (in.u8() != 0) c.within = in.floats();
  SOTTO_TRY_VOID(in.finish("checkpoint"));
  return c;
}

}  // namespace

Result<void> save_checkpoint(const std::string& path, const TrainCheckpoint& c) {
  ByteWriter out;
  out.text(kLabel).raw(c.plan).u64(c.steps).f64(c.threshold).f64(c.seconds).floats(c.state);
  out.floats(c.optimizer.first).floats(c.optimizer.second).u64(c.optimizer.steps);
  out.u32(static_cast<std::uint32_t>(c.events.size()));
  for (const auto& event : c.events) out.bytes(privacy::encode(event));
  out.u32(static_cast<std::uint32_t>(c.evaluations.size()));
  for (const auto& e : c.evaluations) out.u64(e.step).f64(e.loss).f64(e.accuracy).f64(e.general);
  out.u8(c.best.has_value());
  if (c.best) out.floats(*c.best);
  out.u8(c.within.has_value());
  if (c.within) out.floats(*c.within);
  out.raw(crypto::sha256(out.view()));
  return write_file_atomically(path, out.view(), FileMode::kPrivate);
}

Result<std::optional<TrainCheckpoint>> load_checkpoint(const std::string& path, const Digest& plan) {
  if (!file_exists(path)) return std::optional<TrainCheckpoint>();
  SOTTO_TRY(const Bytes bytes, read_binary_file(path));
  const std::string next_step = "; remove its folder to begin anew (what the ledger in it counts stays spent)";
  constexpr std::size_t kDigest = sizeof(Digest);
  if (bytes.size() < kDigest) return invalid("'" + path + "' is cut short" + next_step);
  const ByteSpan all(bytes), body = all.first(bytes.size() - kDigest);
  const Digest digest = crypto::sha256(body);
  if (!std::equal(digest.begin(), digest.end(), all.end() - kDigest)) return invalid("'" + path + "' is damaged" + next_step);
  auto checkpoint = decode(body);
  if (!checkpoint.ok()) return invalid("'" + path + "': " + checkpoint.error().message + next_step);
  if (checkpoint->plan != plan)
    return refused("'" + path + "' belongs to another plan than the one given; name another folder with --out, or give the plan that it began with");
  return std::optional(std::move(checkpoint).value());
}

}  // namespace sotto::client
