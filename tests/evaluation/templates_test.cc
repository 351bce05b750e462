// The training templates in configs/: whole, of all three kinds, and none without caution.
#include <algorithm>
#include <filesystem>
#include <set>

#include "data/records/record.h"
#include "evaluation/text.h"
#include "tests/support/catch.h"

namespace sotto {

TEST_CASE("training templates of every domain show diagnosis, treatment and synthesis with caution", "[templates]") {
  const auto caution = evaluation::Term::make(
                           "not a diagnosis | doctor decides | cannot be told | should be checked | no legal advice | "
                           "lawyer | not investment advice | "
                           "adviser | may lose value | lock out | ask the owner")
                           .value();
  std::set<std::string> domains;
  for (const auto& entry : std::filesystem::directory_iterator(SOTTO_SOURCE "/configs/training")) {
    INFO(entry.path());
    const auto records = data::read_records(entry.path().string()).value();
    std::set<std::string> tasks;
    for (const auto& record : records) {
      INFO(record.messages.back().content);
      tasks.insert(record.task);
      CHECK(caution.in(evaluation::words(record.messages.back().content)));
    }
    CHECK(tasks == std::set<std::string>{"diagnosis", "synthesis", "treatment"});
    domains.insert(entry.path().stem().string());
  }
  CHECK(domains == std::set<std::string>{"financial", "legal", "medical", "technical"});
}

}  // namespace sotto
