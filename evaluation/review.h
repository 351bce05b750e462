// Blind expert review of two models' answers: what a folder for it holds, who sees what in which order, and what a rating
// may be. A folder has
//   review.toml          title, instructions, the two models' names, raters, the dimensions of the rubric with their anchors
//   items.jsonl          {"id", "prompt", "first", "second", "difference"}: both models' answers, and how much they differ
//   ratings/NAME.json    one rater's token, order and ratings; written beside and renamed at each rating
// A rater sees "left" and "right": which model is on which side, and the order of items, are drawn per rater from a
// RandomSource once, and kept. Items that differ most come first. Everything a rater or a model wrote is hostile text: it is
// only ever handed on as JSON strings. Plain values.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/random.h"

namespace sotto::evaluation {

struct Dimension {
  std::string name;
  std::string question;
  std::vector<std::string> anchors;  // what each point of the scale means, worst first; 2 to 7
};

struct ReviewItem {
  std::string id;
  std::string prompt;
  std::array<std::string, 2> responses;  // of models[0] and models[1]
  double difference = 0;                 // larger: shown earlier
};

struct ReviewSet {
  std::string title;
  std::string instructions;
  std::array<std::string, 2> models;
  std::array<std::string, 2> weights;  // of each, in hexadecimal (lineage/weights.h); empty: the base, or not said
  std::vector<std::string> raters;
  std::vector<Dimension> dimensions;
  std::vector<ReviewItem> items;
};

Result<ReviewSet> read_review(const std::string& folder);

enum class Preference { kFirst, kTie, kSecond };  // models[0], neither, models[1]

// In terms of models, not of sides.
struct Rating {
  Preference preference = Preference::kTie;
  std::vector<std::array<std::uint32_t, 2>> points;  // per dimension, of models[0] and models[1]; 0 is the worst anchor
  std::string comment;
  double seconds = 0;
};

// One rater's sheet.
struct Sheet {
  std::string rater;
  std::string token;                      // what the rater logs in with: 32 hexadecimal digits
  std::vector<std::string> order;         // item ids
  std::vector<bool> swapped;              // models[1] is on the left; by place in `order`
  std::map<std::string, Rating> ratings;  // by item id
};

// The items in fifths by difference, largest first, shuffled within each fifth; sides and token drawn.
Sheet make_sheet(const ReviewSet& set, const std::string& rater, RandomSource& random);
// The rater's sheet from the folder, or a new one, which is saved. Items that were added since are shuffled in at the end;
// refused when one was taken away that has a place in the sheet.
Result<Sheet> open_sheet(const std::string& folder, const ReviewSet& set, const std::string& rater, RandomSource& random);
Result<Sheet> read_sheet(const std::string& folder, const ReviewSet& set, const std::string& rater);
bool sheet_exists(const std::string& folder, const std::string& rater);
Result<void> save_sheet(const std::string& folder, const ReviewSet& set, const Sheet& sheet);

// What the rater's browser may know of the place-th item: {"place", "id", "prompt", "left", "right", "rating": null or as
// rate() takes it}. No model's name is in it.
Json blind_view(const ReviewSet& set, const Sheet& sheet, std::size_t place);
// Takes {"id", "preference": "left" | "tie" | "right", "points": {dimension: [left, right]}, "comment", "seconds"} into the
// sheet. Everything is checked; a comment is cut to 4,000 bytes' worth of whole characters.
Result<void> rate(const ReviewSet& set, Sheet& sheet, const Json& rating);
// The first place without a rating, or order.size().
std::size_t first_open(const Sheet& sheet);

}  // namespace sotto::evaluation
