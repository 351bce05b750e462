// The parts that report.cc puts together, for audit's own files. Each is a function of the folder and its history.
#pragma once

#include <string>
#include <vector>

#include "audit/run/run_folder.h"
#include "audit/run/run_timeline.h"

namespace sotto::audit {

// report_sites.cc
Json site_json(const RunFolder& folder, const SiteTimeline& site, const SitePlan& plan, const RosterSite& roster);
Json several_sites_json(const RunTimeline& history, double delta);
Json relations_json(const RunTimeline& history, double delta);
Json risk_json(const RunTimeline& history, double delta);  // of the site with the largest epsilon

// report_course.cc
Json rounds_json(const RunFolder& folder, const RunTimeline& history);
Json hazards_json(const RunFolder& folder, const RunTimeline& history);
Json composed_json(const RunTimeline& history);
Json lineage_json(const RunFolder& folder, const RunTimeline& history);
Json programs_json(const RunFolder& folder, const RunTimeline& history);
Json heads_json(const RunFolder& folder);

// Why the report does not hold: noise or sampling that are not the plan's, a measured attack above the proven bound, a log
// that contradicts itself. Empty when it holds.
std::vector<std::string> failures_of(const RunFolder& folder);

Json strings(const std::vector<std::string>& values);

}  // namespace sotto::audit
