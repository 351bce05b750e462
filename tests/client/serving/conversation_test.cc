// generate and chat through their commands, on the fixture's tiny model.
#include "client/serving/conversation.h"

#include <iostream>
#include <sstream>

#include "base/json.h"
#include "client/text/side_by_side.h"
#include "client/text/text_model.h"
#include "client/text/text_stream.h"
#include "model/adapter/lora.h"
#include "model/adapter/peft_folder.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::client {
namespace {

const std::string kModel = std::string(SOTTO_VECTORS) + "/fixture";

// What a command answers to lines on standard input.
struct Spoken {
  std::string out;
  std::string error;  // empty: it went well
  std::vector<Json> lines() const {
    std::vector<Json> all;
    std::istringstream in(out);
    for (std::string line; std::getline(in, line);) all.push_back(Json::parse(line, "output").value());
    return all;
  }
};

Spoken speak(Result<void> (*command)(const WriteCommand&), const WriteCommand& arguments, const std::string& input) {
  std::istringstream in(input);
  std::ostringstream out;
  auto* const old_in = std::cin.rdbuf(in.rdbuf());
  auto* const old_out = std::cout.rdbuf(out.rdbuf());
  const auto result = command(arguments);
  std::cin.rdbuf(old_in);
  std::cout.rdbuf(old_out);
  std::cin.clear();
  return {out.str(), result.ok() ? "" : result.error().message};
}

WriteCommand tiny(bool json) {
  WriteCommand command;
  command.model = kModel;
  command.precision = "fp32";
  command.threads = 1;
  command.max_tokens = 12;
  command.json = json;
  return command;
}

// An adapter that changes what the model says.
std::string loud_adapter() {
  static const TemporaryFolder folder;
  LoraPlan plan;
  plan.rank = 2;
  plan.alpha = 64;
  plan.targets = {"down_proj"};
  const auto config = read_model_config(kModel).value();
  auto state = model::zero_adapter(model::lora_layout(config, plan).value());
  for (auto& factors : state.factors) {
    for (std::size_t i = 0; i < factors.a.size(); ++i) factors.a[i] = static_cast<float>(i % 7) - 3;
    for (std::size_t i = 0; i < factors.b.size(); ++i) factors.b[i] = static_cast<float>(i % 5) - 2;
  }
  REQUIRE(
      model::save_peft_folder(folder.path(), state, model::peft_config(plan, state.layout, config, "fixture"), config).ok());
  return folder.path();
}

}  // namespace

TEST_CASE("generate answers each line, the same alone, in a batch and as a stream", "[client]") {
  const std::string input =
      "{\"text\":\"code for asthma\"}\n{\"ids\":[5,6,7]}\n{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n";
  const auto alone = speak(generate, tiny(true), input);
  REQUIRE(alone.error.empty());
  auto batched = tiny(true);
  batched.batch = 2;
  CHECK(speak(generate, batched, input).out == alone.out);
  const auto lines = alone.lines();
  REQUIRE(lines.size() == 3);
  for (const auto& line : lines) {
    CHECK(line.at("ids").items().size() <= 12);
    CHECK((line.at("finish").as_string() == "stop" || line.at("ids").items().size() == 12));
  }
  CHECK(speak(generate, tiny(false), "code for asthma\n").out == lines[0].at("text").as_string() + "\n");
  auto prompted = tiny(false);
  prompted.prompt = "code for asthma";
  CHECK(speak(generate, prompted, "").out == lines[0].at("text").as_string() + "\n");
}

TEST_CASE("generate draws the same text for a seed, and another for another", "[client]") {
  auto command = tiny(true);
  command.temperature = 1.5;
  command.top_k = 40;
  command.top_p = 0.95;
  command.seed = 3;
  const std::string input = "{\"text\":\"asthma\"}\n";
  const auto first = speak(generate, command, input);
  CHECK(first.error.empty());
  CHECK(speak(generate, command, input).out == first.out);
  command.seed = 4;
  CHECK(speak(generate, command, input).out != first.out);
}

TEST_CASE("generation ends before a stop string", "[client]") {
  auto command = tiny(true);
  const std::string input = "{\"text\":\"code for asthma\"}\n";
  const auto whole = speak(generate, command, input).lines()[0].at("text").as_string();
  REQUIRE(whole.size() > 4);
  command.stop = {whole.substr(whole.size() / 2, 2)};
  const auto stopped = speak(generate, command, input).lines()[0];
  CHECK(stopped.at("text").as_string() == whole.substr(0, whole.find(command.stop[0])));
  CHECK(stopped.at("finish").as_string() == "stop");
}

TEST_CASE("chat remembers what was said until it is reset", "[client]") {
  const auto spoken =
      speak(chat, tiny(true),
            "{\"content\":\"asthma\"}\n{\"content\":\"asthma\"}\n{\"content\":\"/reset\"}\n{\"content\":\"asthma\"}\n");
  REQUIRE(spoken.error.empty());
  const auto lines = spoken.lines();
  REQUIRE(lines.size() == 3);
  CHECK(lines[2].dump() == lines[0].dump());
  CHECK(speak(chat, tiny(false), "asthma\n").out == lines[0].at("content").as_string() + "\n");
}

TEST_CASE("chat compares a model with and without its adapter", "[client]") {
  auto command = tiny(true);
  const std::string input = "{\"content\":\"asthma\"}\n";
  const auto base = speak(chat, command, input).lines()[0].at("content").as_string();
  command.adapters = {loud_adapter()};
  const auto tuned = speak(chat, command, input).lines()[0].at("content").as_string();
  CHECK(tuned != base);
  command.compare = true;
  const auto both = speak(chat, command, input).lines()[0];
  CHECK(both.at("base").as_string() == base);
  CHECK(both.at("tuned").as_string() == tuned);
  command.json = false;
  CHECK(speak(chat, command, "asthma\n").out.find(" | tuned") != std::string::npos);
  command.adapters.clear();
  CHECK(speak(chat, command, input).error.find("--adapter") != std::string::npos);
}

TEST_CASE("several adapters swap on one loaded model", "[client]") {
  auto command = tiny(true);
  const std::string line = "{\"content\":\"asthma\"}\n";
  const auto answer = [&](const std::string& text) { return Json::object({{"content", text}}).dump() + "\n"; };
  const auto base = speak(chat, command, line).lines()[0].at("content").as_string();
  const std::string loud = loud_adapter(), plain = kModel + "/../gguf_export/adapter";
  command.adapters = {loud};
  const auto shouted = speak(chat, command, line).lines()[0].at("content").as_string();
  command.adapters = {plain};
  const auto said = speak(chat, command, line).lines()[0].at("content").as_string();
  command.adapters = {plain, loud};
  const auto name = std::filesystem::path(loud).filename().string();
  const auto swapped =
      speak(chat, command,
            line + "{\"content\":\"/adapter " + name + "\"}\n{\"content\":\"/adapter\"}\n{\"content\":\"/reset\"}\n" + line);
  CHECK(swapped.error.empty());
  CHECK(swapped.out == answer(said) + answer(said));
  const auto loudly = speak(chat, command, "{\"content\":\"/adapter " + name + "\"}\n" + line);
  CHECK(loudly.out == answer(shouted));
  command.compare = true;
  const auto all = speak(chat, command, line).lines()[0];
  CHECK(all.at("base").as_string() == base);
  CHECK(all.at("adapter").as_string() == said);
  CHECK(all.at(name).as_string() == shouted);
  command.compare = false;
  CHECK(speak(chat, command, "{\"content\":\"/adapter other\"}\n").error.find("known are adapter, " + name) !=
        std::string::npos);
  const auto text = [](const std::string& adapter) { return "{\"text\":\"code\",\"adapter\":\"" + adapter + "\"}\n"; };
  command.batch = 2;  // lines of one adapter go together
  const auto written = speak(generate, command, text("adapter") + text(name) + text(name) + text("")).lines();
  REQUIRE(written.size() == 4);
  CHECK(written[1].dump() == written[2].dump());
  CHECK(written[0].dump() != written[1].dump());
  CHECK(written[3].dump() != written[1].dump());
  command.adapters = {loud, loud};
  CHECK(speak(chat, command, line).error.find("given twice") != std::string::npos);
}

TEST_CASE("a model without a tokenizer goes on from ids, and says what it cannot", "[client]") {
  auto command = tiny(true);
  command.model = kModel + "/../tiny/llama";
  const auto written = speak(generate, command, "{\"ids\":[5,6,7]}\n");
  REQUIRE(written.error.empty());
  const auto line = written.lines()[0];
  CHECK(line.at("ids").items().size() <= 12);
  CHECK(line.find("text") == nullptr);
  CHECK(speak(generate, command, "{\"text\":\"a\"}\n").error.find("brings no tokenizer") != std::string::npos);
  CHECK(speak(chat, command, "{\"content\":\"a\"}\n").error.find("brings no tokenizer") != std::string::npos);
  command.stop = {"x"};
  CHECK(speak(generate, command, "{\"ids\":[5]}\n").error.find("brings no tokenizer") != std::string::npos);
}

TEST_CASE("settings and lines that cannot be used are refused by their names", "[client]") {
  const auto refusal = [](auto set, const std::string& input) {
    auto command = tiny(true);
    set(command);
    return speak(generate, command, input).error;
  };
  const std::string good = "{\"ids\":[5]}\n";
  CHECK(refusal([](auto& c) { c.max_tokens = 0; }, good).find("--max-tokens") != std::string::npos);
  CHECK(refusal([](auto& c) { c.top_k = -1; }, good).find("--top-k") != std::string::npos);
  CHECK(refusal([](auto& c) { c.top_p = 7; }, good).find("top-p") != std::string::npos);
  CHECK(refusal([](auto& c) { c.batch = 0; }, good).find("--batch") != std::string::npos);
  CHECK(refusal([](auto& c) { c.precision = "int3"; }, good).find("--precision") != std::string::npos);
  CHECK(refusal([](auto&) {}, good + "{\"ids\":[99999]}\n").find(":2") != std::string::npos);
  CHECK(refusal([](auto&) {}, "{\"ids\":[]}\n").find("no token") != std::string::npos);
  CHECK(refusal([](auto&) {}, "{\"txt\":\"\"}\n").find("text") != std::string::npos);
}

TEST_CASE("a text stream hands out whole characters, and nothing that may become a stop string", "[client]") {
  const auto model = TextModel::load(kModel).value();
  const auto& tokenizer = model.tokenizer();
  const std::string text =
      "Gr\xC3\xBC\xC3\x9F"
      "e \xF0\x9F\x98\x80, STOP here";
  const auto ids = tokenizer.encode(text, data::ControlTokens::kAsPlainText);
  const auto run = [&](std::vector<std::string> stops) {
    TextStream stream(tokenizer, std::move(stops));
    std::string shown;
    for (const auto id : ids) {
      shown += stream.add(id).value();
      CHECK(shown.find("\xEF\xBF\xBD") == std::string::npos);
      CHECK(shown == stream.text());
      CHECK(shown.find('S') == std::string::npos);
      if (stream.stopped() || shown.find(',') != std::string::npos) break;
    }
    return shown;
  };
  CHECK(text.starts_with(run({})));
  TextStream whole(tokenizer, {});
  std::string all;
  for (const auto id : ids) all += whole.add(id).value();
  CHECK(all + whole.finish() == text);
  TextStream stopped(tokenizer, {"STOP"});
  all.clear();
  for (const auto id : ids) {
    all += stopped.add(id).value();
    CHECK(all.find('S') == std::string::npos);
  }
  CHECK(stopped.stopped());
  CHECK(all + stopped.finish() == text.substr(0, text.find("STOP")));
  CHECK_FALSE(stopped.text().ends_with("S"));
}

TEST_CASE("two texts stand side by side, wrapped at spaces, whatever their lengths", "[client]") {
  const std::string both = side_by_side({"base", "one two three four five six"}, {"tuned", "x\ny"}, 40);
  CHECK(both ==
        "base               | tuned\n"
        "one two three four | x\n"
        "five six           | y\n");
  const std::string umlauts(30, 'a');
  const auto long_word = side_by_side({"a", umlauts}, {"b", ""}, 0);
  CHECK(long_word.find(std::string(18, 'a') + " | \n") != std::string::npos);
}

}  // namespace sotto::client
