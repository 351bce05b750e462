#include "curation/near_duplicates.h"

#include <algorithm>
#include <cmath>

#include "curation/duplicates.h"
#include "tests/support/catch.h"

namespace sotto::curation {
namespace {

// Words w<from> .. w<to - 1>.
std::string words(int from, int to) {
  std::string out;
  for (int i = from; i < to; ++i) out += "w" + std::to_string(i) + " ";
  return out;
}

}  // namespace

TEST_CASE("shingles are runs of three words, whatever their case and what stands between", "[near_duplicates]") {
  CHECK(shingles_of("The quick, brown FOX") == shingles_of("the QUICK brown\nfox!"));
  CHECK(shingles_of("a b c d").size() == 2);
  CHECK(shingles_of("a b").size() == 1);
  CHECK(shingles_of("...").empty());
  CHECK(shingles_of("Ärzte prüfen Maße") == shingles_of("ärzte PRÜFEN maße"));
  CHECK(shingles_of("a b c a b c").size() == 3);
}

TEST_CASE("similarity is the share of common shingles, and the signature estimates it", "[near_duplicates]") {
  // 98 shingles each; the first 100 - k words' 98 - k are common, so J = (98 - k) / (98 + k).
  const auto base = words(0, 100);
  NearDuplicates all;
  all.add(base);
  for (const int k : {0, 5, 10, 20, 40, 98}) {
    const auto other = words(k, 100 + k);
    const double exact = std::max(0.0, (98.0 - k) / (98.0 + k));
    CHECK(jaccard(shingles_of(base), shingles_of(other)) == Approx(exact));
    const auto number = all.add(other);
    // Four standard errors of a share of 64: a false alarm in 16,000.
    CHECK(std::abs(all.estimate(0, number) - exact) <= 4 * std::sqrt(exact * (1 - exact) / 64) + 1e-9);
  }
}

TEST_CASE("pairs above the threshold are found among many texts, others are not", "[near_duplicates]") {
  NearDuplicates all;
  for (int i = 0; i < 300; ++i) all.add(words(1000 * i, 1000 * i + 60));
  const auto a = all.add(words(5000, 5062));  // two words more than text 5: J = 58 / 60
  const auto pairs = all.pairs(0.8);
  REQUIRE(pairs.size() == 1);
  CHECK(pairs[0].first == 5);
  CHECK(pairs[0].second == a);
  CHECK(pairs[0].similarity > 0.8);
}

TEST_CASE("a thousand copies give thousands of pairs, not a million", "[near_duplicates]") {
  NearDuplicates all;
  for (int i = 0; i < 1000; ++i) all.add(words(0, 30));
  const auto pairs = all.pairs(0.9);
  CHECK(pairs.size() >= 999);
  CHECK(pairs.size() < 4000);
}

TEST_CASE("what repeats within a patient depends on that patient alone", "[duplicates]") {
  const auto text = words(0, 40);
  Duplicates alone(0.8);
  Duplicates company(0.8);
  for (int i = 0; i < 20; ++i) company.add(Part::kTraining, "other " + std::to_string(i), text);
  CHECK_FALSE(alone.add(Part::kTraining, "p", text));
  CHECK_FALSE(company.add(Part::kTraining, "p", text));  // others have it, p did not
  const auto exact = alone.add(Part::kTraining, "p", text);
  REQUIRE(exact);
  CHECK(exact->of == 0);
  CHECK(exact->similarity == 1.0);
  const auto near = company.add(Part::kTraining, "p", words(0, 41));
  REQUIRE(near);
  CHECK(near->of == 20);
  CHECK(near->similarity < 1.0);
  const auto counts = company.counts();
  CHECK(counts.near_within == 1);
  CHECK(counts.exact_within == 0);
  CHECK(counts.exact_across == 20);
}

TEST_CASE("leaks into validation are patients, texts and near texts", "[duplicates]") {
  Duplicates all(0.8);
  all.add(Part::kTraining, "a", words(0, 40));
  all.add(Part::kTraining, "b", words(100, 140));
  all.add(Part::kValidation, "b", words(900, 940));  // 2: its patient trains
  all.add(Part::kValidation, "c", words(0, 40));     // 3: the same text
  all.add(Part::kValidation, "d", words(100, 141));  // 4: nearly the same
  all.add(Part::kValidation, "e", words(2000, 2040));
  const auto counts = all.counts();
  CHECK(counts.leaked_patients == 1);
  CHECK(counts.leaked_exact == 1);
  CHECK(counts.leaked_near == 1);
  CHECK(counts.leaked == std::vector<std::uint32_t>{3, 4});
}

}  // namespace sotto::curation
