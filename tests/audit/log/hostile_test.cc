// A run folder from a hostile party: whatever stands in its files, verify answers, soon, and says no.
#include <sys/stat.h>

#include "tests/audit/log/published.h"
#include "tests/support/fixed_random.h"

namespace sotto::audit {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> files_of(const Published& run) {
  std::vector<std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(run.folder.path())) {
    if (entry.is_regular_file() && entry.path().extension() != ".lock") {
      out.push_back(fs::relative(entry.path(), run.folder.path()).string());
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

TEST_CASE("no single changed byte in any file of a folder goes unnoticed", "[hostile]") {
  const Published run;
  FixedRandom random(21);
  for (const auto& file : files_of(run)) {
    const Bytes whole = run.read(file);
    for (int i = 0; i < 6; ++i) {
      Bytes changed = whole;
      changed[static_cast<std::size_t>(random.below(changed.size()))] ^= static_cast<std::uint8_t>(1 + random.below(255));
      run.write(file, changed);
      const auto folder = read_run_folder(run.folder.path());
      INFO(file);
      CHECK_FALSE((folder.ok() && verify(*folder, std::nullopt).ok));
    }
    run.write(file, whole);
  }
  CHECK(run.verdict().ok);
}

TEST_CASE("devices, pipes, folders and endless files in place of a log or a head are refused by name", "[hostile]") {
  const auto with = [](const std::string& file, const std::function<void(const std::string&)>& make) {
    const Published run;
    const std::string path = run.folder.path(file);
    fs::remove(path);
    make(path);
    const auto folder = read_run_folder(run.folder.path());
    return folder.ok() ? to_text(verify(*folder, std::nullopt), folder->run) : folder.error().message;
  };
  const auto device = [](const std::string& path) { fs::create_symlink("/dev/zero", path); };
  const auto pipe = [](const std::string& path) { REQUIRE(::mkfifo(path.c_str(), 0600) == 0); };
  const auto folder = [](const std::string& path) { fs::create_directory(path); };
  const auto endless = [](const std::string& path) {
    REQUIRE(write_file_atomically(path, std::string("x")).ok());
    fs::resize_file(path, std::uintmax_t{1} << 40);  // sparse
  };
  for (const std::string file : {"sites/north/log", "heads/north.json", "roster", "run.json", "report/report.json"}) {
    for (const auto& make : std::vector<std::function<void(const std::string&)>>{device, pipe, folder}) {
      const std::string told = with(file, make);
      INFO(file << ": " << told);
      CHECK((has(told, "NOT VERIFIED") || has(told, "is not a plain file")));
    }
  }
  for (const std::string file : {"sites/north/log", "heads/north.json", "run.json"}) {
    CHECK(has(with(file, endless), "is larger than the "));
  }
}

TEST_CASE("JSON of any shape in a head, run.json or the report is answered with a sentence", "[hostile]") {
  const Published run;
  const std::vector<std::string> texts = {"",
                                          "null",
                                          "[]",
                                          "{}",
                                          "\"x\"",
                                          "{\"run\": 7}",
                                          "{\"sites\": {}}",
                                          "{\"sites\": [7, null, {}]}",
                                          std::string(3000, '['),
                                          "{\"run\": \"../../etc\"}",
                                          "{\"party\": \"../x\", \"size\": -5}"};
  for (const std::string file : {"heads/south.json", "run.json", "report/report.json"}) {
    const Bytes whole = run.read(file);
    for (const auto& text : texts) {
      run.write(file, as_bytes(text));
      const auto folder = read_run_folder(run.folder.path());
      CHECK_FALSE((folder.ok() && verify(*folder, std::nullopt).ok));
    }
    run.write(file, whole);
  }
}

}  // namespace
}  // namespace sotto::audit
