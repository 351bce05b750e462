// bench_pii FILE: what PiiFinder finds in the texts of FILE (one JSON string a line): [[begin, end, kind], ...] in bytes, a
// line each.
#include <iostream>

#include "base/json.h"
#include "curation/pii/pii.h"
#include "data/files/line_source.h"

namespace sotto {
namespace {

Result<void> run(int argc, char** argv) {
  if (argc != 2) return invalid("usage: bench_pii FILE");
  SOTTO_TRY(const auto finder, curation::PiiFinder::make({}));
  SOTTO_TRY(auto lines, data::LineSource::open(argv[1]));
  std::string line;
  while (true) {
    SOTTO_TRY(const bool some, lines.next(line));
    if (!some) return {};
    SOTTO_TRY(const Json text, Json::parse(line, lines.where()));
    Json spans = Json::array();
    for (const auto& span : finder.find(text.as_string()))
      spans.push(Json::array({span.begin, span.end, curation::name_of(span.kind)}));
    std::cout << spans.dump() << '\n';
  }
}

}  // namespace
}  // namespace sotto

int main(int argc, char** argv) {
  const auto done = sotto::run(argc, argv);
  if (!done.ok()) std::cerr << done.error().message << '\n';
  return done.ok() ? 0 : 1;
}
