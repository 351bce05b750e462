#include "privacy/mechanism/event.h"

#include <cmath>
#include <string>

#include "privacy/accounting/compose.h"
#include "privacy/accounting/repeat_select.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

using namespace sotto;
using namespace sotto::privacy;

namespace {

DpEvent example() {
  DpEvent event;
  event.unit = Unit::kRecord;
  event.sampling_rate = SamplingRate(24.0 / 1400);
  event.noise_stddev = 151053;
  event.sensitivity = 314743;
  event.dimension = 115200;
  event.grid_step = 0x1p-20;
  event.count = 16;
  return event;
}

DpEvent truncated() {
  DpEvent event = example();
  event.sampling = SamplingKind::kTruncatedPoisson;
  event.population = 1400;
  event.batch_size = 48;
  return event;
}

DpEvent fixed_size() {
  DpEvent event = example();
  event.sampling = SamplingKind::kFixedSize;
  event.sampling_rate = SamplingRate(1);
  event.population = 1000;
  event.batch_size = 24;
  return event;
}

DpEvent allocated() {
  DpEvent event = example();
  event.sampling = SamplingKind::kRandomAllocation;
  event.sampling_rate = SamplingRate(1);
  event.epoch_steps = 58;
  event.epoch_step = 3;
  event.count = 1;
  return event;
}

DpEvent shares() {
  DpEvent event = example();
  event.noise = NoiseKind::kDiscreteGaussianShares;
  event.noise_shares = 7;
  return event;
}

}  // namespace

TEST_CASE("an event survives its bytes and its JSON", "[privacy]") {
  CHECK(decode_event(encode(example())).value() == example());
  const std::string text = to_json(example()).dump();
  CHECK(event_from_json(Json::parse(text, "test").value()).value() == example());
  CHECK(
      text ==
      "{\"unit\":\"record\",\"sampling\":\"poisson\",\"sampling_rate\":0.017142857142857144,\"noise\":\"discrete_gaussian\","
      "\"noise_stddev\":151053,\"sensitivity\":314743,\"dimension\":115200,\"grid_step\":9.5367431640625e-07,\"count\":16}");
}

TEST_CASE("an event's bytes are canonical", "[privacy]") {
  CHECK(to_hex(encode(example())) ==
        "010201"            // format, record, Poisson
        "457f27abe58d913f"  // 24/1400
        "01"                // discrete Gaussian
        "0d4e020000000000"
        "77cd040000000000"
        "00c2010000000000"  // s, C~, d
        "000000000000b03e"  // 2^-20
        "1000000000000000");
}

TEST_CASE("events of every sampler and noise survive their bytes and their JSON, with the members of their kinds alone",
          "[privacy]") {
  for (const DpEvent& event : {truncated(), fixed_size(), allocated(), shares()}) {
    CHECK(decode_event(encode(event)).value() == event);
    const Json json = Json::parse(to_json(event).dump(), "test").value();
    CHECK(event_from_json(json).value() == event);
    CHECK((json.find("sampling_rate") != nullptr) == (event.sampling_rate.value() != 1));
    CHECK((json.find("population") != nullptr) == (event.population != 0));
    CHECK((json.find("epoch_steps") != nullptr) == (event.epoch_steps != 0));
    CHECK((json.find("noise_shares") != nullptr) == (event.noise_shares != 1));
  }
}

TEST_CASE("a cut or lengthened event is refused at every length", "[privacy]") {
  for (const DpEvent& event : {example(), truncated(), fixed_size(), allocated(), shares()}) {
    const Bytes whole = encode(event);
    for (std::size_t n = 0; n < whole.size(); ++n) CHECK_FALSE(decode_event(ByteSpan(whole).first(n)).ok());
    Bytes longer = whole;
    longer.push_back(0);
    CHECK_FALSE(decode_event(longer).ok());
  }
}

TEST_CASE("a member of another kind of sampling or noise is refused, not ignored", "[privacy]") {
  const auto refused_with = [](const DpEvent& event, const char* member, Json value) {
    Json json = to_json(event);
    json.set(member, std::move(value));
    const auto read = event_from_json(json);
    return !read.ok() && read.error().message.find(member) != std::string::npos;
  };
  CHECK(refused_with(example(), "batch_size", 24));
  CHECK(refused_with(example(), "noise_shares", 3));
  CHECK(refused_with(fixed_size(), "sampling_rate", 0.1));
  CHECK(refused_with(fixed_size(), "epoch_steps", 10));
  CHECK(refused_with(fixed_size(), "batch_size", 1001));
  CHECK(refused_with(fixed_size(), "population", 0));
  CHECK(refused_with(allocated(), "epoch_step", 59));
  CHECK(refused_with(allocated(), "count", 2));
  CHECK(refused_with(shares(), "noise_shares", 1));
  DpEvent hidden = example();  // bytes have no names: an unused member cannot be smuggled in
  hidden.population = 5;
  CHECK(decode_event(encode(hidden))->population == 0);
}

TEST_CASE("shares of noise count with their summed variance", "[privacy]") {
  DpEvent event = shares();
  event.noise_stddev = 8;
  event.noise_shares = 4;
  event.sensitivity = 10;
  const double value = effective_noise_multiplier(event)->value();
  CHECK(value <= std::sqrt(4 * 64.0 - 4) / 10);
  CHECK(value > std::sqrt(4 * 64.0 - 4) / 10 * (1 - 1e-14));
}

TEST_CASE("an event of a kind that this version does not know is refused, not guessed", "[privacy]") {
  for (const std::size_t position : {0U, 1U, 2U, 11U}) {  // format, unit, sampling, noise
    Bytes bytes = encode(example());
    bytes[position] = 9;
    CHECK(decode_event(bytes).error().code == ErrorCode::kUnsupported);
  }
  for (const auto& [member, value] : {std::pair{"unit", "site"}, {"sampling", "shuffle"}, {"noise", "gaussian"}}) {
    Json json = to_json(example());
    json.set(member, value);
    const auto event = event_from_json(json);
    CHECK(event.error().code == ErrorCode::kUnsupported);
    CHECK(event.error().message.find(value) != std::string::npos);
  }
  Json more = to_json(example());
  more.set("truncated_at", 40);
  CHECK(event_from_json(more).error().message.find("truncated_at") != std::string::npos);
}

TEST_CASE("an event with a value outside its range is refused by the name of the value", "[privacy]") {
  const auto refused_for = [](const char* member, Json value) {
    Json json = to_json(example());
    json.set(member, std::move(value));
    const auto event = event_from_json(json);
    return !event.ok() && event.error().message.find(member) != std::string::npos;
  };
  CHECK(refused_for("sensitivity", 0));
  CHECK(refused_for("dimension", 0));
  CHECK(refused_for("grid_step", 0.0));
  CHECK(refused_for("grid_step", "nan"));
  CHECK(refused_for("count", 0));
  CHECK(refused_for("noise_stddev", -5));
  CHECK(refused_for("sampling_rate", 0x1.0000000000001p-40));  // finer than 2^-64: no sampler ran that
  for (const double rate : {0.0, -0.1, 1.5}) {
    Json json = to_json(example());
    json.set("sampling_rate", rate);
    CHECK_FALSE(event_from_json(json).ok());
  }
  Json missing = to_json(example());
  missing.set("noise_stddev", nullptr);
  CHECK_FALSE(event_from_json(missing).ok());
  CHECK_FALSE(event_from_json(Json(3)).ok());
}

TEST_CASE("the effective noise multiplier is sqrt(s^2 - 4) / C~, rounded down", "[privacy]") {
  DpEvent event = example();
  event.noise_stddev = 8;
  event.sensitivity = 10;
  const double value = effective_noise_multiplier(event)->value();
  CHECK(value <= std::sqrt(60.0) / 10);
  CHECK(value > std::sqrt(60.0) / 10 * (1 - 1e-14));
}

TEST_CASE("noise too small for its certificate has no multiplier, and so no epsilon", "[privacy]") {
  for (const std::uint64_t s : {0U, 1U, 7U}) {
    DpEvent event = example();
    event.noise_stddev = s;
    CHECK(effective_noise_multiplier(event).error().code == ErrorCode::kRefused);
  }
}

TEST_CASE("the certificate's log-ratio covers the theta functions that the proof bounds it by", "[privacy]") {
  const auto theta = [](double width) {
    double total = 0;
    for (int k = 1; k < 9; ++k) total += 2 * std::exp(-2 * M_PI * M_PI * width * width * k * k);
    return total;
  };
  const double needed = -std::log1p(-theta(kRoundingWidth)) + std::log1p(theta(static_cast<double>(kSmallestNoiseStddev)));
  CHECK(kLogRatioPerCoordinate > needed);
  CHECK(kLogRatioPerCoordinate < 1.01 * needed);
  CHECK(certificate_log_ratio(example()) == Approx(115200 * 1.03e-34));
}

// The certificate itself, where it can be seen: with r = 0.5 in place of 2 the log-ratio is about 0.014. The rounding of the
// continuous Gaussian is integrated numerically and compared with the discrete Gaussian, point by point.
TEST_CASE("a rounded continuous Gaussian equals the discrete one up to the proof's log-ratio", "[privacy]") {
  const double r = 0.5;
  const double s = 2.0;
  double theta = 0;
  for (int k = 1; k < 9; ++k) theta += 2 * std::exp(-2 * M_PI * M_PI * r * r * k * k);
  double norm_s = 0;
  for (int n = -60; n <= 60; ++n) norm_s += std::exp(-n * n / (2 * s * s));
  const double rest = std::sqrt(s * s - r * r);
  double largest = 0;
  for (int n = -8; n <= 8; ++n) {
    double probability = 0;
    const double h = 1e-3;
    for (double y = -40; y < 40; y += h) {
      double norm_r = 0;
      for (double m = std::floor(y) - 8; m <= y + 9; ++m) norm_r += std::exp(-(m - y) * (m - y) / (2 * r * r));
      const double density = std::exp(-y * y / (2 * rest * rest)) / (rest * std::sqrt(2 * M_PI));
      probability += h * density * std::exp(-(n - y) * (n - y) / (2 * r * r)) / norm_r;
    }
    largest = std::max(largest, std::abs(std::log(probability) - std::log(std::exp(-n * n / (2 * s * s)) / norm_s)));
  }
  CHECK(largest <= -std::log1p(-theta));
  CHECK(largest > 0.01 * theta);  // the bound is generous, but of this kind
}

TEST_CASE("a selection's choices are one release, written, read and composed as the theorem says", "[privacy]") {
  DpEvent one = example();
  one.count = 20;
  DpEvent other = one;
  other.count = 5;
  for (DpEvent* e : {&one, &other}) e->trials = {TrialsKind::kGeometric, 8, 2};
  const std::vector<DpEvent> both{one, other};
  CHECK(decode_event(encode(one)).value() == one);
  CHECK(event_from_json(Json::parse(to_json(one).dump(), "x").value()).value() == one);
  const auto releases = releases_of(both).value();
  REQUIRE(releases.size() == 1);
  const auto& selection = std::get<RepeatAndSelect>(releases.front().mechanism);
  CHECK(selection.shape == 1.0);
  CHECK(selection.or_runs.size() == 1);
  const auto epsilon = [](const std::vector<DpEvent>& events) {
    return proven_epsilon(events, Delta(1e-5)).value().upper();
  };
  DpEvent alone = one, plain = one;
  alone.trials.choices = 1;
  plain.trials = {};
  CHECK(epsilon(both) == Approx(epsilon({alone})).epsilon(1e-9));  // the dearer run counts
  CHECK(epsilon(both) > epsilon({plain}));
  CHECK(epsilon({one, other, one, other}) > 1.1 * epsilon(both));  // two searches are two releases
  CHECK_FALSE(releases_of(std::vector{one}).ok());
  CHECK_FALSE(releases_of(std::vector{one, plain}).ok());
  CHECK_FALSE(release_of(one).ok());
  alone.trials.mean = 0.5;
  CHECK_FALSE(decode_event(encode(alone)).ok());
  alone.trials = {TrialsKind::kPoisson, 4, 65};
  CHECK_FALSE(decode_event(encode(alone)).ok());
}

TEST_CASE("the number of a selection's runs is geometric, or Poisson, as it says", "[privacy]") {
  FixedRandom random(11);
  constexpr int kDraws = 40000;
  const auto counted = [&](const Trials& trials) {
    std::vector<double> share(12);
    for (int i = 0; i < kDraws; ++i)
      if (const auto k = draw_number(trials, random); k < share.size()) share[k] += 1.0 / kDraws;
    return share;
  };
  const auto geometric = counted({TrialsKind::kGeometric, 3, 1}), poisson = counted({TrialsKind::kPoisson, 2, 1});
  CHECK(geometric[0] == 0);
  for (int k = 1; k < 8; ++k)
    CHECK(geometric[static_cast<std::size_t>(k)] == Approx(std::pow(2.0 / 3, k - 1) / 3).margin(0.012));
  double expected = std::exp(-2);
  for (int k = 0; k < 8; ++k) {
    CHECK(poisson[static_cast<std::size_t>(k)] == Approx(expected).margin(0.012));
    expected *= 2.0 / (k + 1);
  }
  CHECK(draw_number({TrialsKind::kGeometric, 1, 1}, random) == 1);
}
