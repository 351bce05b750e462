#include <algorithm>
#include <filesystem>

#include "tests/audit/audit_fixture.h"
#include "tests/audit/log/read_anything.h"
#include "tests/support/catch.h"
#include "tests/support/fixed_random.h"

namespace sotto::audit {
namespace {

TEST_CASE("every file of the fuzzer's corpus is read without a failure", "[fuzz]") {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(SOTTO_SOURCE) + "/tests/audit/corpus")) {
    INFO(entry.path());
    CHECK_NOTHROW(read_anything(*read_binary_file(entry.path().string())));
    ++files;
  }
  CHECK(files >= 8);
}

TEST_CASE("random changes to a whole log are read without a failure", "[fuzz]") {
  const TempFolder folder;
  write_logs(folder.path(), {});
  FixedRandom random(11);
  for (const std::string file : {"coordinator/log", "sites/north/log"}) {
    const Bytes whole = *read_binary_file(folder.path(file));
    for (int i = 0; i < 300; ++i) {
      Bytes changed = whole;
      for (std::uint64_t k = 1 + random.below(4); k > 0; --k) {
        changed[static_cast<std::size_t>(random.below(changed.size()))] = static_cast<std::uint8_t>(random.below(256));
      }
      changed.resize(static_cast<std::size_t>(1 + random.below(changed.size())));
      CHECK_NOTHROW(read_anything(changed));
    }
    // The hashes stop most changes early; single events have none.
    for (const auto& record : parse_log(whole).image.records) {
      for (int i = 0; i < 20 && !record.payload.empty(); ++i) {
        Bytes changed = record.payload;
        changed[static_cast<std::size_t>(random.below(changed.size()))] = static_cast<std::uint8_t>(random.below(256));
        CHECK_NOTHROW(read_anything(changed));
      }
    }
  }
}

}  // namespace
}  // namespace sotto::audit
