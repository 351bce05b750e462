#include "evaluation/review.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/config_reader.h"
#include "base/files.h"

namespace sotto::evaluation {
namespace {

constexpr std::size_t kTiers = 5;
constexpr std::size_t kMaxComment = 4000;

bool is_rater_name(const std::string& name) {
  return !name.empty() && name.size() <= 32 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

Result<ReviewItem> read_item(const Json& json) {
  ReviewItem item;
  SOTTO_TRY(item.id, json.get_string("id"));
  SOTTO_TRY(item.prompt, json.get_string("prompt"));
  SOTTO_TRY(item.responses[0], json.get_string("first"));
  SOTTO_TRY(item.responses[1], json.get_string("second"));
  if (json.find("difference")) {
    SOTTO_TRY(item.difference, json.get_double("difference"));
  }
  if (item.id.empty()) return invalid("field 'id' is empty");
  if (!std::isfinite(item.difference)) return invalid("field 'difference' is no finite number");
  return item;
}

Result<std::vector<ReviewItem>> read_items(const std::string& path) {
  SOTTO_TRY(const std::string text, read_text_file(path));
  std::vector<ReviewItem> out;
  std::set<std::string> ids;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const auto line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    const std::string where = path + ":" + std::to_string(++number);
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const auto json = Json::parse(line, where);
    if (!json.ok()) return invalid(where + ": not valid JSON; each line must be one JSON object");
    auto item = read_item(*json);
    if (!item.ok()) return invalid(where + ": " + item.error().message);
    if (!ids.insert(item->id).second) return invalid(where + ": id '" + item->id.substr(0, 60) + "' is there twice");
    out.push_back(std::move(*item));
  }
  if (out.empty()) return invalid("'" + path + "' holds no item");
  return out;
}

std::vector<Dimension> read_dimensions(ConfigReader& in) {
  std::vector<Dimension> out;
  for (auto& table : in.tables("dimension")) {
    Dimension d{table.text("name"), table.text("question"), table.texts("anchors")};
    if (d.anchors.size() < 2 || d.anchors.size() > 7)
      table.reject("anchors", "must describe 2 to 7 points, the worst first");
    if (std::ranges::find(out, d.name, &Dimension::name) != out.end())
      table.reject("name", "'" + d.name + "' is there twice");
    if (d.name.empty() || d.name == "preference")
      table.reject("name", "must be a word of its own, and not 'preference', which every review has");
    out.push_back(std::move(d));
  }
  return out;
}

std::string sheet_path(const std::string& folder, const std::string& rater) {
  return folder + "/ratings/" + rater + ".json";
}

void shuffle(std::span<std::string> ids, RandomSource& random) {
  for (std::size_t i = ids.size(); i > 1; --i) std::swap(ids[i - 1], ids[random.below(i)]);
}

void add_places(Sheet& sheet, std::vector<const ReviewItem*> items, RandomSource& random) {
  std::ranges::stable_sort(items, [](const auto* a, const auto* b) { return a->difference > b->difference; });
  std::vector<std::string> ids;
  for (const auto* item : items) ids.push_back(item->id);
  for (std::size_t tier = 0; tier < kTiers; ++tier) {
    const std::size_t begin = ids.size() * tier / kTiers, end = ids.size() * (tier + 1) / kTiers;
    shuffle(std::span(ids).subspan(begin, end - begin), random);
  }
  for (auto& id : ids) {
    sheet.order.push_back(std::move(id));
    sheet.swapped.push_back(random.below(2) == 1);
  }
}

const ReviewItem* find_item(const ReviewSet& set, const std::string& id) {
  const auto at = std::ranges::find(set.items, id, &ReviewItem::id);
  return at == set.items.end() ? nullptr : &*at;
}

Preference mirrored(Preference p, bool swapped) {
  if (!swapped || p == Preference::kTie) return p;
  return p == Preference::kFirst ? Preference::kSecond : Preference::kFirst;
}

const char* side_name(Preference p) { return p == Preference::kFirst ? "left" : p == Preference::kSecond ? "right" : "tie"; }

Result<Preference> side(const std::string& name) {
  for (const auto p : {Preference::kFirst, Preference::kTie, Preference::kSecond})
    if (name == side_name(p)) return p;
  return invalid("'preference' is '" + name.substr(0, 20) + "'; it is left, tie or right");
}

Json rating_json(const ReviewSet& set, const Rating& rating, bool swapped) {
  Json points = Json::object();
  for (std::size_t d = 0; d < set.dimensions.size(); ++d)
    points.set(set.dimensions[d].name, Json::array({rating.points[d][swapped ? 1 : 0], rating.points[d][swapped ? 0 : 1]}));
  return Json::object({{"preference", side_name(mirrored(rating.preference, swapped))},
                       {"points", std::move(points)},
                       {"comment", rating.comment},
                       {"seconds", rating.seconds}});
}

std::string cut(std::string text) {
  if (text.size() <= kMaxComment) return text;
  std::size_t end = kMaxComment;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

Result<Rating> parse_rating(const ReviewSet& set, const Json& json, bool swapped) {
  Rating out;
  SOTTO_TRY(const auto preference, json.get_string("preference"));
  SOTTO_TRY(const auto on_side, side(preference));
  out.preference = mirrored(on_side, swapped);
  const Json* points = json.find("points");
  for (const auto& dimension : set.dimensions) {
    const Json* pair = points ? points->find(dimension.name) : nullptr;
    if (!pair || !pair->is_array() || pair->items().size() != 2)
      return invalid("dimension '" + dimension.name + "' has no two points");
    std::array<std::uint32_t, 2> of_sides{};
    for (std::size_t i = 0; i < 2; ++i) {
      const Json& p = pair->at(i);
      if (!p.is_int() || p.as_int() < 0 || static_cast<std::size_t>(p.as_int()) >= dimension.anchors.size())
        return invalid("dimension '" + dimension.name + "' has a point that is not from 0 to " +
                       std::to_string(dimension.anchors.size() - 1));
      of_sides[i] = static_cast<std::uint32_t>(p.as_int());
    }
    if (swapped) std::swap(of_sides[0], of_sides[1]);
    out.points.push_back(of_sides);
  }
  SOTTO_TRY(const auto comment, json.get_string("comment"));
  out.comment = cut(comment);
  SOTTO_TRY(const double seconds, json.get_double("seconds"));
  if (!(seconds >= 0)) return invalid("'seconds' is negative");
  out.seconds = std::min(seconds, 86400.0);
  return out;
}

Result<Sheet> parse_sheet(const ReviewSet& set, const Json& json, const std::string& rater) {
  Sheet sheet;
  sheet.rater = rater;
  SOTTO_TRY(sheet.token, json.get_string("token"));
  if (sheet.token.size() != 32) return invalid("'token' is damaged");
  SOTTO_TRY(const auto* places, json.get_array("places"));
  for (const auto& place : *places) {
    SOTTO_TRY(const auto id, place.get_string("id"));
    SOTTO_TRY(const auto swapped, place.get_bool("swapped"));
    if (!find_item(set, id))
      return invalid("item '" + id.substr(0, 60) +
                     "' has a place in it and is not in items.jsonl any more; put it back, or begin in a new folder");
    if (std::ranges::find(sheet.order, id) != sheet.order.end())
      return invalid("item '" + id.substr(0, 60) + "' has two places");
    sheet.order.push_back(id);
    sheet.swapped.push_back(swapped);
    const Json* rating = place.find("rating");
    if (!rating || rating->is_null()) continue;
    auto parsed = parse_rating(set, *rating, false);
    if (!parsed.ok())
      return invalid("item '" + id.substr(0, 60) + "': " + parsed.error().message +
                     "; a rubric cannot change once ratings have begun");
    sheet.ratings[id] = std::move(*parsed);
  }
  return sheet;
}

// A sheet with the ratings in terms of models ("left" is models[0]): what save_sheet writes.
Json sheet_json(const Sheet& sheet, const ReviewSet& set) {
  Json::Array places;
  for (std::size_t i = 0; i < sheet.order.size(); ++i) {
    Json place = Json::object({{"id", sheet.order[i]}, {"swapped", static_cast<bool>(sheet.swapped[i])}});
    if (const auto at = sheet.ratings.find(sheet.order[i]); at != sheet.ratings.end())
      place.set("rating", rating_json(set, at->second, false));
    places.push_back(std::move(place));
  }
  return Json::object({{"rater", sheet.rater}, {"token", sheet.token}, {"places", std::move(places)}});
}

}  // namespace

Result<ReviewSet> read_review(const std::string& folder) {
  SOTTO_TRY(auto in, ConfigReader::read_file(folder + "/review.toml"));
  ReviewSet set;
  set.title = in.text("title");
  set.instructions = in.text("instructions", "");
  const auto models = in.texts("models");
  if (models.size() == 2 && models[0] != models[1])
    std::ranges::copy(models, set.models.begin());
  else
    in.reject("models", "must name two different models: those of 'first' and 'second' in items.jsonl");
  const auto weights = in.texts("weights", std::vector<std::string>{"", ""});
  if (weights.size() == 2)
    std::ranges::copy(weights, set.weights.begin());
  else
    in.reject("weights", "must name both adapters, as compare --review wrote them, or be left out");
  set.raters = in.texts("raters");
  if (set.raters.empty()) in.reject("raters", "must name at least one rater");
  for (const auto& name : set.raters) {
    if (!is_rater_name(name)) in.reject("raters", "has '" + name + "'; a name is 1 to 32 of a-z, 0-9, - and _");
    if (std::ranges::count(set.raters, name) > 1) in.reject("raters", "has '" + name + "' twice");
  }
  set.dimensions = read_dimensions(in);
  SOTTO_TRY_VOID(in.finish());
  SOTTO_TRY(set.items, read_items(folder + "/items.jsonl"));
  return set;
}

Sheet make_sheet(const ReviewSet& set, const std::string& rater, RandomSource& random) {
  Sheet sheet;
  sheet.rater = rater;
  std::array<std::uint8_t, 16> token;
  random.fill(token);
  sheet.token = to_hex(token);
  std::vector<const ReviewItem*> items;
  for (const auto& item : set.items) items.push_back(&item);
  add_places(sheet, std::move(items), random);
  return sheet;
}

bool sheet_exists(const std::string& folder, const std::string& rater) { return file_exists(sheet_path(folder, rater)); }

Result<Sheet> read_sheet(const std::string& folder, const ReviewSet& set, const std::string& rater) {
  const std::string path = sheet_path(folder, rater);
  SOTTO_TRY(const Json json, Json::read_file(path));
  auto sheet = parse_sheet(set, json, rater);
  if (!sheet.ok()) return invalid(path + ": " + sheet.error().message);
  return sheet;
}

Result<Sheet> open_sheet(const std::string& folder, const ReviewSet& set, const std::string& rater, RandomSource& random) {
  Sheet sheet;
  if (sheet_exists(folder, rater)) {
    SOTTO_TRY(sheet, read_sheet(folder, set, rater));
    std::vector<const ReviewItem*> added;
    for (const auto& item : set.items)
      if (std::ranges::find(sheet.order, item.id) == sheet.order.end()) added.push_back(&item);
    if (added.empty()) return sheet;
    add_places(sheet, std::move(added), random);
  } else {
    sheet = make_sheet(set, rater, random);
  }
  SOTTO_TRY_VOID(save_sheet(folder, set, sheet));
  return sheet;
}

Result<void> save_sheet(const std::string& folder, const ReviewSet& set, const Sheet& sheet) {
  SOTTO_TRY_VOID(make_folder(folder + "/ratings", FileMode::kPrivate));
  return write_file_atomically(sheet_path(folder, sheet.rater), sheet_json(sheet, set).dump(1) + "\n", FileMode::kPrivate);
}

Json blind_view(const ReviewSet& set, const Sheet& sheet, std::size_t place) {
  const ReviewItem* item = find_item(set, sheet.order[place]);
  SOTTO_CHECK(item);
  const bool swapped = sheet.swapped[place];
  const auto rated = sheet.ratings.find(item->id);
  return Json::object({{"place", place},
                       {"id", item->id},
                       {"prompt", item->prompt},
                       {"left", item->responses[swapped ? 1 : 0]},
                       {"right", item->responses[swapped ? 0 : 1]},
                       {"rating", rated == sheet.ratings.end() ? Json() : rating_json(set, rated->second, swapped)}});
}

Result<void> rate(const ReviewSet& set, Sheet& sheet, const Json& rating) {
  SOTTO_TRY(const auto id, rating.get_string("id"));
  const auto at = std::ranges::find(sheet.order, id);
  if (at == sheet.order.end()) return not_found("there is no item '" + id.substr(0, 60) + "'");
  SOTTO_TRY(auto parsed, parse_rating(set, rating, sheet.swapped[static_cast<std::size_t>(at - sheet.order.begin())]));
  sheet.ratings[id] = std::move(parsed);
  return {};
}

std::size_t first_open(const Sheet& sheet) {
  return static_cast<std::size_t>(
      std::ranges::find_if(sheet.order, [&](const auto& id) { return !sheet.ratings.contains(id); }) - sheet.order.begin());
}

}  // namespace sotto::evaluation
