// docs/demo-report.html is what a reader of the documentation looks at: it is made here, from the test run, so that it is
// never another program's page. SOTTO_WRITE_DEMO_REPORT=1 test_audit "[demo]" writes it anew.
#include <cstdlib>

#include "tests/audit/log/published.h"

namespace sotto::audit {
namespace {

TEST_CASE("the demo report in docs is the report of the test run, byte for byte", "[demo]") {
  Scenario scenario;
  scenario.run = "demo";
  scenario.rounds = 6;
  scenario.canaries = 400;
  const Published run(scenario);
  const Verdict verdict = run.verdict();
  INFO(to_text(verdict, RunId(scenario.run)));
  REQUIRE(verdict.ok);
  const std::string made = *read_text_file(run.folder.path(kReportHtmlFile));
  const std::string path = std::string(SOTTO_SOURCE) + "/docs/demo-report.html";
  if (std::getenv("SOTTO_WRITE_DEMO_REPORT") != nullptr) REQUIRE(write_file_atomically(path, made).ok());
  const auto shown = read_text_file(path);
  REQUIRE(shown.ok());
  // Not CHECK(a == b): that would print both pages.
  const bool same = *shown == made;
  INFO("SOTTO_WRITE_DEMO_REPORT=1 test_audit \"[demo]\" writes it anew");
  CHECK(same);
}

}  // namespace
}  // namespace sotto::audit
