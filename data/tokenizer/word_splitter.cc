#include "data/tokenizer/word_splitter.h"

#include <utility>

#include "data/text/utf8.h"

namespace sotto::data {
namespace {

constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

struct Part {
  std::string_view text;
  bool match;
};

// `text` in matches and what lies between them; no part is empty.
std::vector<Part> parts_of(std::string_view text, const Matcher& matcher, bool invert) {
  std::vector<Regex::Span> matches;
  matcher.find_all(text, matches);
  std::vector<Part> out;
  out.reserve(2 * matches.size() + 1);
  std::size_t from = 0;
  const auto between = [&](std::size_t until) {
    if (until > from) out.push_back({text.substr(from, until - from), invert});
  };
  for (const auto& [begin, end] : matches) {
    between(begin);
    out.push_back({text.substr(begin, end - begin), !invert});
    from = end;
  }
  between(text.size());
  return out;
}

// Two neighbouring views of one text as one.
std::string_view joined(std::string_view left, std::string_view right) { return {left.data(), left.size() + right.size()}; }

// The pieces that a behaviour makes of parts (tokenizers, normalizer.rs, `split`).
void put_pieces(const std::vector<Part>& parts, SplitBehaviour behaviour, std::vector<std::string_view>& out) {
  const std::size_t first = out.size();
  const auto extend = [&](const Part& part) { out.back() = joined(out.back(), part.text); };
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    const bool follows = out.size() > first;
    switch (behaviour) {
      case SplitBehaviour::kRemoved:
        if (!part.match) out.push_back(part.text);
        break;
      case SplitBehaviour::kIsolated: out.push_back(part.text); break;
      case SplitBehaviour::kContiguous:
        if (follows && parts[i - 1].match == part.match)
          extend(part);
        else
          out.push_back(part.text);
        break;
      case SplitBehaviour::kMergedWithPrevious:
        if (follows && part.match && !parts[i - 1].match)
          extend(part);
        else
          out.push_back(part.text);
        break;
      case SplitBehaviour::kMergedWithNext:
        if (follows && parts[i - 1].match && !part.match)
          extend(part);
        else
          out.push_back(part.text);
        break;
    }
  }
}

}  // namespace

namespace pattern {
const char* const kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char* const kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char* const kTekken = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
                            R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
                            R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}  // namespace pattern

void Words::clear() {
  words.clear();
  made.clear();
}

Result<WordSplitter> WordSplitter::make(const std::vector<PreTokenizer>& steps) {
  WordSplitter out;
  const auto cut = [](const Pattern& what, SplitBehaviour behaviour, bool invert) -> Result<Cut> {
    SOTTO_TRY(auto matcher, Matcher::make(what));
    return Cut{std::move(matcher), behaviour, invert};
  };
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (const auto* split = std::get_if<SplitBy>(&steps[i])) {
      SOTTO_TRY(auto step, cut(split->pattern, split->behaviour, split->invert));
      out.steps_.emplace_back(std::move(step));
    } else if (const auto* digits = std::get_if<Digits>(&steps[i])) {
      SOTTO_TRY(auto step, cut({digits->individual ? "\\p{N}" : "\\p{N}+", true}, SplitBehaviour::kIsolated, false));
      out.steps_.emplace_back(std::move(step));
    } else if (const auto* metaspace = std::get_if<Metaspace>(&steps[i])) {
      out.steps_.emplace_back(*metaspace);
    } else if (i + 1 < steps.size()) {
      return unsupported("a pre-tokenizer behind ByteLevel, which would work on byte-level characters");
    } else {
      const auto& bytes = std::get<ByteLevel>(steps[i]);
      std::vector<Cut> cuts;
      if (bytes.gpt2_regex) {
        SOTTO_TRY(auto step, cut({kGpt2, true}, SplitBehaviour::kIsolated, false));
        cuts.push_back(std::move(step));
      }
      if (bytes.prefix_space)
        out.steps_.emplace_back(Spaced{std::move(cuts)});
      else if (!cuts.empty())
        out.steps_.emplace_back(std::move(cuts.front()));
    }
  }
  return out;
}

void WordSplitter::apply(const Cut& step, std::string_view piece, Words& out) const {
  if (step.behaviour == SplitBehaviour::kIsolated) {  // by far the most common: no list of parts
    out.matches.clear();
    step.matcher.find_all(piece, out.matches);
    std::size_t from = 0;
    for (const auto& [begin, end] : out.matches) {
      if (begin > from) out.words.push_back(piece.substr(from, begin - from));
      out.words.push_back(piece.substr(begin, end - begin));
      from = end;
    }
    if (from < piece.size()) out.words.push_back(piece.substr(from));
    return;
  }
  put_pieces(parts_of(piece, step.matcher, step.invert), step.behaviour, out.words);
}

void WordSplitter::apply(const Metaspace& step, std::string_view piece, Position position, Words& out) const {
  std::string text;
  for (const char c : piece) {
    if (c == ' ')
      text += step.replacement;
    else
      text += c;
  }
  const bool prefix = (step.prefix == PrefixScheme::kAlways && position != Position::kBehindText) ||
                      (step.prefix == PrefixScheme::kFirst && position == Position::kStart);
  if (prefix && !text.starts_with(step.replacement)) text.insert(0, step.replacement);
  out.made.push_back(std::move(text));
  const std::string_view whole = out.made.back();
  if (!step.split) {
    out.words.push_back(whole);
    return;
  }
  std::size_t from = 0;
  for (auto at = whole.find(step.replacement); at != std::string_view::npos; at = whole.find(step.replacement, at + 1)) {
    if (at > from) out.words.push_back(whole.substr(from, at - from));
    from = at;
  }
  out.words.push_back(whole.substr(from));
}

void WordSplitter::split(std::string_view text, Position position, Words& out) const {
  out.clear();
  if (text.empty()) return;
  out.words.push_back(text);
  auto& pieces = out.pieces;
  for (const auto& step : steps_) {
    pieces.swap(out.words);
    out.words.clear();
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      if (const auto* cut = std::get_if<Cut>(&step)) {
        apply(*cut, pieces[i], out);
      } else if (const auto* spaced = std::get_if<Spaced>(&step)) {
        if (!pieces[i].starts_with(' ') && !(i == 0 && position == Position::kBehindText)) {
          out.made.push_back(' ' + std::string(pieces[i]));
          pieces[i] = out.made.back();
        }
        if (spaced->cut.empty())
          out.words.push_back(pieces[i]);
        else
          apply(spaced->cut.front(), pieces[i], out);
      } else {
        apply(std::get<Metaspace>(step), pieces[i], i == 0 ? position : Position::kBehindToken, out);
      }
    }
  }
}

}  // namespace sotto::data
