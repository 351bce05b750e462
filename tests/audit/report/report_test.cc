#include "audit/report/report.h"

#include "audit/ledger/accounting.h"
#include "audit/report/report_text.h"
#include "audit/verify/verify.h"
#include "base/page/html.h"
#include "base/page/svg_plot.h"
#include "plan/planned_events.h"
#include "privacy/accounting/compose.h"
#include "tests/audit/audit_fixture.h"
#include "tests/support/catch.h"

namespace sotto::audit {
namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Json report_of(const Scenario& scenario) {
  const TempFolder folder;
  write_logs(folder.path(), scenario);
  return *make_report(*read_run_folder(folder.path()));
}

TEST_CASE("the same logs give the same bytes, wherever they lie", "[report]") {
  const Json a = report_of({});
  const Json b = report_of({});
  CHECK(report_json_text(a) == report_json_text(b));
  CHECK(report_html_text(a) == report_html_text(b));
}

TEST_CASE("each site's epsilon is the composition of its events, rounded up", "[report]") {
  const Json report = report_of({});
  const RunPlan plan = plan_of({});
  for (std::size_t i = 0; i < plan.sites.size(); ++i) {
    auto events = *plan::planned_round(plan, plan.sites[i], 1000);
    events.front().count *= plan.rounds;
    const double epsilon = privacy::proven_epsilon(events, privacy::Delta(plan.delta))->upper();
    const double shown = report.at("sites").at(i).at("epsilon").as_double();
    CHECK(shown >= epsilon);
    CHECK(shown < epsilon + 1.01e-4);
    CHECK(report.at("sites").at(i).at("by_round").items().size() == plan.rounds);
    CHECK(report.at("sites").at(i).at("by_round").at(plan.rounds - 1).at("epsilon").as_double() == shown);
  }
  CHECK(report.at("accountant").at("name").as_string() == "rdp and pld");
  for (const auto& site : report.at("sites").items()) {
    const Json& pld = site.at("accountants").at("pld");
    CHECK(pld.at("lower").as_double() <= pld.at("upper").as_double());
    CHECK(pld.at("upper").as_double() - pld.at("lower").as_double() <= 2e-3 * std::max(1.0, pld.at("upper").as_double()));
    CHECK(pld.at("lower").as_double() <= site.at("epsilon").as_double());
    CHECK(site.at("accountants").at("agree").as_bool());
  }
}

TEST_CASE("events of other samplers have curves and relations, or words in their place", "[report]") {
  Spent spent;
  privacy::DpEvent event = some_event(2.0, 50);
  event.sampling = privacy::SamplingKind::kTruncatedPoisson;
  event.population = 1000;
  event.batch_size = 200;
  spent.events = {event};
  REQUIRE(profile_of(spent, 1e-5) != nullptr);
  const auto relations = relations_of(spent, 1e-5);
  REQUIRE(relations.has_value());
  const auto accounted = account(spent, 1e-5);
  REQUIRE(accounted.pld.has_value());
  CHECK(std::max(relations->remove->upper, relations->add->upper) == Approx(accounted.pld->upper).epsilon(1e-3));
  CHECK(relations->replace->lower > accounted.pld->upper);
  CHECK(relations->group->upper > accounted.pld->upper);
  for (const auto& point : curve_of(spent, 1e-5)) CHECK(point.epsilon.pld.has_value());

  event.sampling = privacy::SamplingKind::kFixedSize;
  event.sampling_rate = privacy::SamplingRate(1);
  spent.events = {event};
  const auto fixed = relations_of(spent, 1e-5);
  REQUIRE(fixed.has_value());
  REQUIRE(fixed->replace.ok());
  const auto charged = account(spent, 1e-5);  // the relation that such batches have a guarantee under
  REQUIRE(charged.pld.has_value());
  CHECK(fixed->replace->upper == Approx(charged.pld->upper).epsilon(1e-3));
  REQUIRE(profile_of(spent, 1e-5) != nullptr);
  CHECK_FALSE(curve_of(spent, 1e-5).empty());
  CHECK(fixed->group.ok());
  CHECK(has(fixed->remove.error().message, "accounted for neighbours 'replace'"));
}

TEST_CASE("epsilon grows with a smaller delta, with rounds and with the sites a person is at", "[report]") {
  const Json report = report_of({});
  const auto& curve = report.at("sites").at(0).at("curve").items();
  REQUIRE(curve.size() > 5);
  for (std::size_t i = 1; i < curve.size(); ++i) {
    CHECK(curve[i].at("delta").as_double() < curve[i - 1].at("delta").as_double());
    CHECK(curve[i].at("epsilon").as_double() >= curve[i - 1].at("epsilon").as_double());
  }
  const auto& several = report.at("person_at_several_sites").items();
  REQUIRE(several.size() == 3);
  CHECK(several[0].at("epsilon").as_double() == report.at("largest_epsilon").as_double());
  CHECK(several[1].at("epsilon").as_double() > several[0].at("epsilon").as_double());
  CHECK(several[2].at("epsilon").as_double() > several[1].at("epsilon").as_double());
}

TEST_CASE("a site that dropped out of a round is named in the round and among the hazards", "[report]") {
  Scenario scenario;
  scenario.dropped = 1;
  const TempFolder folder;
  write_logs(folder.path(), scenario);
  const auto read = read_run_folder(folder.path());
  REQUIRE(write_report(*read).ok());
  const Json report = *Json::read_file(folder.path(kReportJsonFile));
  CHECK(report.at("rounds").at(0).at("missing").items().empty());
  CHECK(report.at("rounds").at(1).at("missing").at(0).as_string() == "south");
  CHECK(has(report.at("hazards").dump(), "Site 'south' dropped out of round 1"));
  const Verdict verdict = verify(*read, std::nullopt);
  INFO(to_text(verdict, RunId("demo")));
  CHECK(verdict.ok);  // dropping out is no fault of the record
}

TEST_CASE("a run without privacy says so in large letters and has no epsilon", "[report]") {
  Scenario scenario;
  scenario.privacy = false;
  const TempFolder folder;
  write_logs(folder.path(), scenario);
  const auto read = read_run_folder(folder.path());
  const Json report = *make_report(*read);
  CHECK_FALSE(report.at("private").as_bool());
  for (const auto& site : report.at("sites").items()) CHECK(site.at("epsilon").as_string() == "none");
  CHECK(report.at("largest_epsilon").as_string() == "none");
  const std::string html = report_html_text(report);
  CHECK(has(html, "<div class=\"off\">NO PRIVACY GUARANTEE: epsilon is none</div>"));
  CHECK_FALSE(has(html, "<svg"));
  REQUIRE(write_report(*read).ok());
  const Verdict verdict = verify(*read, std::nullopt);
  INFO(to_text(verdict, RunId("demo")));
  CHECK(verdict.ok);
}

TEST_CASE("a site that delivered no log has no epsilon in the report, and is named", "[report]") {
  const TempFolder folder;
  write_logs(folder.path(), {});
  std::filesystem::remove(folder.path("sites/west/log"));
  const Json report = *make_report(*read_run_folder(folder.path()));
  CHECK(report.at("sites").at(2).at("epsilon").as_string() == "none");
  CHECK(report.at("largest_epsilon").as_string() == "none");
  CHECK(has(report.at("hazards").dump(), "Site 'west' did not deliver its log"));
}

TEST_CASE("the page loads nothing, runs nothing, shows both plots and every site's fingerprint", "[report]") {
  const Json report = report_of({});
  const std::string html = report_html_text(report);
  for (const auto* outside : {"http:", "https:", "<script", "<img", "<link", "url(", "@import", "src=\"", "href="}) {
    CHECK_FALSE(has(html, outside));
  }
  CHECK(has(html, "<title>Epsilon for each failure probability delta</title>"));
  CHECK(has(html, "<title>Epsilon after each round</title>"));
  CHECK(has(html, "identities: self-asserted"));
  for (const auto& site : report.at("sites").items()) CHECK(has(html, site.at("identity").as_string()));
}

TEST_CASE("text from the logs cannot become markup", "[report]") {
  CHECK(escape_html("<b a=\"1\" c='2'>&") == "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;");
  Json report = report_of({});
  report.set("run", "<script>alert(1)</script>");
  report.set("hazards", Json::array({"</ul><script>"}));
  const std::string html = report_html_text(report);
  CHECK_FALSE(has(html, "<script"));
  CHECK(has(html, "&lt;script&gt;alert(1)"));
}

TEST_CASE("the bet in plain words follows the region of error rates that the curve leaves", "[report]") {
  const auto at = [](double delta, double epsilon) { return CurvePoint{delta, {epsilon, std::nullopt}}; };
  CHECK(best_guess_accuracy({at(1e-300, 0.0)}) == Approx(0.5));
  CHECK(best_guess_accuracy({at(1e-300, std::log(3.0))}) == Approx(0.75));
  CHECK(best_guess_accuracy({at(0.1, 0.0)}) == Approx(0.55));
  CHECK(best_guess_accuracy({at(1e-5, 8.0), at(0.1, 0.0)}) == Approx(0.55));  // the best point of the curve counts
  CHECK(best_guess_accuracy({CurvePoint{0.1, {1.0, privacy::Bracket{0, 0}}}}) == Approx(0.55));  // and the better accountant
  CHECK(best_guess_accuracy({}) == 1);
  CHECK(percent(0.99966) == "99.97 %");
  CHECK(percent(1) == "100.00 %");
  CHECK(posterior_of(0.5, std::log(3.0)) == Approx(0.75));
  CHECK(posterior_of(0.1, 0) == Approx(0.1));
  CHECK(posterior_of(0.1, std::numeric_limits<double>::infinity()) == 1);
  const auto line = trade_off_of({at(1e-300, 0.0)});
  for (const auto& p : line) CHECK(p.beta == Approx(1 - p.alpha));
}

TEST_CASE("a plot without points is no plot", "[report]") {
  CHECK(svg_of(Plot{"t", "x", "y", false, {{"a", {}}}, false}).empty());
  CHECK(has(svg_of(Plot{"t", "x", "y", false, {{"a", {{1, 2}}}}, false}), "<polyline"));
}

}  // namespace
}  // namespace sotto::audit
