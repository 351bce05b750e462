// Times the accountant's queries for bench/accounting.py: one JSON object a line, CPU milliseconds of the fastest of five
// runs.
#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <limits>
#include <vector>

#include "base/json.h"
#include "privacy/accounting/calibrate.h"
#include "privacy/accounting/online.h"
#include "privacy/accounting/profile.h"
#include "privacy/accounting/release_losses.h"

namespace {

using namespace sotto;
using namespace sotto::privacy;

double cpu_ms(const std::function<void()>& query, int runs = 5) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < runs; ++i) {
    const std::clock_t start = std::clock();
    query();
    best = std::min(best, 1e3 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return best;
}

void report(const char* name, double ms, Json answer) {
  answer.set("case", name).set("ms", ms);
  std::printf("%s\n", answer.dump().c_str());
}

void queries(double sigma, double rate, const char* name) {
  const GaussianSteps steps{NoiseMultiplier(sigma), SamplingRate(rate), 10000};
  const Delta delta(1e-5);
  Bracket found;
  const double pld = cpu_ms([&] { found = pld_epsilon({&steps, 1}, delta)->bracket; });
  report((std::string("pld ") + name).c_str(), pld, Json::object({{"lower", found.lower}, {"upper", found.upper}}));
  double upper = 0;
  const double rdp = cpu_ms([&] { upper = epsilon_upper(steps, delta, Accountant::kRdp); });
  report((std::string("rdp ") + name).c_str(), rdp, Json::object({{"upper", upper}}));
}

// Epsilon after each of 1,000 different rounds.
void rounds() {
  ReleasesBracket found;
  const double ms = cpu_ms([&] {
    OnlineProfile profile{Delta(1e-5)};
    for (int i = 0; i < 1000; ++i) {
      found = *profile.append({GaussianNoise{1 + 0.001 * i}, {SamplingKind::kPoisson, 0.01 + 1e-5 * i}, std::nullopt, 1});
    }
  });
  report("after each of 1,000 rounds", ms, Json::object({{"lower", found.epsilon.lower}, {"upper", found.epsilon.upper}}));
}

// One composition of 10,000 steps, no two alike.
void different_steps() {
  std::vector<Release> all;
  for (int i = 0; i < 10000; ++i) {
    all.push_back({GaussianNoise{1 + 1e-4 * i}, {SamplingKind::kPoisson, 0.002 + 1e-6 * i}, std::nullopt, 1});
  }
  ReleasesBracket found;
  const double ms = cpu_ms([&] { found = *bracket_of_releases(all, Neighbours::kAddRemove, Delta(1e-5)); }, 1);
  report("10,000 different steps", ms, Json::object({{"lower", found.epsilon.lower}, {"upper", found.epsilon.upper}}));
}

}  // namespace

int main() {
  rounds();
  different_steps();
  queries(1, 0.01, "q=0.01");
  queries(1, 1e-4, "q=0.0001");
  for (const Accountant accountant : {Accountant::kPld, Accountant::kRdp}) {
    double sigma = 0;
    const double ms =
        cpu_ms([&] { sigma = calibrate_noise(Epsilon(3), Delta(1e-5), SamplingRate(0.01), 10000, accountant)->value(); });
    report(accountant == Accountant::kPld ? "calibrate pld" : "calibrate rdp", ms, Json::object({{"sigma", sigma}}));
  }
  return 0;
}
