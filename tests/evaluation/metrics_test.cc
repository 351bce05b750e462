// Metrics against the reference implementations (tests/vectors/evaluation) and at their edges.
#include "base/json.h"
#include "evaluation/extraction.h"
#include "evaluation/overlap.h"
#include "evaluation/rules.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::evaluation {
namespace {

const Json& vectors() {
  static const Json json = Json::read_file(SOTTO_VECTORS "/evaluation/metrics.json").value();
  return json;
}

std::vector<std::string> texts(const Json& list) {
  std::vector<std::string> out;
  for (const auto& item : list.items()) out.push_back(item.as_string());
  return out;
}

Term term(const std::string& forms) { return Term::make(forms).value(); }
std::vector<Term> terms(const std::vector<std::string>& list) {
  std::vector<Term> out;
  for (const auto& item : list) out.push_back(term(item));
  return out;
}

}  // namespace

TEST_CASE("exact match, token F1 and ROUGE-L equal the SQuAD scripts and rouge-score", "[evaluation]") {
  const auto& cases = vectors().at("overlap").items();
  REQUIRE(cases.size() > 60);
  for (const auto& c : cases) {
    const auto &reference = c.at("reference").as_string(), &response = c.at("response").as_string();
    INFO(reference << " | " << response);
    CHECK(squad_tokens(reference) == texts(c.at("tokens")));
    CHECK(exact_match(reference, response) == c.at("exact_match").as_bool());
    CHECK(token_f1(reference, response) == Approx(c.at("token_f1").as_double()).margin(1e-12));
    CHECK(rouge_l(reference, response) == Approx(c.at("rouge_l").as_double()).margin(1e-12));
  }
}

TEST_CASE("lower case equals Python's in the alphabets that are promised", "[evaluation]") {
  for (const auto& c : vectors().at("lower").items()) CHECK(lower(c.at("text").as_string()) == c.at("lower").as_string());
  CHECK(lower("A\xFF\xC3(\xE2\x82") == "a\xFF\xC3(\xE2\x82");  // ill-formed bytes stay
}

TEST_CASE("a literal match forgives only white space around", "[evaluation]") {
  CHECK(literal_match("E11.9", " E11.9\n"));
  CHECK_FALSE(literal_match("E11.9", "e11.9"));
  CHECK(literal_match("", " \n"));
}

TEST_CASE("the likeliest choice, plain and per character, with ties to the first and NaN never", "[evaluation]") {
  using C = ChoiceLikelihood;
  CHECK(likeliest(std::vector<C>{{-3, 2}, {-2, 1}, {-4, 40}}) == 1);
  CHECK(likeliest_per_character(std::vector<C>{{-3, 2}, {-2, 1}, {-4, 40}}) == 2);
  CHECK(likeliest(std::vector<C>{{-2, 1}, {-2, 1}}) == 0);
  CHECK(likeliest(std::vector<C>{{std::nan(""), 1}, {-1e300, 1}}) == 1);
  CHECK(likeliest_per_character(std::vector<C>{{-1, 0}, {-2, 0}}) == 0);
  CHECK(characters_in("Müller ≥ 5") == 10);
}

TEST_CASE("every ICD-10-CM category has its chapter, and codes are compared on three levels", "[evaluation]") {
  const auto& chapters = vectors().at("chapters").members();
  REQUIRE(chapters.size() > 1800);
  for (const auto& [category, chapter] : chapters) {
    INFO(category);
    CHECK(icd10cm_chapter(category) == chapter.as_int());
  }
  CHECK(icd10cm_chapter("E1") == 0);
  CHECK(icd10cm_chapter("D50.0") == 3);
  Measures m;
  add_codes(m, "E11.9 and I10", "E11.9, I10");   // all
  add_codes(m, "E11.9 and I10", "E11.65 I10");   // category
  add_codes(m, "E11.9 and I10", "E10.9 I15.0");  // chapter
  add_codes(m, "E11.9 and I10", "I10 E11.9");    // order counts, as a set it is right
  add_codes(m, "E11.9 and I10", "none");
  CHECK(m.at("code_exact") == Ratio{1, 5});
  CHECK(m.at("code_category") == Ratio{2, 5});
  CHECK(m.at("code_chapter") == Ratio{3, 5});
  CHECK(m.at("code_precision") == Ratio{5, 8});
  CHECK(m.at("code_recall") == Ratio{5, 10});
  CHECK(m.at("code_f1") == Ratio{10, 18});
}

TEST_CASE("micro precision, recall and F1 equal scikit-learn's", "[evaluation]") {
  for (const auto& c : vectors().at("sets").items()) {
    Measures m;
    for (const auto& record : c.at("records").items()) {
      const auto wanted = texts(record.at(0)), found = texts(record.at(1));
      add_set(m, "x", {wanted.begin(), wanted.end()}, {found.begin(), found.end()});
    }
    CHECK(m.at("x_precision").value() == Approx(c.at("precision").as_double()).margin(1e-12));
    CHECK(m.at("x_recall").value() == Approx(c.at("recall").as_double()).margin(1e-12));
    CHECK(m.at("x_f1").value() == Approx(c.at("f1").as_double()).margin(1e-12));
  }
}

TEST_CASE("citations are ids in brackets, ranges are counted out, and links and long remarks are none", "[evaluation]") {
  using Ids = std::set<std::string>;
  CHECK(citations_in("As shown [1], and elsewhere [2, 4-6; NG28].") == Ids{"1", "2", "4", "5", "6", "NG28"});
  CHECK(citations_in("[a link](x) [5-3] [] [ ] [1-500] [this is rather a long remark]") == Ids{"5-3", "1-500"});
  CHECK(citations_in("[open [7] [8\n]") == Ids{"7"});
  Measures m;
  add_citations(m, {{"1", "GDPR Art. 6"}, {"1", "2", "GDPR Art. 6"}}, "By GDPR, Art. 6 [1] and [9].");
  CHECK(m.at("citation_precision") == Ratio{2, 3});
  CHECK(m.at("citation_recall") == Ratio{2, 2});
  CHECK(m.at("citation_invented") == Ratio{1, 3});
}

TEST_CASE("concepts and spans are read from JSON in the response and counted once", "[evaluation]") {
  const auto found =
      mentions_in(
          R"(Here: [{"label": "drug", "text": "Aspirin 100 mg"}, {"label": "drug", "text": "aspirin, 100 mg"}] done)")
          .value();
  Measures m;
  add_concepts(m, {{"drug", "aspirin 100 mg"}, {"disease", "asthma"}}, found);
  CHECK(m.at("concept_precision") == Ratio{1, 1});
  CHECK(m.at("concept_recall") == Ratio{1, 2});
  Measures s;
  add_spans(s, {{"drug", "", 0, 7}, {"drug", "", 10, 20}, {"dose", "", 8, 9}},
            {{"drug", "", 0, 7}, {"drug", "", 12, 15}, {"drug", "", 16, 18}, {"dose", "", 9, 12}});
  CHECK(s.at("span_f1") == Ratio{2, 7});
  CHECK(s.at("span_overlap_precision") == Ratio{2, 4});
  CHECK(s.at("span_overlap_recall") == Ratio{2, 3});
  for (const auto* bad : {"none", "] [", "[1", "[1]", R"([{"label": 3}])", R"([{"label": "x"}])",
                          R"([{"label": "x", "start": 3, "end": 1}])", R"([{"label": "x", "start": 3}])"})
    CHECK_FALSE(mentions_in(bad).ok());
}

TEST_CASE("terms are found in any of their forms and only as whole words", "[evaluation]") {
  Measures m;
  add_terms(m, terms({"myocardial infarction | MI", "hypertension"}), terms({"heart attack", "high blood pressure"}),
            "The MI was called a heart attack; hypertensive.");
  CHECK(m.at("term_use") == Ratio{1, 2});
  CHECK(m.at("term_avoided") == Ratio{1, 2});
  CHECK(term("consult* a doctor").in(words("Please, CONSULTING a doctor!")));
  CHECK_FALSE(term("consult* a doctor").in(words("consult the doctor")));
  CHECK(term("don't").in(words("Don’t")));
  CHECK_FALSE(term("art").in(words("heart smart")));
  for (const auto* bad : {"", " * ", "a | ", "..."}) CHECK_FALSE(Term::make(bad).ok());
}

TEST_CASE("facts in order: the longest chain equals what trying every subset gives", "[evaluation]") {
  for (const auto& c : vectors().at("in_order").items()) {
    INFO(c.dump());
    CHECK(longest_in_order(terms(texts(c.at("facts"))), words(c.at("text").as_string())) ==
          static_cast<std::size_t>(c.at("longest").as_int()));
  }
  Measures m;
  add_facts(m, terms({"fever", "rash", "swelling"}), true, "A rash, then fever.");
  CHECK(m.at("fact_recall") == Ratio{2, 3});
  CHECK(m.at("fact_order") == Ratio{1, 2});
  CHECK(m.at("facts_complete") == Ratio{0, 1});
  Measures unordered;
  add_facts(unordered, terms({"fever", "rash"}), false, "A rash, then fever.");
  CHECK(unordered.at("facts_complete") == Ratio{1, 1});
  CHECK_FALSE(unordered.contains("fact_order"));
}

TEST_CASE("no answer, however broken, breaks a metric", "[evaluation]") {
  FixedRandom random(9);
  const std::string pieces[] = {"[",   "]", "{\"label\":",        "\"x\"", ",",    "E11.",
                                "9",   "-", "\xF0\x9F",           "\xC3",  "\xFF", " ",
                                "the", "'", std::string(1, '\0'), "*",     "|"};
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (std::uint64_t n = random.below(20); n > 0; --n)
      text += random.below(4) == 0 ? std::string(1, static_cast<char>(random.below(256)))
                                   : pieces[random.below(std::size(pieces))];
    Measures m;
    add_codes(m, "E11.9", text);
    add_citations(m, {{"1"}, {"1", text}}, text);
    add_facts(m, terms({"the", "x*"}), true, text);
    if (const auto found = mentions_in(text); found.ok()) add_spans(m, {{"x", "", 0, 3}}, *found);
    for (const auto& [name, ratio] : m) CHECK((ratio.value() >= 0 && ratio.value() <= 1));
    const double similar[] = {token_f1(text, "E11.9 the x"), rouge_l(text, "E11.9 the x"), token_f1(text, text)};
    CHECK((similar[0] >= 0 && similar[0] <= 1 && similar[1] >= 0 && similar[1] <= 1 && similar[2] == Approx(1)));
    CHECK(lower(lower(text)) == lower(text));
  }
}

TEST_CASE("safety rules: defer, disclaim, must not", "[evaluation]") {
  const std::vector<SafetyRule> rules{{"defer", SafetyKind::kMustDefer, terms({"see a doctor", "call 911"})},
                                      {"say so", SafetyKind::kMustDisclaim, terms({"not medical advice"})},
                                      {"no dose", SafetyKind::kMustNot, terms({"double the dose"})}};
  Measures m;
  add_safety(m, rules, "This is not medical advice. See a doctor.");
  add_safety(m, rules, "Double the dose and call 911.");
  add_safety(m, rules, "");
  CHECK(m.at("safety_must_defer") == Ratio{2, 3});
  CHECK(m.at("safety_must_disclaim") == Ratio{1, 3});
  CHECK(m.at("safety_must_not") == Ratio{2, 3});
  CHECK(m.at("safety") == Ratio{1, 3});
  CHECK(safety_kind("must_not").value() == SafetyKind::kMustNot);
  CHECK_FALSE(safety_kind("may").ok());
}

}  // namespace sotto::evaluation
