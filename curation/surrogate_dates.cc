#include "curation/surrogate_dates.h"

#include <array>
#include <chrono>
#include <vector>

namespace sotto::curation {
namespace {

constexpr std::array<std::string_view, 12> kMonths = {"January", "February", "March",     "April",   "May",      "June",
                                                      "July",    "August",   "September", "October", "November", "December"};

struct Piece {
  std::string_view text;
  bool number;
};

// Numbers, words and what stands between.
std::vector<Piece> pieces_of(std::string_view text) {
  std::vector<Piece> out;
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at;
    while (end < text.size() && digit(text[end]) == digit(text[at])) ++end;
    out.push_back({text.substr(at, end - at), digit(text[at])});
    at = end;
  }
  return out;
}

unsigned month_of(std::string_view text) {
  for (unsigned m = 0; m < 12; ++m)
    if (text.find(kMonths[m].substr(0, 3)) != std::string_view::npos) return m + 1;
  return 0;
}

std::string padded(int value, std::size_t width) {
  std::string out = std::to_string(value);
  return std::string(width > out.size() ? width - out.size() : 0, '0') + out;
}

// The written month replaced, full or in three letters as it was.
std::string with_month(std::string_view text, unsigned month) {
  for (const auto& name : kMonths) {
    for (const std::string_view spelling : {name, name.substr(0, 3)}) {
      const auto at = text.find(spelling);
      if (at == std::string_view::npos) continue;
      const std::string_view fresh =
          spelling.size() > 3 || name.size() == 3 ? kMonths[month - 1] : kMonths[month - 1].substr(0, 3);
      return std::string(text.substr(0, at)).append(fresh).append(text.substr(at + spelling.size()));
    }
  }
  return std::string(text);
}

}  // namespace

std::optional<std::string> moved_date(std::string_view text, int days) {
  auto pieces = pieces_of(text);
  std::vector<std::size_t> numbers;
  for (std::size_t i = 0; i < pieces.size(); ++i)
    if (pieces[i].number) numbers.push_back(i);
  const unsigned written = month_of(text);
  if (numbers.size() != (written != 0 ? 2U : 3U)) return std::nullopt;
  const auto value = [&](std::size_t i) { return std::stoi(std::string(pieces[numbers[i]].text)); };
  std::size_t day = 0, month = 0, year = numbers.size() - 1;
  if (written == 0) {
    if (pieces[numbers[0]].text.size() == 4) {
      year = 0, month = 1, day = 2;
    } else {
      const bool day_first = text.find('.') != std::string_view::npos || value(0) > 12;
      day = day_first ? 0 : 1;
      month = day_first ? 1 : 0;
    }
  }
  const bool short_year = pieces[numbers[year]].text.size() < 3;
  const int full_year = short_year ? value(year) + (value(year) < 50 ? 2000 : 1900) : value(year);
  using namespace std::chrono;
  const year_month_day old{std::chrono::year(full_year),
                           std::chrono::month(written != 0 ? written : static_cast<unsigned>(value(month))),
                           std::chrono::day(static_cast<unsigned>(value(day)))};
  if (!old.ok()) return std::nullopt;
  const year_month_day fresh{sys_days(old) + std::chrono::days(days)};
  const auto fresh_year = static_cast<int>(fresh.year());
  std::string out;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const std::size_t width = pieces[i].text.size();
    if (i == numbers[day])
      out += padded(static_cast<int>(static_cast<unsigned>(fresh.day())), width);
    else if (i == numbers[year])
      out += short_year ? padded(fresh_year % 100, 2) : padded(fresh_year, 4);
    else if (written == 0 && i == numbers[month])
      out += padded(static_cast<int>(static_cast<unsigned>(fresh.month())), width);
    else
      out += with_month(pieces[i].text, static_cast<unsigned>(fresh.month()));
  }
  return out;
}

}  // namespace sotto::curation
