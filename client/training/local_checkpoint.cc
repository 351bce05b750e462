#include "client/training/local_checkpoint.h"

#include <utility>

#include "base/files.h"
#include "base/new_file.h"
#include "crypto/hash.h"
#include "data/files/file_bytes.h"

namespace sotto::client {
namespace {

constexpr std::string_view kLabel = "sotto/train-checkpoint/v2";

Result<LocalCheckpoint> decode(ByteSpan bytes) {
  ByteReader in(bytes);
  if (const std::string format = in.text(); format != kLabel)
    return invalid("it is a checkpoint of the format '" + format + "', and this program reads '" + std::string(kLabel) +
                   "': go on with the version of the program that began it");
  LocalCheckpoint c;
  c.at.plan = in.digest();
  c.at.steps = in.u64();
  c.at.threshold = in.f64();
  c.at.seconds = in.f64();
  c.state = in.floats();
  c.optimizer.first = in.floats();
  c.optimizer.second = in.floats();
  c.optimizer.steps = in.u64();
  const auto events = in.count(4);
  for (std::uint32_t i = 0; i < events && in.ok(); ++i) {
    SOTTO_TRY(const auto event, privacy::decode_event(in.bytes()));
    c.at.events.push_back(event);
  }
  const auto evaluations = in.count(32);
  for (std::uint32_t i = 0; i < evaluations && in.ok(); ++i)
    c.at.evaluations.push_back({in.u64(), in.f64(), in.f64(), in.f64()});
  if (in.u8() != 0) c.at.best = in.floats();
  if (in.u8() != 0) c.at.within = in.floats();
  SOTTO_TRY_VOID(in.finish("checkpoint"));
  return c;
}

// A file that ends in the digest of what stands before.
class DigestedFile {
 public:
  explicit DigestedFile(NewFile file) : file_(std::move(file)) {}
  Result<void> add(ByteSpan bytes) {
    digest_.update(bytes);
    return file_.append(bytes);
  }
  // As ByteWriter::floats has them.
  Result<void> add(std::span<const float> values) {
    ByteWriter count;
    count.u32(static_cast<std::uint32_t>(values.size()));
    SOTTO_TRY_VOID(add(count.view()));
    return add(ByteSpan(reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()));
  }
  Result<void> add(const std::optional<std::vector<float>>& values) {
    ByteWriter there;
    there.u8(values.has_value());
    SOTTO_TRY_VOID(add(there.view()));
    return values ? add(std::span<const float>(*values)) : Result<void>();
  }
  Result<void> commit() {
    SOTTO_TRY_VOID(file_.append(digest_.finish()));
    return file_.commit();
  }

 private:
  NewFile file_;
  crypto::Sha256 digest_;
};

}  // namespace

Result<void> save_checkpoint(const std::string& path, const LocalPosition& at, std::span<const float> state,
                             const model::OptimizerState& optimizer) {
  SOTTO_TRY(auto created, NewFile::create(path, FileMode::kPrivate));
  DigestedFile out(std::move(created));
  ByteWriter head, middle;
  head.text(kLabel).raw(at.plan).u64(at.steps).f64(at.threshold).f64(at.seconds);
  SOTTO_TRY_VOID(out.add(head.view()));
  for (const std::span<const float> values :
       {state, std::span<const float>(optimizer.first), std::span<const float>(optimizer.second)})
    SOTTO_TRY_VOID(out.add(values));
  middle.u64(optimizer.steps).u32(static_cast<std::uint32_t>(at.events.size()));
  for (const auto& event : at.events) middle.bytes(privacy::encode(event));
  middle.u32(static_cast<std::uint32_t>(at.evaluations.size()));
  for (const auto& e : at.evaluations) middle.u64(e.step).f64(e.loss).f64(e.accuracy).f64(e.general);
  SOTTO_TRY_VOID(out.add(middle.view()));
  SOTTO_TRY_VOID(out.add(at.best));
  SOTTO_TRY_VOID(out.add(at.within));
  return out.commit();
}

Result<std::optional<LocalCheckpoint>> load_checkpoint(const std::string& path, const Digest& plan) {
  if (!file_exists(path)) return std::optional<LocalCheckpoint>();
  SOTTO_TRY(const auto file, data::FileBytes::map(path));
  const std::string next_step = "; remove its folder to begin anew (what the ledger in it counts stays spent)";
  constexpr std::size_t kDigest = sizeof(Digest);
  if (file.view().size() < kDigest) return invalid("'" + path + "' is cut short" + next_step);
  const ByteSpan all = file.view(), body = all.first(all.size() - kDigest);
  const Digest digest = crypto::sha256(body);
  if (!std::equal(digest.begin(), digest.end(), all.end() - kDigest))
    return invalid("'" + path + "' is damaged" + next_step);
  auto checkpoint = decode(body);
  if (!checkpoint.ok()) return invalid("'" + path + "': " + checkpoint.error().message + next_step);
  if (checkpoint->at.plan != plan)
    return refused(
        "'" + path +
        "' belongs to another plan than the one given; name another folder with --out, or give the plan that it began with");
  return std::optional(std::move(checkpoint).value());
}

}  // namespace sotto::client
