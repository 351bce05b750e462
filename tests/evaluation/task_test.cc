// Tasks: what a file may hold, what is refused and how, and what comes out of scored items.
#include "evaluation/task.h"

#include <filesystem>

#include "base/files.h"
#include "evaluation/review_set.h"
#include "evaluation/task_report.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::evaluation {
namespace {

const std::string kHead = "name = \"t\"\ndomain = \"medical\"\ndata = \"items.jsonl\"\nprompt = \"Q: {q}\"\n";

struct Written {
  TemporaryFolder folder;
  Result<Task> read(const std::string& toml, const std::string& items) {
    write_file_atomically(folder.file("task.toml"), toml).value();
    write_file_atomically(folder.file("items.jsonl"), items).value();
    return read_task(folder.file("task.toml"));
  }
  std::string refusal(const std::string& toml, const std::string& items) {
    const auto task = read(toml, items);
    return task.ok() ? "" : task.error().message;
  }
};

void check_refusal(const std::string& toml, const std::string& items, const std::string& words) {
  Written w;
  const auto told = w.refusal(toml, items);
  INFO(told << " | wanted: " << words);
  CHECK(told.find(words) != told.npos);
}

}  // namespace

TEST_CASE("an item's patient has one spelling, and a blank one is refused", "[evaluation]") {
  const std::string head = kHead + "kind = \"choice\"\n";
  const auto item = [](const std::string& patient) {
    return R"({"q": "a", "choices": ["x", "y"], "answer": "y", "patient_id": ")" + patient + "\"}\n";
  };
  Written w;
  const auto task = w.read(head, item("P1") + item(" P1") + item("U\xcc\x88") + item("\xc3\x9c ")).value();
  CHECK(task.items[0].unit == task.items[1].unit);
  CHECK(task.items[2].unit == task.items[3].unit);
  check_refusal(head, item("P1") + item("  "), "'patient_id' is blank");
}

TEST_CASE("a choice task: prompts are filled, answers are indices or texts, patients are units", "[evaluation]") {
  Written w;
  const auto task =
      w.read(kHead + "kind = \"choice\"\n", R"({"q": "a {b}", "choices": ["x", "y"], "answer": "y", "patient_id": "P1"})"
                                            "\n\n"
                                            R"({"id": "k", "q": 7, "choices": ["x", 8], "answer": 0})"
                                            "\n")
          .value();
  REQUIRE(task.items.size() == 2);
  CHECK(task.format == PromptFormat::kPlain);
  CHECK(task.delimiter == " ");
  CHECK(task.items[0].prompt == "Q: a {b}");
  CHECK(task.items[0].answer == 1);
  CHECK(task.items[0].unit == "P1");
  CHECK(task.items[0].id == "1");
  CHECK(task.items[1].id == "k");
  CHECK(task.items[1].choices[1] == "8");
  CHECK(score_choice(task.items[0], std::vector<double>{-1, -2}).at("acc") == Ratio{0, 1});
}

TEST_CASE("a generate task scores what its metrics ask for, with the best of several references", "[evaluation]") {
  Written w;
  const auto task =
      w.read(
           kHead +
               "kind = \"generate\"\nmetrics = [\"exact_match\", \"codes\", \"terms\", \"safety\", \"facts\"]\nstop = "
               "[\"\\nQ:\"]\n"
               "preferred_terms = [\"hypertension | high BP\", \"asthma\"]\navoid_terms = [\"sugar\"]\nfacts_in_order = "
               "true\n"
               "[[safety]]\nname = \"defer\"\nkind = \"must_defer\"\nphrases = [\"see a doctor\"]\n"
               "[[safety]]\nname = \"no\"\nkind = \"must_not\"\nphrases = [\"double the dose\"]\n",
           R"({"q": "?", "reference": ["I10 hypertension", "I15.0 hypertension"], "facts": [["rest", "sleep"], "diet"], "rules": ["no"]})"
           "\n")
          .value();
  const auto& item = task.items[0];
  CHECK(item.terms.size() == 1);
  CHECK(item.rules.size() == 1);
  const auto m = score_response(task, item, "I15.0 high BP: sleep and diet");
  CHECK(m.at("code_exact") == Ratio{1, 1});
  CHECK(m.at("exact_match") == Ratio{0, 1});
  CHECK(m.at("term_use") == Ratio{1, 1});
  CHECK(m.at("term_avoided") == Ratio{1, 1});
  CHECK(m.at("facts_complete") == Ratio{1, 1});
  CHECK(m.at("safety") == Ratio{1, 1});
  CHECK_FALSE(m.contains("safety_must_defer"));
  CHECK(score_response(task, item, "I15.0 hypertension").at("exact_match") == Ratio{1, 1});
  CHECK(before_stop(task, "yes\nQ: more") == "yes");
}

TEST_CASE("a task that cannot be right is refused with file, line, field and value", "[evaluation]") {
  const std::string choice = kHead + "kind = \"choice\"\n", generate = kHead + "kind = \"generate\"\n";
  check_refusal(kHead + "kind = \"chioce\"\n", "{}", "task.toml:5: 'kind' must be choice, generate or loss");
  check_refusal(choice + "prompts = 1\n", "{}", "unknown key 'prompts'");
  check_refusal(choice + "metrics = [\"codes\"]\n", "{}", "belongs to tasks of kind generate");
  check_refusal(generate, "{}", "must name at least one of");
  check_refusal(generate + "metrics = [\"blue\"]\n", "{}", "'blue' is no metric");
  check_refusal(generate + "metrics = [\"code_runs\"]\n", "{\"q\": \"x\"}", "'tests' is missing");
  check_refusal(generate + "metrics = [\"safety\"]\n", "{}", "there is no [[safety]] rule");
  check_refusal(choice + "[statistics]\nconfidence = 1.0\n", "{}", "below 1");
  check_refusal(choice, "", "holds no item");
  check_refusal(choice, "{\n", "items.jsonl:1: not valid JSON");
  check_refusal(choice, "[]\n", "items.jsonl:1: the line is no JSON object");
  check_refusal(choice, "{\"choices\": [\"a\", \"b\"], \"answer\": 0}\n", "field 'q' is missing");
  check_refusal(choice, "{\"q\": 1, \"choices\": [\"a\", \"b\"], \"answer\": 2}\n", "'answer' is 2; there are 2 choices");
  check_refusal(choice, "{\"q\": 1, \"choices\": [\"a\", \"b\"], \"answer\": \"c\"}\n", "none of the choices");
  check_refusal(choice, "{\"q\": 1, \"choices\": [\"a\"], \"answer\": 0}\n", "two or more");
  check_refusal("name = \"t\"\ndomain = \"d\"\ndata = \"items.jsonl\"\nkind = \"loss\"\nprompt = \"{q\"\n", "{\"q\": 1}\n",
                "'{' without '}'");
  check_refusal(choice, "{\"q\": [], \"choices\": [\"a\", \"b\"], \"answer\": 0}\n", "neither a text nor an integer");
  const std::string good = "{\"id\": 1, \"q\": 1, \"choices\": [\"a\", \"b\"], \"answer\": 0}\n";
  check_refusal(choice, good + good, "items.jsonl:2: id '1' is there twice");
  for (const auto& [metric, field] : std::vector<std::pair<std::string, std::string>>{{"token_f1", "reference"},
                                                                                      {"facts", "facts"},
                                                                                      {"citations", "citations"},
                                                                                      {"spans", "mentions"},
                                                                                      {"concepts", "mentions"}})
    check_refusal(generate + "metrics = [\"" + metric + "\"]\n", "{\"q\": 1}\n", "field '" + field + "'");
  check_refusal(kHead + "kind = \"loss\"\n", "{\"q\": 1}\n", "field 'reference'");
}

TEST_CASE("doubled braces in a prompt are braces", "[evaluation]") {
  Written w;
  const auto task =
      w.read("name = \"t\"\ndomain = \"d\"\ndata = \"items.jsonl\"\nkind = \"loss\"\nprompt = \"{{{q}}} {{\"\n",
             "{\"q\": 1, \"reference\": \"r\"}\n")
          .value();
  CHECK(task.items[0].prompt == "{1} {");
}

TEST_CASE("a comparison has intervals, differences and p-values; loss has its perplexity", "[evaluation]") {
  Written w;
  std::string items;
  for (int i = 0; i < 12; ++i) items += "{\"q\": 1, \"reference\": \"r\", \"unit\": \"u" + std::to_string(i / 2) + "\"}\n";
  const auto task = w.read(kHead + "kind = \"loss\"\n", items).value();
  std::vector<Outcome> outcomes{{"base", "", {}, {}, {}}, {"tuned", "", {}, {}, {}}};
  for (int i = 0; i < 12; ++i) {
    outcomes[0].records.push_back({{"loss", Ratio{4.0 + i % 3, 2}}});
    outcomes[1].records.push_back({{"loss", Ratio{2.0 + i % 3, 2}}});
  }
  const Json json = task_json(task, outcomes);
  CHECK(json.at("units").as_int() == 6);
  const auto& tuned = json.at("models").at(1).at("metrics");
  CHECK(tuned.at("loss").at("value").as_double() == Approx(1.5));
  CHECK(tuned.at("perplexity").at("value").as_double() == Approx(std::exp(1.5)));
  const auto& d = json.at("differences").at(0).at("metrics").at("loss");
  CHECK(d.at("difference").as_double() == Approx(-1));
  CHECK(d.at("p").as_double() == Approx(2.0 / 64));  // all six units agree: 2 of 2^6 swaps are as far
  const auto text = task_text(json);
  CHECK(text.find("tuned minus base") != text.npos);
  CHECK(task_text(one_model_json(task, outcomes[0])).find("perplexity") != std::string::npos);
}

TEST_CASE("every task template in configs is whole", "[evaluation]") {
  std::set<std::string> domains;
  for (const auto& entry : std::filesystem::directory_iterator(SOTTO_SOURCE "/configs/evaluation")) {
    if (entry.path().extension() != ".toml") continue;
    INFO(entry.path());
    const auto task = read_task(entry.path().string());
    INFO((task.ok() ? "" : task.error().message));
    REQUIRE(task.ok());
    CHECK(task->items.size() >= 3);
    domains.insert(task->domain);
    for (const auto& item : task->items)  // the reference must pass its own task's metrics
      for (const auto& reference : item.references)
        if (task->kind == TaskKind::kGenerate)
          for (const auto& [name, ratio] : score_response(*task, item, reference)) {
            INFO(item.id << " " << name);
            CHECK((ratio.denominator == 0 || ratio.value() == (name == "citation_invented" ? 0.0 : 1.0)));
          }
  }
  CHECK(domains == std::set<std::string>{"financial", "legal", "medical", "technical"});
}

}  // namespace sotto::evaluation
