#include "data/text/regex.h"

#include "tests/support/catch.h"

namespace sotto::data {
namespace {

std::vector<std::string> matches(const std::string& pattern, const std::string& text) {
  std::vector<Regex::Span> spans;
  Regex::make(pattern).value().find_all(text, spans);
  std::vector<std::string> out;
  for (const auto& [begin, end] : spans) out.push_back(text.substr(begin, end - begin));
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("classes mean Unicode's, spelled out", "[regex]") {
  CHECK(matches("\\s+", "a\xc2\xa0 b\xe1\xa0\x8e") == Texts{"\xc2\xa0 "});  // U+180E is no space
  CHECK(matches("\\S", " ab") == Texts{"a", "b"});
  CHECK(matches("\\d+", "1\xd9\xa3\xc2\xbd") == Texts{"1\xd9\xa3"});  // Arabic-Indic three; one half is no decimal digit
  CHECK(matches("[^\\s\\p{L}]", "a 1") == Texts{"1"});
  CHECK(matches("(?i:'s)", "'s'S'\xc5\xbf") == Texts{"'s", "'S", "'\xc5\xbf"});
}

TEST_CASE("quantifiers, groups and look-ahead are as written", "[regex]") {
  CHECK(matches("\\p{N}{1,3}", "1234567") == Texts{"123", "456", "7"});
  CHECK(matches("(a|b)++", "abc") == Texts{"ab"});
  CHECK(matches(" +(?!x)", "  x  y") == Texts{" ", "  "});
  CHECK(matches("a*", "bab") == Texts{"a"});  // no empty match
}

TEST_CASE("what the two syntaxes read differently is refused by its text", "[regex]") {
  for (const std::string pattern : {"^a", "a$", "\\b", "(?<=a)b", "(?<name>a)", "[a[b]]", "[a&&b]", "[\\S]", "\\p{Han}",
                                    "\\x41", "\\h", "a{,3}", "a{2}+", "\\", "[a", "(?m:a)", "[]a]"}) {
    CAPTURE(pattern);
    const auto regex = Regex::make(pattern);
    REQUIRE_FALSE(regex.ok());
    CHECK(regex.error().message.find(pattern) != std::string::npos);
  }
  CHECK_FALSE(Regex::make("(a").ok());
}

}  // namespace sotto::data
