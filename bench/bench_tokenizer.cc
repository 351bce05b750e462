// bench_tokenizer MODEL FILE [IDS]: how long it takes to load MODEL's tokenizer and to encode the texts of FILE (one JSON
// string a line), on one thread; {"load": seconds, "encode": seconds} on stdout. With IDS, writes each text's ids there, a
// line each.
#include <chrono>
#include <fstream>
#include <iostream>

#include "base/json.h"
#include "data/files/file_bytes.h"
#include "data/tokenizer/tokenizer.h"

namespace sotto {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

Result<std::vector<std::string>> read_texts(const std::string& path) {
  SOTTO_TRY(const auto file, data::FileBytes::map(path));
  std::string_view rest(reinterpret_cast<const char*>(file.view().data()), file.view().size());
  std::vector<std::string> out;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('\n'), rest.size());
    SOTTO_TRY(const Json text, Json::parse(rest.substr(0, end), path));
    out.push_back(text.as_string());
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

Result<void> run(int argc, char** argv) {
  if (argc < 3) return invalid("usage: bench_tokenizer MODEL FILE [IDS]");
  const auto start = Clock::now();
  SOTTO_TRY(auto spec, data::load_tokenizer_spec(argv[1]));
  SOTTO_TRY(const auto tokenizer, data::Tokenizer::make(std::move(spec)));
  const double load = seconds_since(start);
  SOTTO_TRY(const auto texts, read_texts(argv[2]));
  const auto begin = Clock::now();
  std::vector<std::vector<std::int32_t>> ids;
  ids.reserve(texts.size());
  for (const auto& text : texts) ids.push_back(tokenizer.encode(text, data::ControlTokens::kRecognise));
  std::cout << Json::object({{"load", load}, {"encode", seconds_since(begin)}}).dump() << '\n';
  if (argc > 3) {
    std::ofstream out(argv[3]);
    for (const auto& line : ids) {
      for (std::size_t i = 0; i < line.size(); ++i) out << (i ? " " : "") << line[i];
      out << '\n';
    }
  }
  return {};
}

}  // namespace
}  // namespace sotto

int main(int argc, char** argv) {
  const auto done = sotto::run(argc, argv);
  if (!done.ok()) std::cerr << done.error().message << '\n';
  return done.ok() ? 0 : 1;
}
