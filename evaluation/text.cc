#include "evaluation/text.h"

#include <algorithm>

namespace sotto::evaluation {
namespace {

struct Character {
  char32_t code = 0;
  std::size_t bytes = 1;
  bool valid = false;
};

// The character at the beginning of a non-empty text; an ill-formed byte is not valid and one byte long.
Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t n = lead >= 0xF0 && lead < 0xF5   ? 4
                        : lead >= 0xE0 && lead < 0xF0 ? 3
                        : lead >= 0xC2 && lead < 0xE0 ? 2
                                                      : 0;
  if (n == 0 || text.size() < n) return {};
  char32_t code = lead & (0x7Fu >> n);
  for (std::size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[n] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return {};
  return {code, n, true};
}

void append(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

bool between(char32_t c, char32_t first, char32_t last) { return c >= first && c <= last; }

// Unicode's simple lower case in the blocks that the header names.
char32_t lower_beyond_ascii(char32_t c) {
  const bool odd = c & 1;
  if (between(c, 0xC0, 0xDE) && c != 0xD7) return c + 32;
  if (between(c, 0x100, 0x137) || between(c, 0x14A, 0x177)) return odd || c == 0x130 ? c : c + 1;
  if (between(c, 0x139, 0x148) || between(c, 0x179, 0x17E)) return odd ? c + 1 : c;
  if (c == 0x178) return 0xFF;
  if (between(c, 0x391, 0x3AB) && c != 0x3A2) return c + 32;
  if (c == 0x386) return 0x3AC;
  if (between(c, 0x388, 0x38A)) return c + 37;
  if (c == 0x38C) return 0x3CC;
  if (between(c, 0x38E, 0x38F)) return c + 63;
  if (c == 0x3CF) return 0x3D7;
  if (between(c, 0x410, 0x42F)) return c + 32;
  if (between(c, 0x400, 0x40F)) return c + 80;
  if (c == 0x212A) return U'k';  // the Kelvin sign
  if (c == 0x212B) return 0xE5;  // the Angstrom sign
  return c;
}

bool is_ascii_punctuation(char32_t c) {
  return between(c, '!', '/') || between(c, ':', '@') || between(c, '[', '`') || between(c, '{', '~');
}

bool is_space(char32_t c) {  // as Python's str.split()
  return between(c, 0x09, 0x0D) || between(c, 0x1C, 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         between(c, 0x2000, 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_word(char32_t c) {
  if (c < 0x80) return between(c, '0', '9') || between(c, 'a', 'z') || between(c, 'A', 'Z');
  if (between(c, 0x80, 0xBF))
    return c == 0xAA || c == 0xB5 || c == 0xBA || c == 0xB2 || c == 0xB3 || c == 0xB9 || between(c, 0xBC, 0xBE);
  return c != 0xD7 && c != 0xF7 && !is_space(c) && !between(c, 0x2010, 0x206F) && !between(c, 0x2190, 0x2BFF) &&
         !between(c, 0x3001, 0x303F);
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character c = first_character(text);
    if (c.code == 0x130) {
      out += "i\xCC\x87";  // the one letter of these whose lower case is two characters
    } else if (!c.valid || c.code > 0xFFFF) {
      out += text.substr(0, c.bytes);
    } else {
      append(out, between(c.code, 'A', 'Z') ? c.code + 32 : c.code < 0x80 ? c.code : lower_beyond_ascii(c.code));
    }
    text.remove_prefix(c.bytes);
  }
  return out;
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> out;
  std::string word;
  const std::string lowered = lower(text);
  for (std::string_view rest = lowered; !rest.empty();) {
    const Character c = first_character(rest);
    if (c.valid && (c.code == '\'' || c.code == 0x2019)) {
      // an apostrophe neither ends a word nor belongs to it
    } else if (!c.valid || is_word(c.code)) {
      word += rest.substr(0, c.bytes);
    } else if (!word.empty()) {
      out.push_back(std::exchange(word, {}));
    }
    rest.remove_prefix(c.bytes);
  }
  if (!word.empty()) out.push_back(std::move(word));
  return out;
}

std::vector<std::string> squad_tokens(std::string_view text) {
  std::string kept, run;  // run: word characters next to each other; an article among the runs becomes a space
  const auto end_run = [&] {
    kept += run == "a" || run == "an" || run == "the" ? " " : run;
    run.clear();
  };
  const std::string lowered = lower(text);
  for (std::string_view rest = lowered; !rest.empty();) {
    const Character c = first_character(rest);
    const auto bytes = rest.substr(0, c.bytes);
    rest.remove_prefix(c.bytes);
    if (c.valid && is_ascii_punctuation(c.code)) continue;
    if (!c.valid || is_word(c.code)) {
      run += bytes;
    } else {
      end_run();
      kept += is_space(c.code) ? " " : bytes;
    }
  }
  end_run();
  std::vector<std::string> out;
  for (std::size_t begin = 0; begin < kept.size();) {
    const std::size_t end = std::min(kept.find(' ', begin), kept.size());
    if (end > begin) out.push_back(kept.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

Result<Phrase> Phrase::make(std::string_view text) {
  Phrase phrase;
  while (!text.empty()) {
    const std::size_t star = std::min(text.find('*'), text.size());
    for (auto& word : words(text.substr(0, star))) phrase.parts_.push_back({std::move(word), false});
    if (star < text.size() && star > 0 && !words(text.substr(star - 1, 1)).empty()) phrase.parts_.back().prefix = true;
    text.remove_prefix(std::min(star + 1, text.size()));
  }
  if (phrase.parts_.empty())
    return invalid("a phrase has no word in it; give words to look for, such as \"consult* a doctor\"");
  return phrase;
}

std::optional<std::size_t> Phrase::find(const std::vector<std::string>& text, std::size_t from) const {
  for (std::size_t i = from; i + parts_.size() <= text.size(); ++i) {
    const bool here = std::equal(parts_.begin(), parts_.end(), text.begin() + static_cast<std::ptrdiff_t>(i),
                                 [](const Part& part, const std::string& word) {
                                   return part.prefix ? word.starts_with(part.word) : word == part.word;
                                 });
    if (here) return i;
  }
  return std::nullopt;
}

Result<Term> Term::make(std::string_view forms) {
  Term term;
  term.name_ = std::string(forms);
  for (std::size_t begin = 0; begin <= forms.size();) {
    const std::size_t end = std::min(forms.find('|', begin), forms.size());
    SOTTO_TRY(auto phrase, Phrase::make(forms.substr(begin, end - begin)));
    term.forms_.push_back(std::move(phrase));
    begin = end + 1;
  }
  return term;
}

std::optional<std::size_t> Term::find(const std::vector<std::string>& text, std::size_t from) const {
  std::optional<std::size_t> first;
  for (const auto& form : forms_)
    if (const auto at = form.find(text, from); at && (!first || *at < *first)) first = at;
  return first;
}

}  // namespace sotto::evaluation
