// A base that stays quantised in memory gives what the same file loaded dense gives, bit for bit, whatever is done with it.
#include <algorithm>

#include "data/files/gguf_file.h"
#include "model/adapter/lora.h"
#include "model/training/adapter_trainer.h"
#include "model/training/self_check.h"
#include "privacy/mechanism/noise.h"
#include "tests/model/gguf_maker.h"
#include "tests/model/vectors.h"
#include "tests/support/fixed_random.h"

namespace sotto::model {
namespace {

// Blocks of random bytes whose numbers lie within about 0.1: where f16 scales stand, 2^-e.
struct BlockKind {
  std::uint32_t gguf;
  std::vector<std::size_t> scales_at;
  int e;
};
const std::vector<BlockKind> kKinds = {{12, {0, 2}, 13}, {14, {208}, 14}, {2, {0}, 7}, {3, {0, 2}, 7}, {8, {0}, 10},
                                       {13, {0, 2}, 14}, {11, {108}, 10}, {6, {0}, 8}, {7, {0, 2}, 8}, {10, {80, 82}, 9},
                                       {20, {0}, 10},    {1, {}, 0},      {30, {}, 0}, {0, {}, 0}};

Bytes random_blocks(const BlockKind& kind, std::size_t elements, RandomSource& random) {
  const auto block = block_size(*format_of_gguf(kind.gguf));
  Bytes bytes(elements / block.elements * block.bytes);
  random.fill(bytes);
  const auto half = static_cast<std::uint16_t>((15 - kind.e) << 10);
  for (std::size_t b = 0; b < bytes.size(); b += block.bytes)
    for (const std::size_t at : kind.scales_at) {
      bytes[b + at] = static_cast<std::uint8_t>(half & 0xFF);
      bytes[b + at + 1] = static_cast<std::uint8_t>(half >> 8);
    }
  if (!kind.scales_at.empty()) return bytes;
  // Numbers that stand alone: sign and fraction stay random, the exponent is that of 2^-5.
  for (std::size_t at = block.bytes - 2; at < bytes.size(); at += block.bytes)
    bytes[at + 1] = static_cast<std::uint8_t>((bytes[at + 1] & 0x80) | (kind.gguf == 1 ? 0x28 : 0x3D));
  return bytes;
}

// Two layers of a Llama with hidden size 256; each of their 14 matrices in another of the formats that are read.
class MixedModel {
 public:
  MixedModel() {
    FixedRandom random(7);
    file_.uint("llama.embedding_length", 256), file_.uint("llama.feed_forward_length", 256),
        file_.uint("llama.block_count", 2);
    file_.uint("llama.attention.head_count", 4), file_.uint("llama.context_length", 128);
    file_.number("llama.attention.layer_norm_rms_epsilon", 1e-5F);
    std::size_t kind = 0;
    for (const std::string layer : {"blk.0.", "blk.1."}) {
      for (const std::string name : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}) {
        file_.tensor(layer + name + ".weight", {256, 256}, kKinds[kind].gguf,
                     random_blocks(kKinds[kind], 256 * 256, random));
        ++kind;
      }
      for (const std::string name : {"attn_norm", "ffn_norm"}) file_.tensor(layer + name + ".weight", {256}, 0, ones());
    }
    file_.tensor("output_norm.weight", {256}, 0, ones());
    file_.tensor("token_embd.weight", {256, 256}, 8, random_blocks({8, {0}, 7}, 256 * 256, random));
    REQUIRE(file_.open().ok());
  }
  LanguageModel load(bool quantized, Precision precision = Precision::kFp32, int threads = 1) const {
    auto model =
        LanguageModel::load(file_.path(), {.precision = precision, .threads = threads, .quantized_base = quantized});
    if (!model.ok()) FAIL(model.error().message);
    return std::move(model.value());
  }

 private:
  static Bytes ones() {
    ByteWriter w;
    for (int i = 0; i < 256; ++i) w.u32(std::bit_cast<std::uint32_t>(1.0F));
    return w.take();
  }
  GgufWriter file_;
};

std::vector<Precision> precisions(const MixedModel&) {
  std::vector<Precision> all = {Precision::kFp32};
  if (LanguageModel::load(vector_path("tiny/llama"), {.precision = Precision::kBf16, .threads = 1}).ok())
    all.push_back(Precision::kBf16);
  return all;
}

std::vector<std::int32_t> text(std::uint64_t seed, std::size_t length) {
  FixedRandom random(seed);
  std::vector<std::int32_t> ids(length);
  for (auto& id : ids) id = static_cast<std::int32_t>(random.below(256));
  return ids;
}

data::DataSet some_data() {
  data::DataSet data;
  for (std::uint32_t u = 0; u < 5; ++u) {
    data::Example example;
    example.ids = text(100 + u, 9 + 17 * u);
    example.labels = example.ids;
    std::fill_n(example.labels.begin(), 4, data::kNoLabel);
    data.units.push_back({"", {u}});
    data.examples.push_back(std::move(example));
  }
  return data;
}

// All linear layers.
AdapterState adapter_for(const ModelConfig& config) {
  LoraPlan plan;
  plan.rank = 4;
  plan.targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
  return scattered_adapter(config, plan);
}

struct Step {
  std::vector<std::vector<float>> units;
  std::vector<std::int64_t> clipped;
  std::vector<float> after;
  bool operator==(const Step&) const = default;
};

// Gradients of each unit, the clipped sum, and the adapter after a private step with noise of a fixed seed.
Step private_step(LanguageModel& model, TrainedPart part, bool recompute, double dropout) {
  auto trainer = AdapterTrainer::make(model, adapter_for(model.config()), part, dropout).value();
  trainer.recompute_layers(recompute);
  const DropoutStreams streams = [](std::uint32_t unit, std::uint32_t record, std::uint32_t layer) {
    return std::make_unique<FixedRandom>(unit * 1000003ULL + record * 1009 + layer);
  };
  const auto data = some_data();
  CollectingSink sink(all_units(data), trainer.dimension());
  REQUIRE(trainer.add_gradients(data, sink, RecordLoss::kMean, streams).ok());
  const privacy::Grid grid(privacy::ClipNorm(1.0), trainer.dimension());
  auto sum = trainer.clipped_sum(data, all_units(data), grid, streams).value();
  Step step{sink.gradients, {sum.reveal_without_noise().begin(), sum.reveal_without_noise().end()}, {}};
  FixedRandom noise(11);
  const auto mean = privacy::add_noise(std::move(sum), privacy::NoiseMultiplier(0.5), noise)
                        .mean(privacy::ExpectedBatch(privacy::SamplingRate(0.5), 10));
  Optimizer optimizer(OptimizerPlan{}, mean.size());
  trainer.step(optimizer, mean, 1e-3);
  step.after = trainer.state();
  return step;
}

}  // namespace

TEST_CASE("a quantised base scores, evaluates and generates as the dense one, bit for bit", "[model]") {
  const MixedModel files;
  for (const auto precision : precisions(files)) {
    auto dense = files.load(false, precision), packed = files.load(true, precision);
    CHECK(packed.is_quantized());
    CHECK_FALSE(dense.is_quantized());
    CHECK(packed.precision() == precision);
    const auto ids = text(1, 40);
    const std::vector<std::uint32_t> rows = {0, 5, 39};
    const auto data = some_data();
    for (const bool adapted : {false, true}) {
      if (adapted)
        for (auto* model : {&dense, &packed}) REQUIRE(model->set_adapter(adapter_for(model->config())).ok());
      CHECK(dense.logits(ids, rows).value() == packed.logits(ids, rows).value());
      CHECK(dense.score(ids)->token_logprobs == packed.score(ids)->token_logprobs);
      CHECK(dense.evaluate(data.examples).value()[3].loss_sum == packed.evaluate(data.examples).value()[3].loss_sum);
      const std::vector<std::vector<std::int32_t>> prompts = {text(2, 7), text(3, 30)};
      CHECK(dense.generate(prompts, {.max_new_tokens = 6, .stop_ids = {}, .sampling = {}}).value() ==
            packed.generate(prompts, {.max_new_tokens = 6, .stop_ids = {}, .sampling = {}}).value());
    }
  }
}

TEST_CASE("a private step on a quantised base is that on the dense one, bit for bit", "[model]") {
  const MixedModel files;
  for (const auto precision : precisions(files))
    for (const auto part : {TrainedPart::kB, TrainedPart::kAB}) {
      auto dense = files.load(false, precision), packed = files.load(true, precision);
      const double dropout = part == TrainedPart::kAB ? 0.1 : 0.0;
      const Step expected = private_step(dense, part, false, dropout);
      CHECK(expected.units[4] != std::vector<float>(expected.units[4].size()));
      CHECK(private_step(packed, part, false, dropout) == expected);
      CHECK(private_step(packed, part, true, dropout) == expected);
    }
}

TEST_CASE("a quantised base is unpacked alike by one thread and by two", "[model]") {
  const MixedModel files;
  auto one = files.load(true);
  const Step expected = private_step(one, TrainedPart::kAB, false, 0);
  auto two = files.load(true, Precision::kFp32, 2);
  CHECK(private_step(two, TrainedPart::kAB, true, 0) == expected);
  auto back = files.load(true);  // the number of threads is the process's
}

TEST_CASE("DoRA and parameters of an adapter's own work on a quantised base as on the dense one", "[model]") {
  const MixedModel files;
  auto dense = files.load(false), packed = files.load(true);
  const auto dora = dense.as_dora(adapter_for(dense.config())).value();
  CHECK(packed.as_dora(adapter_for(packed.config())).value() == dora);
  const auto data = some_data();
  std::vector<std::vector<std::vector<float>>> gradients;
  for (auto* model : {&dense, &packed}) {
    auto trainer = AdapterTrainer::make(*model, dora, TrainedPart::kAB).value();
    CollectingSink sink(all_units(data), trainer.dimension());
    REQUIRE(trainer.add_gradients(data, sink, RecordLoss::kMean).ok());
    gradients.push_back(sink.gradients);
  }
  CHECK(gradients[0] == gradients[1]);

  Adapter own(adapter_for(dense.config()));
  FixedRandom random(5);
  std::vector<float> values(256 * 256);
  for (float& v : values) v = 0.05F * (static_cast<float>(random.below(2001)) / 1000 - 1);
  own.replaced.emplace("model.layers.1.mlp.up_proj.weight", Parameter{{256, 256}, values});
  const auto ids = text(1, 20);
  const std::vector<std::uint32_t> last = {19};
  const auto without = packed.logits(ids, last).value();
  for (auto* model : {&dense, &packed}) REQUIRE(model->set_adapter(own).ok());
  CHECK(packed.logits(ids, last).value() == dense.logits(ids, last).value());
  packed.clear_adapter();
  dense.clear_adapter();
  CHECK(packed.logits(ids, last).value() == dense.logits(ids, last).value());
}

TEST_CASE("the self-check holds for a quantised base, whose memory is that of its blocks", "[model]") {
  const MixedModel files;
  auto dense = files.load(false), packed = files.load(true);
  // 14 matrices of 65,536 numbers: 4 bytes each, or the blocks of 14 formats and room for one matrix.
  CHECK(dense.weight_bytes() - packed.weight_bytes() > 14 * 65536 * 2);
  FixedRandom random(9);
  const auto layout = adapter_for(packed.config()).layout;
  const auto report = self_check(packed, layout, TrainedPart::kAB, privacy::ClipNorm(1.0), random);
  if (!report.ok()) FAIL(report.error().message);
}

TEST_CASE("a folder has no quantised weights to keep, and says so", "[model]") {
  const auto refused = LanguageModel::load(vector_path("tiny/llama"), {.quantized_base = true});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message.find("GGUF") != std::string::npos);
}

TEST_CASE("every architecture's GGUF file can stay packed, with the same logits", "[model]") {
  for (const std::string name : {"gemma2", "gpt2", "llama", "llama_untied_rope3", "mistral", "qwen2", "qwen3"}) {
    INFO(name);
    const auto path = vector_path("tiny_gguf/" + name + ".gguf");
    const auto dense = LanguageModel::load(path, {.precision = Precision::kFp32, .threads = 1}).value();
    const auto packed =
        LanguageModel::load(path, {.precision = Precision::kFp32, .threads = 1, .quantized_base = true}).value();
    auto ids = text(4, 12);
    for (auto& id : ids) id %= static_cast<std::int32_t>(dense.config().vocab_size);
    const std::vector<std::uint32_t> rows = {0, 11};
    CHECK(dense.logits(ids, rows).value() == packed.logits(ids, rows).value());
  }
}

}  // namespace sotto::model
