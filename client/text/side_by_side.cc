#include "client/text/side_by_side.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace sotto::client {
namespace {

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }

std::size_t columns(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, begins_character));
}

// One line of text, cut into pieces of at most `width` characters.
void wrap_line(std::string line, std::size_t width, std::vector<std::string>& out) {
  while (columns(line) > width) {
    std::size_t end = 0, space = 0;  // bytes
    for (std::size_t seen = 0; end < line.size(); ++end) {
      const bool full = begins_character(line[end]) && seen++ == width;
      if (line[end] == ' ') space = end;  // also the one right behind a full line
      if (full) break;
    }
    const std::size_t cut = space > 0 ? space : end;
    out.push_back(line.substr(0, cut));
    line.erase(0, space > 0 ? cut + 1 : cut);
  }
  out.push_back(std::move(line));
}

std::vector<std::string> wrapped(const std::string& text, std::size_t width) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    wrap_line(text.substr(at, end - at), width, lines);
    at = end + 1;
  }
  return lines;
}

}  // namespace

std::string side_by_side(const Column& left, const Column& right, std::size_t width) {
  const std::size_t half = (std::max<std::size_t>(width, 40) - 3) / 2;
  auto l = wrapped(left.title + "\n" + left.text, half), r = wrapped(right.title + "\n" + right.text, half);
  const std::size_t lines = std::max(l.size(), r.size());
  l.resize(lines);
  r.resize(lines);
  std::string out;
  for (std::size_t i = 0; i < lines; ++i) out += l[i] + std::string(half - columns(l[i]), ' ') + " | " + r[i] + "\n";
  return out;
}

std::size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace sotto::client
