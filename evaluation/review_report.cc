#include "evaluation/review_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>

#include "evaluation/agreement.h"
#include "evaluation/statistics.h"

namespace sotto::evaluation {
namespace {

constexpr Resampling kResampling{5000, 0.95, 1};
constexpr std::size_t kWorst = 20;  // disagreements listed

using Ratings = std::vector<std::vector<std::optional<double>>>;  // [rater][thing rated]

double wins_of_second(Preference p) { return p == Preference::kSecond ? 1 : p == Preference::kTie ? 0.5 : 0; }

// `value` of every rating, raters in rows and items in columns.
template <class Value>
Ratings table(const ReviewSet& set, const std::vector<Sheet>& sheets, Value value) {
  Ratings out;
  for (const auto& sheet : sheets) {
    auto& row = out.emplace_back();
    for (const auto& item : set.items) {
      const auto at = sheet.ratings.find(item.id);
      row.push_back(at == sheet.ratings.end() ? std::nullopt : std::optional<double>(value(at->second)));
    }
  }
  return out;
}

// Per item, the sum over raters of what each gave.
std::vector<Ratio> by_item(const Ratings& ratings, std::size_t items) {
  std::vector<Ratio> out(items);
  for (const auto& row : ratings)
    for (std::size_t i = 0; i < items; ++i)
      if (row[i]) out[i] += Ratio::of(*row[i]);
  return out;
}

Json pair(Interval interval) { return Json::array({interval.low, interval.high}); }

Json cohen_json(const std::vector<Sheet>& sheets, const Ratings& ratings, std::uint32_t categories, KappaWeights weights) {
  Json out = Json::array();
  for (std::size_t a = 0; a < ratings.size(); ++a)
    for (std::size_t b = a + 1; b < ratings.size(); ++b) {
      std::vector<std::uint32_t> of_a, of_b;
      for (std::size_t i = 0; i < ratings[a].size(); ++i)
        if (ratings[a][i] && ratings[b][i]) {
          of_a.push_back(static_cast<std::uint32_t>(*ratings[a][i]));
          of_b.push_back(static_cast<std::uint32_t>(*ratings[b][i]));
        }
      out.push(Json::object({{"raters", Json::array({sheets[a].rater, sheets[b].rater})},
                             {"items", of_a.size()},
                             {"kappa", cohen_kappa(of_a, of_b, categories, weights)}}));
    }
  return out;
}

// Fleiss' kappa asks for the same number of ratings everywhere: over what every rater rated.
Json fleiss_json(const Ratings& ratings, std::uint32_t categories) {
  std::vector<std::vector<std::uint32_t>> counts;
  for (std::size_t i = 0; !ratings.empty() && i < ratings.front().size(); ++i) {
    std::vector<std::uint32_t> row(categories, 0);
    std::size_t given = 0;
    for (const auto& of_rater : ratings)
      if (of_rater[i]) ++row[static_cast<std::size_t>(*of_rater[i])], ++given;
    if (given == ratings.size()) counts.push_back(std::move(row));
  }
  return Json::object({{"items", counts.size()}, {"kappa", fleiss_kappa(counts)}});
}

Json agreement_json(const std::vector<Sheet>& sheets, const Ratings& ratings, std::uint32_t categories,
                    KappaWeights weights) {
  return Json::object({{"cohen", cohen_json(sheets, ratings, categories, weights)},
                       {"fleiss", fleiss_json(ratings, categories)},
                       {"alpha_nominal", krippendorff_alpha(ratings, Scale::kNominal)},
                       {"alpha_ordinal", krippendorff_alpha(ratings, Scale::kOrdinal)},
                       {"alpha_interval", krippendorff_alpha(ratings, Scale::kInterval)}});
}

Json raters_json(const ReviewSet& set, const std::vector<Sheet>& sheets) {
  Json out = Json::array();
  for (const auto& sheet : sheets) {
    std::vector<double> seconds;
    Ratio wins;
    for (const auto& [id, rating] : sheet.ratings) {
      seconds.push_back(rating.seconds);
      wins += Ratio::of(wins_of_second(rating.preference));
    }
    out.push(Json::object({{"name", sheet.rater},
                           {"rated", sheet.ratings.size()},
                           {"of", set.items.size()},
                           {"seconds_median", quantile(seconds, 0.5)},
                           {"win_rate", wins.value()}}));
  }
  return out;
}

Json preference_json(const ReviewSet& set, const std::vector<Sheet>& sheets) {
  std::uint64_t first = 0, ties = 0, second = 0, left = 0;
  for (const auto& sheet : sheets)
    for (std::size_t place = 0; place < sheet.order.size(); ++place) {
      const auto at = sheet.ratings.find(sheet.order[place]);
      if (at == sheet.ratings.end()) continue;
      const auto p = at->second.preference;
      ++(p == Preference::kFirst ? first : p == Preference::kTie ? ties : second);
      left += p == (sheet.swapped[place] ? Preference::kSecond : Preference::kFirst);
    }
  const double n = static_cast<double>(first + ties + second),
               wins = static_cast<double>(second) + static_cast<double>(ties) / 2;
  const auto items =
      by_item(table(set, sheets, [](const Rating& r) { return wins_of_second(r.preference); }), set.items.size());
  return Json::object({{"first", first},
                       {"ties", ties},
                       {"second", second},
                       {"win_rate", Ratio{wins, n}.value()},
                       {"wilson", pair(wilson(wins, n, kResampling.confidence))},
                       {"by_item", pair(bootstrap(items, kResampling))},
                       {"left_share", Ratio{static_cast<double>(left), static_cast<double>(first + second)}.value()}});
}

Json dimension_json(const ReviewSet& set, const std::vector<Sheet>& sheets, std::size_t d) {
  const auto points = [&](std::size_t model) {
    return by_item(table(set, sheets, [&](const Rating& r) { return r.points[d][model] + 1.0; }), set.items.size());
  };
  const auto first = points(0), second = points(1);
  const auto paired = compare(first, second, kResampling);
  return Json::object({{"points", set.dimensions[d].anchors.size()},
                       {"first", sum(first).value()},
                       {"second", sum(second).value()},
                       {"difference", paired.difference},
                       {"interval", pair(paired.interval)},
                       {"p", paired.p}});
}

// Every answer that was rated is a thing of its own: the first model's answers, then the second's.
Ratings points_of(const ReviewSet& set, const std::vector<Sheet>& sheets, std::size_t d) {
  Ratings out = table(set, sheets, [&](const Rating& r) { return static_cast<double>(r.points[d][0]); });
  const Ratings second = table(set, sheets, [&](const Rating& r) { return static_cast<double>(r.points[d][1]); });
  for (std::size_t r = 0; r < out.size(); ++r) out[r].insert(out[r].end(), second[r].begin(), second[r].end());
  return out;
}

// How far raters are apart on one item: 1 for opposite preferences, 0.5 for a tie against one; the widest dimension's spread
// as a share of its scale.
double spread_of(const ReviewSet& set, const std::vector<const Rating*>& given) {
  const auto range = [&](auto value) {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const auto* r : given) low = std::min(low, value(*r)), high = std::max(high, value(*r));
    return high - low;
  };
  double widest = range([](const Rating& r) { return wins_of_second(r.preference); });
  for (std::size_t d = 0; d < set.dimensions.size(); ++d)
    for (const std::size_t model : {0, 1})
      widest = std::max(widest, range([&](const Rating& r) { return static_cast<double>(r.points[d][model]); }) /
                                    static_cast<double>(set.dimensions[d].anchors.size() - 1));
  return widest;
}

const char* name_of(Preference p) { return p == Preference::kFirst ? "first" : p == Preference::kSecond ? "second" : "tie"; }

Json disagreements_json(const ReviewSet& set, const std::vector<Sheet>& sheets) {
  std::vector<std::pair<double, Json>> found;
  for (const auto& item : set.items) {
    std::vector<const Rating*> given;
    Json raters = Json::array();
    for (const auto& sheet : sheets) {
      const auto at = sheet.ratings.find(item.id);
      if (at == sheet.ratings.end()) continue;
      given.push_back(&at->second);
      Json points = Json::object();
      for (std::size_t d = 0; d < set.dimensions.size(); ++d)
        points.set(set.dimensions[d].name, Json::array({at->second.points[d][0] + 1, at->second.points[d][1] + 1}));
      raters.push(Json::object({{"name", sheet.rater},
                                {"preference", name_of(at->second.preference)},
                                {"points", std::move(points)},
                                {"comment", at->second.comment}}));
    }
    if (given.size() < 2) continue;
    if (const double spread = spread_of(set, given); spread >= 0.5)
      found.emplace_back(spread, Json::object({{"id", item.id}, {"spread", spread}, {"raters", std::move(raters)}}));
  }
  std::ranges::stable_sort(found, [](const auto& a, const auto& b) { return a.first > b.first; });
  Json out = Json::array();
  for (auto& [spread, json] : found) out.push(std::move(json));
  return out;
}

template <class... Values>
std::string line(const char* format, Values... values) {
  char text[400];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

// A figure in `format`; what nobody has rated yet, or what one rater alone cannot show, has none.
std::string figure(const char* format, const Json& value) {
  if (!value.is_number() || !std::isfinite(value.as_double())) return "none";
  return line(format, value.as_double());
}

std::string interval(const char* format, const Json& ends) {
  const std::string low = figure(format, ends.at(0)), high = figure(format, ends.at(1));
  return low == "none" || high == "none" ? "none" : "[" + low + ", " + high + "]";
}

// What a rater wrote goes to a terminal: control characters become spaces.
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  return text;
}

std::string agreement_lines(const Json& agreement) {
  std::string out;
  for (const auto& [name, a] : agreement.members()) {
    out += line("  %-20s Fleiss ", name.c_str()) + figure("%.3f", a.at("fleiss").at("kappa")) + "   alpha nominal " +
           figure("%.3f", a.at("alpha_nominal")) + ", ordinal " + figure("%.3f", a.at("alpha_ordinal")) + ", interval " +
           figure("%.3f", a.at("alpha_interval")) + "\n";
    for (const auto& c : a.at("cohen").items())
      out += line("  %-20s Cohen  ", "") + figure("%.3f", c.at("kappa")) +
             line("   %s and %s, %lld rated by both\n", c.at("raters").at(0).as_string().c_str(),
                  c.at("raters").at(1).as_string().c_str(), static_cast<long long>(c.at("items").as_int()));
  }
  return out;
}

// What is not known is null: kappa of one rater, the interval of no rating.
Json known(const Json& json) {
  if (json.is_number()) return std::isnan(json.as_double()) ? Json() : json;
  if (json.is_array()) {
    Json out = Json::array();
    for (const auto& item : json.items()) out.push(known(item));
    return out;
  }
  if (!json.is_object()) return json;
  Json out = Json::object();
  for (const auto& [name, value] : json.members()) out.set(name, known(value));
  return out;
}

}  // namespace

Json review_json(const ReviewSet& set, const std::vector<Sheet>& sheets) {
  Json agreement = Json::object(), dimensions = Json::object();
  agreement.set("preference",
                agreement_json(sheets, table(set, sheets, [](const Rating& r) { return 2 * wins_of_second(r.preference); }),
                               3, KappaWeights::kNone));
  for (std::size_t d = 0; d < set.dimensions.size(); ++d) {
    const auto categories = static_cast<std::uint32_t>(set.dimensions[d].anchors.size());
    agreement.set(set.dimensions[d].name,
                  agreement_json(sheets, points_of(set, sheets, d), categories, KappaWeights::kQuadratic));
    dimensions.set(set.dimensions[d].name, dimension_json(set, sheets, d));
  }
  return known(Json::object({{"title", set.title},
                             {"models", Json::array({set.models[0], set.models[1]})},
                             {"weights", Json::array({set.weights[0], set.weights[1]})},
                             {"items", set.items.size()},
                             {"raters", raters_json(set, sheets)},
                             {"preference", preference_json(set, sheets)},
                             {"dimensions", std::move(dimensions)},
                             {"agreement", std::move(agreement)},
                             {"disagreements", disagreements_json(set, sheets)}}));
}

std::string review_text(const Json& report) {
  const auto &first = report.at("models").at(0).as_string(), &second = report.at("models").at(1).as_string();
  const Json& p = report.at("preference");
  std::string out = report.at("title").as_string() + "\n";
  for (const auto& r : report.at("raters").items())
    out += line("  %-20s %lld of %lld items rated", r.at("name").as_string().c_str(),
                static_cast<long long>(r.at("rated").as_int()), static_cast<long long>(r.at("of").as_int())) +
           (r.at("rated").as_int() > 0 ? ", " + figure("%.0f s", r.at("seconds_median")) + " each (median)\n" : "\n");
  out += "Preference: " + second + " against " + first + "\n";
  out += "  win rate " + figure("%.3f", p.at("win_rate")) + "   95 % interval by item " + interval("%.3f", p.at("by_item")) +
         ", Wilson " + interval("%.3f", p.at("wilson")) + "\n";
  const auto decided = p.at("first").as_int() + p.at("second").as_int();
  out += line("  %lld better, %lld ties, %lld worse", static_cast<long long>(p.at("second").as_int()),
              static_cast<long long>(p.at("ties").as_int()), static_cast<long long>(p.at("first").as_int())) +
         (decided > 0 ? line("; the left side won %.0f %% of decided cases\n", 100 * p.at("left_share").as_double()) : "\n");
  out += "Points (1 is the worst anchor): " + first + ", " + second + "\n";
  for (const auto& [name, d] : report.at("dimensions").members())
    out += line("  %-20s ", name.c_str()) + figure("%.2f", d.at("first")) + ", " + figure("%.2f", d.at("second")) +
           line(" of %lld   difference ", static_cast<long long>(d.at("points").as_int())) +
           figure("%+.3f", d.at("difference")) + " " + interval("%+.3f", d.at("interval")) + "   p " +
           figure("%.4f", d.at("p")) + "\n";
  out += "Agreement\n" + agreement_lines(report.at("agreement"));
  const auto& disagreements = report.at("disagreements").items();
  out += line("Disagreements: %zu items", disagreements.size()) +
         (disagreements.size() > kWorst ? ", the widest first (all with --json)\n" : "\n");
  for (std::size_t i = 0; i < std::min(disagreements.size(), kWorst); ++i) {
    out += "  " + printable(disagreements[i].at("id").as_string()) + ":";
    for (const auto& r : disagreements[i].at("raters").items()) {
      const auto& comment = r.at("comment").as_string();
      out += " " + r.at("name").as_string() + " " + r.at("preference").as_string() +
             (comment.empty() ? ";" : " (" + printable(comment.substr(0, 200)) + ");");
    }
    out += "\n";
  }
  return out;
}

}  // namespace sotto::evaluation
