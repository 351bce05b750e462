// report/report.html from the JSON report: nothing on the page comes from elsewhere, there is no script and nothing is
// loaded.
#include <cmath>

#include "audit/report/report.h"
#include "audit/report/report_page.h"
#include "base/page/html.h"
#include "base/page/svg_plot.h"

namespace sotto::audit {
namespace {

// "4.21 – 4.22": between the two ends of an accountant's bracket.
std::string bracket_of(const Json& b) {
  return b.is_object() ? number_of(b.at("lower")) + " – " + number_of(b.at("upper")) : "–";
}

std::string bracket_or_why(const Json& b) { return b.is_string() ? text_of(b) : bracket_of(b); }

std::string first_page(const Json& r) {
  std::string out = "<h1>Privacy report of run " + text_of(r.at("run")) + "</h1>\n";
  out += "<p class=\"lead\">" + text_of(r.at("started")) + " to " + text_of(r.at("ended")) + ", " +
         std::to_string(r.at("sites").items().size()) + " sites, coordinator " + code(r.at("coordinator_identity")) +
         "</p>\n";
  if (!r.at("private").as_bool()) out += "<div class=\"off\">NO PRIVACY GUARANTEE: epsilon is none</div>\n";
  if (!r.at("holds").as_bool())
    out += "<div class=\"fails\">THIS REPORT DOES NOT HOLD. Nothing in it may be relied upon:" + list(r.at("failures")) +
           "</div>\n";
  const Json& measured = r.at("measured_epsilon_at_least");
  out += "<div class=\"cards\">\n";
  out += card(number_of(r.at("largest_epsilon_proven")), "epsilon, proven at most",
              "worst site, this run, at delta " + text_of(r.at("delta")) + "; what its budget was charged");
  out += card(measured.is_null() ? "–" : number_of(measured), "epsilon, measured at least",
              measured.is_null() ? "no attack was measured" : "by an attack on planted canaries; worst site");
  out += card(text_of(r.at("best_guess_accuracy")), "best guess, at most",
              "right answers of an all-knowing guesser at even odds");
  out += card(std::to_string(r.at("rounds").items().size()), "rounds",
              r.at("finished").as_bool() ? "the run finished" : "the run has not finished");
  out += "</div>\n<p class=\"status\">identities: " + text_of(r.at("identities")) +
         ". The keys vouch for themselves until somebody compares each fingerprint with its owner.</p>\n";
  out += heading("In plain words", "plain");
  for (const auto& p : r.at("plain_words").items()) out += paragraph(p);
  Table sites({"Site", "#Epsilon charged", "#RDP, at most", "#Privacy loss (PLD)", "#Charged with other runs",
               "#Measured at least", "Fingerprint of the site's key"});
  for (const auto& s : r.at("sites").items()) {
    const Json* lower = s.at("empirical").find("epsilon_lower");
    sites.row({text_of(s.at("name")), text_of(s.at("epsilon")), text_of(s.at("accountants").at("rdp").at("epsilon_upper")),
               bracket_of(s.at("accountants").at("pld")), text_of(s.at("epsilon_with_other_runs")),
               lower ? number_of(*lower) : "–", code(s.at("identity"))});
  }
  return out + sites.done() + heading("Points to weigh", "hazards") + list(r.at("hazards"));
}

std::string promise(const Json& r) {
  std::string out = "<div class=\"page\"></div>" + heading("What is promised, exactly", "promise");
  out += paragraph(r.at("unit")) + paragraph(r.at("neighbouring")) + paragraph(r.at("adversary"));
  if (const Json& found = r.at("relations"); found.is_object()) {
    Table relations({"At site " + found.at("site").as_string() + ", two data sets differ by", "#Epsilon, between"},
                    Table::Width::kContent);
    relations.row({"one unit less", bracket_or_why(found.at("remove"))});
    relations.row({"one unit more", bracket_or_why(found.at("add"))});
    relations.row({"one unit replaced by another", bracket_or_why(found.at("replace_one"))});
    relations.row({"one unit's contribution blanked", bracket_or_why(found.at("zero_out"))});
    relations.row({"two units more or less", bracket_or_why(found.at("two_units_together"))});
    out += relations.done();
  }
  Table several(
      {"A person who is a patient at", "#Epsilon at most", "#Privacy loss (PLD)", "Sites (those with the largest epsilon)"},
      Table::Width::kContent);
  for (const auto& p : r.at("person_at_several_sites").items()) {
    const Json* pld = p.find("pld");
    several.row({text_of(p.at("sites")) + " of the sites", text_of(p.at("epsilon")), pld ? bracket_of(*pld) : "–",
                 joined(p.at("names"))});
  }
  out += several.done();
  out += "<p>The plan's claim is for persons at " + text_of(r.at("max_sites_per_patient")) + " of the sites.</p>\n";
  Table size({"Site", "#Declared size", "#Delta", "#Delta times declared size"}, Table::Width::kContent);
  for (const auto& s : r.at("sites").items()) {
    size.row({text_of(s.at("name")), text_of(s.at("sampling").at("assumed").at("declared_size")), text_of(s.at("delta")),
              number_of(s.at("delta_times_declared_size"))});
  }
  return out + size.done();
}

std::string figure(const Plot& plot, const std::string& caption) {
  const std::string svg = svg_of(plot);
  return svg.empty() ? "" : "<figure>\n" + svg + "<figcaption>" + escape_html(caption) + "</figcaption>\n</figure>\n";
}

// Both accountants on the site with the largest epsilon.
std::string accountants_figure(const Json& r) {
  const Json* worst = nullptr;
  for (const auto& s : r.at("sites").items()) {
    if (s.at("epsilon").is_number() && (!worst || s.at("epsilon").as_double() > worst->at("epsilon").as_double()))
      worst = &s;
  }
  if (!worst) return "";
  Plot plot{"Two accountants, site " + worst->at("name").as_string(), "delta", "epsilon", true, {}, false};
  PlotSeries rdp{"RDP, at most", {}};
  PlotSeries upper{"privacy loss, at most", {}};
  PlotSeries lower{"privacy loss, at least", {}};
  for (const auto& p : worst->at("curve").items()) {
    const double delta = p.at("delta").as_double();
    if (delta > 0.1) continue;
    const double x = -std::log10(delta);
    rdp.points.emplace_back(x, p.at("rdp").as_double());
    if (const Json* pld = p.find("pld")) {
      upper.points.emplace_back(x, pld->at("upper").as_double());
      lower.points.emplace_back(x, pld->at("lower").as_double());
    }
  }
  plot.series = {rdp, upper, lower};
  return figure(plot,
                "The exact epsilon of the composition lies between the two ends of the privacy loss's bracket; RDP is a "
                "coarser upper bound. The lower end is about the accountant, and no bound on what the models give away.");
}

std::string plots(const Json& r) {
  Plot curve{"Epsilon for each failure probability delta", "delta", "epsilon, at most", true, {}, false};
  Plot rounds{"Epsilon after each round", "round, counted from 0 as in the logs", "epsilon, at most", false, {}, false};
  Plot errors{"What an attacker cannot do",
              "false alarms: share of absent patients called present",
              "misses, at least",
              false,
              {},
              true};
  errors.series.push_back({"no information at all", {{0, 1}, {1, 0}}});
  for (const auto& s : r.at("sites").items()) {
    const std::string& name = s.at("name").as_string();
    PlotSeries by_delta{name, {}};
    for (const auto& p : s.at("curve").items()) {
      if (p.at("delta").as_double() > 0.1) continue;  // where epsilon is next to nothing
      if (p.at("epsilon").is_number())
        by_delta.points.emplace_back(-std::log10(p.at("delta").as_double()), p.at("epsilon").as_double());
    }
    PlotSeries by_round{name, {}};
    for (const auto& p : s.at("by_round").items()) {
      if (p.at("epsilon").is_number()) by_round.points.emplace_back(p.at("round").as_double(), p.at("epsilon").as_double());
    }
    PlotSeries by_error{name, {}};
    for (const auto& p : s.at("trade_off").items()) {
      by_error.points.emplace_back(p.at("false_alarm_rate").as_double(), p.at("miss_rate_at_least").as_double());
    }
    curve.series.push_back(std::move(by_delta));
    rounds.series.push_back(std::move(by_round));
    if (!by_error.points.empty()) errors.series.push_back(std::move(by_error));
  }
  if (errors.series.size() == 1) errors.series.clear();
  return accountants_figure(r) +
         figure(curve,
                "The promise holds for every point of a site's curve at once: a smaller chance of failure goes with a "
                "larger epsilon.") +
         figure(errors,
                "No test for one unit's presence has fewer misses at its false alarm rate than the curve shows; the "
                "straight line is guessing.") +
         figure(rounds, "How the epsilon of this run grew at each site, at the plan's delta.");
}

std::string risk(const Json& r) {
  std::string out = "<div class=\"page\"></div>" + heading("The whole curve, and what it means", "curve") + plots(r);
  const Json& risk = r.at("risk");
  out += "<p>For any test of whether one given unit took part, true alarms less false alarms are at most " +
         number_of(risk.at("advantage_at_most")) + " (the membership advantage), at the worst site.</p>\n";
  Table table({"Somebody who held a unit's presence likely with", "#may hold it likely afterwards with at most"},
              Table::Width::kContent);
  for (const auto& p : risk.at("posteriors").items())
    table.row({text_of(p.at("prior")), text_of(p.at("posterior_at_most"))});
  Table forms({"Site", "#Gaussian DP, mu", "#its regret", "#Zero-concentrated DP, rho", "#Advantage at most"},
              Table::Width::kContent);
  for (const auto& s : r.at("sites").items()) {
    const Json& f = s.at("other_forms");
    if (f.is_object())
      forms.row({text_of(s.at("name")), number_of(f.at("gaussian_dp_mu")), number_of(f.at("gaussian_dp_regret")),
                 number_of(f.at("zero_concentrated_rho")), number_of(s.at("advantage_at_most"))});
  }
  return out + table.done() + forms.done() + "<p>But for a probability of delta, in which the promise may fail.</p>\n";
}

std::string measured(const Json& r) {
  std::string out = heading("What an attack measured", "measured");
  Table table({"Site", "#Canaries", "#Guesses", "#Right", "#Epsilon measured, at least", "#proven, at most",
               "#both at delta", "#Confidence", "#AUC", "#TPR at 1 % FPR", "#at 0.1 %"});
  bool any = false;
  for (const auto& s : r.at("sites").items()) {
    const Json& e = s.at("empirical");
    if (!e.find("epsilon_lower")) continue;
    any = true;
    table.row({text_of(s.at("name")), text_of(e.at("canaries")), text_of(e.at("guesses")), text_of(e.at("correct")),
               number_of(e.at("epsilon_lower")), number_of(e.at("epsilon_proven_at_this_delta")), number_of(e.at("delta")),
               text_of(e.at("confidence")), number_of(e.at("auc")), number_of(e.at("tpr_at_1_percent_fpr")),
               number_of(e.at("tpr_at_01_percent_fpr"))});
  }
  if (!any)
    return out +
           "<p>Nothing was measured in this run: the plan planted no canaries, or no site has scored them yet. The proven "
           "bounds do not depend on it.</p>\n";
  return out + table.done() +
         "<p>Each site planted invented records by coin tosses that only it knows, and after the run guessed the coins from "
         "the "
         "released adapter's losses. The number of guesses was fixed in the plan. A lower bound far below the proven one "
         "shows a weak "
         "attack or a careful proof; it is not evidence that a stronger attack could not show more. One above it would show "
         "an error, and "
         "this report would not hold. The bound is that of Steinke, Nasr and Jagielski 2023, from one run.</p>\n";
}

std::string how(const Json& r) {
  std::string out = heading("How it was done", "mechanism") + fields_table(r.at("mechanism"));
  Table sampling({"Site", "Sampling assumed", "Sampling run", "#Noise planned", "#Noise run", "#Steps"});
  for (const auto& s : r.at("sites").items()) {
    const Json& assumed = s.at("sampling").at("assumed");
    std::string sampled;
    std::string noised;
    std::string steps;
    for (const auto& e : s.at("sampling").at("run").items()) {
      sampled += text_of(e.at("kind")) + ", q = " + number_of(e.at("rate")) + "<br>";
      steps += text_of(e.at("steps")) + "<br>";
    }
    for (const auto& e : s.at("noise").at("run").items()) noised += number_of(e.at("effective_noise_multiplier")) + "<br>";
    sampling.row({text_of(s.at("name")), text_of(assumed.at("kind")) + ", q = " + number_of(assumed.at("rate")),
                  sampled.empty() ? "none" : sampled, number_of(s.at("noise").at("planned_noise_multiplier")),
                  noised.empty() ? "none" : noised, steps.empty() ? "0" : steps});
  }
  out +=
      "<p>Noise is the standard deviation over the clip norm. What ran is what the sampler and the noise function returned, "
      "not what a configuration asked for.</p>\n";
  out += sampling.done() + heading("Randomness", "randomness") + fields_table(r.at("randomness"));
  out += heading("Who is trusted for what", "trust");
  Table trust({"Who", "Sees", "What protects"});
  for (const auto& t : r.at("trust").items())
    trust.row({text_of(t.at("who")), text_of(t.at("sees")), text_of(t.at("protection"))});
  return out + trust.done();
}

std::string budgets(const Json& r) {
  Table table({"Site", "Budget", "#Limit", "#This run", "#Other coordinators", "#Spent in all", "#Left"});
  for (const auto& s : r.at("sites").items()) {
    const Json& b = s.at("budget");
    const Json* limit = b.find("limit");
    const Json* left = b.find("left");
    table.row({text_of(s.at("name")), text_of(b.at("name")), limit ? number_of(*limit) : "not logged",
               number_of(b.at("spent_by_this_run")), number_of(b.at("spent_towards_other_coordinators")),
               number_of(b.at("spent")), left ? number_of(*left) : "–"});
  }
  return heading("Budgets of the sites' patients", "budget") + table.done() +
         "<p>A budget belongs to a set of patients, recognised by keyed hashes that stay at the site, whatever file or "
         "coordinator they come by. "
         "A round's worst case is reserved before data is touched; the run stops at a site whose budget would be "
         "exceeded.</p>\n";
}

std::string course(const Json& r) {
  Table rounds({"#Round", "#Attempts", "Outcome", "In the sum", "Missing", "Participants (SHA-256)"});
  Table steps({"#Round", "Site", "State", "#q", "#Noise", "#Clip norm", "#Steps"});
  for (const auto& x : r.at("rounds").items()) {
    const Json* hash = x.find("participants_hash");
    rounds.row({text_of(x.at("round")), text_of(x.at("attempts")), text_of(x.at("outcome")), joined(x.at("survivors")),
                joined(x.at("missing")), hash ? "<code>" + escape_html(hash->as_string().substr(0, 16)) + "…</code>" : "–"});
    for (const auto& s : x.at("sites").items()) {
      for (const auto& e : s.at("steps").items()) {
        steps.row({text_of(x.at("round")), text_of(s.at("site")), text_of(s.at("state")), number_of(e.at("sampling_rate")),
                   number_of(e.at("noise_multiplier")), number_of(e.at("clip_norm_with_rounding")), text_of(e.at("steps"))});
      }
    }
  }
  std::string out =
      heading("Rounds", "rounds") + rounds.done() + "<h3>What each site's ledger took for them</h3>\n" + steps.done();
  out += heading("What was composed", "composed") + list(r.at("composed"));
  out += heading("Accountants", "accountant") + fields_table(r.at("accountant"));
  return out + heading("What is not covered", "not-covered") + list(r.at("not_covered"));
}

std::string provenance(const Json& r) {
  std::string out = heading("Lineage (SHA-256)", "lineage") + fields_table(r.at("lineage"));
  Table programs({"Party", "Version", "The program's file (SHA-256)"});
  for (const auto& p : r.at("programs").items())
    programs.row({text_of(p.at("party")), text_of(p.at("version")), code(p.at("sha256"))});
  out += heading("Programs that took part, as the parties' logs name them", "programs") + programs.done();
  Table heads({"Party", "#Entries", "Root of the log", "Key", "Signature"});
  for (const auto& h : r.at("heads").items()) {
    heads.row({text_of(h.at("party")), text_of(h.at("size")), code(h.at("root")), code(h.at("fingerprint")),
               code(h.at("signature"))});
  }
  out += heading("Signed heads of the logs", "heads") + heads.done();
  return out +
         "<footer>This page is a function of the signed logs: the same logs give the same bytes. To check all of it "
         "again: " +
         code(r.at("recompute")) + "</footer>\n";
}

}  // namespace

std::string report_html_text(const Json& r) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>" +
         text_of(r.at("run")) + ": privacy report</title>\n<style>" + kPageStyle + "</style>\n</head>\n<body>\n" +
         first_page(r) + promise(r) + risk(r) + measured(r) + how(r) + budgets(r) + course(r) + provenance(r) +
         "</body>\n</html>\n";
}

}  // namespace sotto::audit
