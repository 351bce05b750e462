#include "evaluation/extraction.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>

#include "base/json.h"
#include "evaluation/coding.h"

namespace sotto::evaluation {
namespace {

struct Chapter {
  std::string_view first, last;
};
// ICD-10-CM (April 2025): the categories at both ends of each chapter.
constexpr Chapter kChapters[] = {{"A00", "B99"}, {"C00", "D49"}, {"D50", "D89"}, {"E00", "E89"}, {"F01", "F99"},
                                 {"G00", "G99"}, {"H00", "H59"}, {"H60", "H95"}, {"I00", "I99"}, {"J00", "J99"},
                                 {"K00", "K95"}, {"L00", "L99"}, {"M00", "M99"}, {"N00", "N99"}, {"O00", "O9A"},
                                 {"P00", "P96"}, {"Q00", "Q99"}, {"R00", "R99"}, {"S00", "T88"}, {"V00", "Y99"},
                                 {"Z00", "Z99"}, {"U00", "U85"}};

bool agree(const std::vector<std::string>& a, const std::vector<std::string>& b, auto level) {
  return std::ranges::equal(a, b, [&](const auto& x, const auto& y) { return level(x) == level(y); });
}

std::string chapter_or_category(const std::string& code) {
  const int chapter = icd10cm_chapter(code);
  return chapter > 0 ? std::to_string(chapter) : code.substr(0, 3);
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\n");
  return begin == text.npos ? std::string_view() : text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1);
}

std::optional<int> small_number(std::string_view text) {
  int value = 0;
  const auto end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && at == end && value >= 0 && value < 100000 ? std::optional(value) : std::nullopt;
}

// "3-5" is three ids; anything else is one.
void add_ids(std::set<std::string>& out, std::string_view part) {
  const std::size_t dash = part.find('-');
  if (dash != part.npos) {
    const auto first = small_number(trimmed(part.substr(0, dash))), last = small_number(trimmed(part.substr(dash + 1)));
    if (first && last && *first <= *last && *last - *first < 100) {
      for (int i = *first; i <= *last; ++i) out.insert(std::to_string(i));
      return;
    }
  }
  const auto id = trimmed(part);
  if (!id.empty() && words(id).size() <= 4) out.insert(std::string(id));
}

std::set<std::string> concept_keys(const std::vector<Mention>& mentions) {
  std::set<std::string> out;
  for (const auto& m : mentions) {
    std::string key = lower(m.label);
    for (const auto& word : words(m.text)) key += '\x1f' + word;
    out.insert(std::move(key));
  }
  return out;
}

void add_counts(Measures& out, const std::string& prefix, std::size_t common, std::size_t wanted, std::size_t found) {
  const auto real = [](std::size_t n) { return static_cast<double>(n); };
  out[prefix + "_precision"] += {real(common), real(found)};
  out[prefix + "_recall"] += {real(common), real(wanted)};
  out[prefix + "_f1"] += {2 * real(common), real(wanted + found)};
}

Result<Mention> mention(const Json& json) {
  Mention m;
  SOTTO_TRY(m.label, json.get_string("label"));
  if (json.find("text")) {
    SOTTO_TRY(m.text, json.get_string("text"));
  }
  if (json.find("start") || json.find("end")) {
    SOTTO_TRY(m.start, json.get_int("start"));
    SOTTO_TRY(m.end, json.get_int("end"));
    if (m.start < 0 || m.end < m.start)
      return invalid("'start' and 'end' are " + std::to_string(m.start) + " and " + std::to_string(m.end));
  }
  if (!json.find("text") && m.start < 0) return invalid("a mention has neither 'text' nor 'start' and 'end'");
  return m;
}

// Pairs of wanted and found spans of one label that overlap, each used once, as many as there can be: spans in the order of
// their ends, each takes the first that it can (optimal for intervals that do not contain each other; a lower bound else).
std::size_t overlaps(std::vector<Mention> wanted, std::vector<Mention> found) {
  const auto by_end = [](const Mention& a, const Mention& b) {
    return std::pair(a.end, a.start) < std::pair(b.end, b.start);
  };
  std::ranges::sort(wanted, by_end);
  std::ranges::sort(found, by_end);
  std::size_t pairs = 0;
  for (const auto& w : wanted) {
    const auto hit = std::ranges::find_if(
        found, [&](const Mention& f) { return f.label == w.label && std::max(f.start, w.start) < std::min(f.end, w.end); });
    if (hit == found.end()) continue;
    found.erase(hit);
    ++pairs;
  }
  return pairs;
}

}  // namespace

int icd10cm_chapter(std::string_view code) {
  if (code.size() < 3) return 0;
  const auto category = code.substr(0, 3);
  for (std::size_t i = 0; i < std::size(kChapters); ++i)
    if (category >= kChapters[i].first && category <= kChapters[i].last) return static_cast<int>(i) + 1;
  return 0;
}

void add_set(Measures& out, const std::string& prefix, const std::set<std::string>& wanted,
             const std::set<std::string>& found) {
  const auto common = std::ranges::count_if(found, [&](const auto& x) { return wanted.contains(x); });
  add_counts(out, prefix, static_cast<std::size_t>(common), wanted.size(), found.size());
}

void add_codes(Measures& out, std::string_view reference, std::string_view response) {
  const auto wanted = codes_in(reference), found = codes_in(response);
  out["code_exact"] += Ratio::of(wanted == found);
  out["code_category"] += Ratio::of(agree(wanted, found, [](const std::string& c) { return c.substr(0, 3); }));
  out["code_chapter"] += Ratio::of(agree(wanted, found, chapter_or_category));
  add_set(out, "code", {wanted.begin(), wanted.end()}, {found.begin(), found.end()});
}

std::set<std::string> citations_in(std::string_view text) {
  std::set<std::string> out;
  for (std::size_t open = text.find('['); open != text.npos; open = text.find('[', open + 1)) {
    const std::size_t close = text.find_first_of("[]\n", open + 1);
    if (close == text.npos || text[close] != ']') continue;
    if (close + 1 < text.size() && text[close + 1] == '(') continue;  // a Markdown link
    auto inside = text.substr(open + 1, close - open - 1);
    while (!inside.empty()) {
      const std::size_t end = std::min(inside.find_first_of(",;"), inside.size());
      add_ids(out, inside.substr(0, end));
      inside.remove_prefix(std::min(end + 1, inside.size()));
    }
  }
  return out;
}

void add_citations(Measures& out, const Citations& citations, std::string_view response) {
  auto cited = citations_in(response);
  const auto text = words(response);
  for (const auto& source : citations.sources)
    if (const auto name = Phrase::make(source); name.ok() && !small_number(source) && name->in(text)) cited.insert(source);
  add_set(out, "citation", citations.wanted, cited);
  if (citations.sources.empty()) return;
  const auto invented = std::ranges::count_if(
      cited, [&](const auto& c) { return std::ranges::find(citations.sources, c) == citations.sources.end(); });
  out["citation_invented"] += {static_cast<double>(invented), static_cast<double>(cited.size())};
}

Result<std::vector<Mention>> mentions_in(std::string_view response) {
  const std::size_t open = response.find('['), close = response.rfind(']');
  if (open == response.npos || close == response.npos || close < open) return invalid("there is no JSON array in it");
  SOTTO_TRY(const Json list, Json::parse(response.substr(open, close - open + 1), "the response"));
  std::vector<Mention> out;
  for (const auto& item : list.items()) {
    SOTTO_TRY(auto m, mention(item));
    out.push_back(std::move(m));
  }
  return out;
}

void add_concepts(Measures& out, const std::vector<Mention>& wanted, const std::vector<Mention>& found) {
  add_set(out, "concept", concept_keys(wanted), concept_keys(found));
}

void add_spans(Measures& out, const std::vector<Mention>& wanted, const std::vector<Mention>& found) {
  const auto keys = [](const std::vector<Mention>& mentions) {
    std::set<std::string> set;
    for (const auto& m : mentions) set.insert(m.label + '\x1f' + std::to_string(m.start) + '-' + std::to_string(m.end));
    return set;
  };
  add_set(out, "span", keys(wanted), keys(found));
  add_counts(out, "span_overlap", overlaps(wanted, found), wanted.size(), found.size());
}

void add_terms(Measures& out, const std::vector<Term>& wanted, const std::vector<Term>& avoid, std::string_view response) {
  const auto text = words(response);
  const auto used = [&](const Term& term) { return term.in(text); };
  if (!wanted.empty())
    out["term_use"] += {static_cast<double>(std::ranges::count_if(wanted, used)), static_cast<double>(wanted.size())};
  if (!avoid.empty())
    out["term_avoided"] +=
        {static_cast<double>(std::ranges::count_if(avoid, std::not_fn(used))), static_cast<double>(avoid.size())};
}

}  // namespace sotto::evaluation
