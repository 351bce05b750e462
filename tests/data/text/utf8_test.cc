#include "data/text/utf8.h"

#include "data/tokenizer/byte_level.h"
#include "tests/support/catch.h"

namespace sotto::data {

// The expected values are those of Rust's documentation and test-suite for String::from_utf8_lossy and of Unicode 15, table
// 3-8.
TEST_CASE("ill-formed pieces become one replacement character each, as long as they can be", "[utf8]") {
  const std::string r = "\xef\xbf\xbd";
  CHECK(utf8_lossy("Hello \xf0\x90\x80World") == "Hello " + r + "World");
  CHECK(utf8_lossy("Hello\xc2 There\xff Goodbye") == "Hello" + r + " There" + r + " Goodbye");
  CHECK(utf8_lossy("Hello\xc0\x80 There\xe6\x83 Goodbye") == "Hello" + r + r + " There" + r + " Goodbye");
  CHECK(utf8_lossy("\xf5"
                   "foo\xf5\x80"
                   "bar") == r + "foo" + r + r + "bar");
  CHECK(utf8_lossy("\xf1"
                   "foo\xf1\x80"
                   "bar\xf1\x80\x80"
                   "baz") == r + "foo" + r + "bar" + r + "baz");
  CHECK(utf8_lossy("\xf4"
                   "foo\xf4\x80"
                   "bar\xf4\xbf"
                   "baz") == r + "foo" + r + "bar" + r + r + "baz");
  CHECK(utf8_lossy("\xf0\x80\x80\x80"
                   "foo\xf0\x90\x80\x80"
                   "bar") == r + r + r + r +
                                 "foo\xf0\x90\x80\x80"
                                 "bar");
  CHECK(utf8_lossy("\xed\xa0\x80"
                   "foo\xed\xbf\xbf"
                   "bar") == r + r + r + "foo" + r + r + r + "bar");
  CHECK(utf8_lossy("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41") == r + r + r + r + "A");
}

TEST_CASE("well-formed text stays as it is", "[utf8]") {
  const std::string text("\0 a\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 25);
  CHECK(utf8_lossy(text) == text);
  CHECK(utf8_lossy("").empty());
}

TEST_CASE("every byte has a character of its own and comes back from it", "[utf8]") {
  const auto characters = byte_level_characters();
  CHECK(characters[' '] == "\xc4\xa0");   // U+0120, the mark before most words of a GPT-2 vocabulary
  CHECK(characters['\n'] == "\xc4\x8a");  // U+010A
  CHECK(characters['A'] == "A");
  for (std::size_t byte = 0; byte < 256; ++byte) {
    CHECK(bytes_of_token(characters[byte]) == std::string(1, static_cast<char>(byte)));
  }
  CHECK(bytes_of_token("a b") == "a b");  // the space is no character of the table
  CHECK(bytes_of_token("\xe2\x82\xac") == "\xe2\x82\xac");
  CHECK(bytes_of_token("\xc4") == "\xc4");
}

}  // namespace sotto::data
