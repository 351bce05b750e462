// What a site is told of its own data before it declares a size.
#include "client/site/data_facts.h"

#include <filesystem>

#include "base/files.h"
#include "client/site/site_data.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_folder.h"

namespace sotto::client {

TEST_CASE("a declared size may be off by a quarter, and more only if that is wanted", "[client]") {
  for (const std::uint64_t declared : {75U, 100U, 125U}) CHECK(check_declared_size(declared, 100, false).ok());
  for (const std::uint64_t declared : {1U, 74U, 126U, 1400U}) {
    const auto checked = check_declared_size(declared, 100, false);
    REQUIRE_FALSE(checked.ok());
    CHECK(checked.error().message.find("declared size is " + std::to_string(declared)) != std::string::npos);
    CHECK(checked.error().message.find("100 would fit") != std::string::npos);
    CHECK(checked.error().message.find("--yes") != std::string::npos);
    CHECK(check_declared_size(declared, 100, true).ok());
  }
}

TEST_CASE("the size that is proposed is rounded as a declared one must be, and within a quarter", "[client]") {
  CHECK(rounded_size(1427) == 1400);
  CHECK(rounded_size(1450) == 1500);
  CHECK(rounded_size(999) == 1000);
  CHECK(rounded_size(7) == 7);
  for (std::uint64_t units = 1; units < 5000; ++units) {
    std::uint64_t digits = rounded_size(units);
    while (digits % 10 == 0) digits /= 10;
    CHECK(digits < 100);
    CHECK(check_declared_size(rounded_size(units), units, false).ok());
  }
  CHECK(training_patients(60, 0.2) == 48);
}

TEST_CASE("a file that a site's configuration names twice, or by a link, is read once", "[client]") {
  const TemporaryFolder folder;
  const auto path = folder.file("a.jsonl");
  write_file_atomically(path, std::string_view(R"({"patient_id":" P1","instruction":"q","output":"a"}
{"patient_id":"P1","instruction":"q2","output":"b"})"))
      .value();
  std::filesystem::create_symlink(path, folder.file("link.jsonl"));
  SiteConfig config;
  config.data = {path, folder.file("link.jsonl"), path};
  const auto records = read_site_records(config, {}).value();
  CHECK(records.size() == 2);
  CHECK(patients_of(records) == 1);
}

}  // namespace sotto::client
