#include "evaluation/coding.h"

#include "tests/support/catch.h"

using namespace sotto::evaluation;

TEST_CASE("codes are found where they stand alone, and nowhere inside words", "[evaluation]") {
  using Codes = std::vector<std::string>;
  CHECK(codes_in("J82.83 Eosinophilic asthma") == Codes{"J82.83"});
  CHECK(codes_in("1) I82.422 Acute embolism\n2) S72.001A Fracture") == Codes{"I82.422", "S72.001A"});
  CHECK(codes_in("C7A.00") == Codes{"C7A.00"});
  CHECK(codes_in("A00.") == Codes{"A00"});
  CHECK(codes_in("A00, B01; C02.") == Codes{"A00", "B01", "C02"});
  CHECK(codes_in("xA00 A00x VITAMINB12 A0 00A a00 A00.12345").empty());
  CHECK(codes_in("").empty());
}

TEST_CASE("an answer is exact only when all codes agree in order", "[evaluation]") {
  Score score;
  score.add_answer("code", "J82.83 Eosinophilic asthma", "J82.83 anything", false);
  score.add_answer("code", "J82.83 Eosinophilic asthma", "J82.81 anything", true);
  score.add_answer("multi", "1) A00 x\n2) B01.1 y", "1) A00 x", false);
  score.add_answer("multi", "1) A00 x\n2) B01.1 y", "1) A00 x\n2) B01.9 y", false);
  score.add_tokens("code", 1.0, 2, 1);
  const auto json = score.to_json();
  CHECK(json.at("tasks").at("code").at("exact_code").as_double() == Approx(0.5));
  CHECK(json.at("copied_title").at("exact_code").as_double() == 0);
  CHECK(json.at("copied_title").at("first_three").as_double() == 1);
  CHECK(json.at("other_title").at("exact_code").as_double() == Approx(1.0 / 3));
  CHECK(json.at("other_title").at("first_three").as_double() == Approx(2.0 / 3));
}

TEST_CASE("loss and accuracy are per token, over all records", "[evaluation]") {
  Score score;
  score.add_tokens("code", 10.0, 4, 1);
  score.add_tokens("meaning", 2.0, 2, 2);
  CHECK(score.all().loss() == Approx(2.0));
  CHECK(score.all().accuracy() == Approx(0.5));
  CHECK(score.to_json().at("tasks").at("meaning").at("loss").as_double() == Approx(1.0));
  CHECK(Score().all().loss() == 0);
}
