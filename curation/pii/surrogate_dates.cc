#include "curation/pii/surrogate_dates.h"

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

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

std::string mapped(std::string_view text, char (*map)(char)) {
  std::string out(text);
  for (char& c : out) c = map(c);
  return out;
}

unsigned month_of(std::string_view text) {
  const std::string small = mapped(text, lower);
  for (unsigned m = 0; m < 12; ++m)
    if (small.find(mapped(kMonths[m].substr(0, 3), lower)) != std::string::npos) return m + 1;
  return 0;
}

std::string padded(int value, std::size_t width) {
  std::string out = std::to_string(value);
  return std::string(width > out.size() ? width - out.size() : 0, '0') + out;
}

// The written month replaced: full or in three letters, and in capitals or small letters, as it was.
std::string with_month(std::string_view text, unsigned month) {
  const std::string small = mapped(text, lower);
  for (const auto& name : kMonths) {
    for (const std::string_view spelling : {name, name.substr(0, 3)}) {
      const auto at = small.find(mapped(spelling, lower));
      if (at == std::string::npos) continue;
      const auto written = text.substr(at, spelling.size());
      const auto& full = kMonths[month - 1];
      std::string fresh(spelling.size() > 3 || name.size() == 3 ? full : full.substr(0, 3));
      if (written[1] == upper(written[1])) fresh = mapped(fresh, upper);
      if (written[0] == lower(written[0])) fresh = mapped(fresh, lower);
      return std::string(text.substr(0, at)).append(fresh).append(text.substr(at + spelling.size()));
    }
  }
  return std::string(text);
}

// Where a time of day begins behind a date: 2024-01-05T10:30; the end where there is none.
std::size_t time_of_day(std::string_view text) {
  const auto digit = [&](std::size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '9'; };
  const auto colon = text.find(':');
  if (colon != std::string_view::npos && colon > 2) {
    const std::size_t from = text.find_last_not_of("0123456789", colon - 1);
    return from == std::string_view::npos ? text.size() : from;
  }
  const auto t = text.find('T');  // 20240105T1030
  return t != std::string_view::npos && t == 8 && digit(t + 1) ? t : text.size();
}

// Which of a date's numbers are what; nullopt: there is none.
struct Numbers {
  std::optional<std::size_t> day, month, year;
};

struct Date {
  int year;
  unsigned month, day;
};

// `values`: the numbers as they are written. Two numbers beside a written month: the one of four digits, else the last, is
// the year. Three numbers: the year is the one of four digits, else the last; with dots, or where the first cannot be a
// month, the day comes first.
std::optional<Numbers> order_of(const std::vector<std::string_view>& values, bool month_written, bool dots) {
  const auto value = [&](std::size_t i) { return std::stoi(std::string(values[i])); };
  if (month_written && values.size() == 1) {
    if (values[0].size() == 4) return Numbers{{}, {}, 0};
    return Numbers{0, {}, {}};
  }
  if (month_written && values.size() == 2) return values[0].size() == 4 ? Numbers{1, {}, 0} : Numbers{0, {}, 1};
  if (month_written || values.size() != 3) return std::nullopt;
  if (values[0].size() == 4) return Numbers{2, 1, 0};
  return dots || value(0) > 12 ? Numbers{0, 1, 2} : Numbers{1, 0, 2};
}

std::optional<Date> moved(const Date& date, int days) {
  using namespace std::chrono;
  const year_month_day old{std::chrono::year(date.year), std::chrono::month(date.month), std::chrono::day(date.day)};
  if (!old.ok()) return std::nullopt;
  const year_month_day fresh{sys_days(old) + std::chrono::days(days)};
  return Date{static_cast<int>(fresh.year()), static_cast<unsigned>(fresh.month()), static_cast<unsigned>(fresh.day())};
}

std::optional<std::string> moved_compact(std::string_view text, int days) {
  const auto part = [&](std::size_t at, std::size_t size) { return std::stoi(std::string(text.substr(at, size))); };
  const auto fresh = moved({part(0, 4), static_cast<unsigned>(part(4, 2)), static_cast<unsigned>(part(6, 2))}, days);
  if (!fresh) return std::nullopt;
  return padded(fresh->year, 4) + padded(static_cast<int>(fresh->month), 2) + padded(static_cast<int>(fresh->day), 2);
}

}  // namespace

std::optional<std::string> moved_date(std::string_view whole, int days) {
  const std::size_t until = time_of_day(whole);
  const std::string_view text = whole.substr(0, until), tail = whole.substr(until);
  const auto pieces = pieces_of(text);
  if (pieces.size() == 1 && text.size() == 8 && pieces[0].number) {
    const auto fresh = moved_compact(text, days);
    return fresh ? std::optional(*fresh + std::string(tail)) : std::nullopt;
  }
  std::vector<std::string_view> values;
  for (const auto& piece : pieces) {
    if (!piece.number) continue;
    if (piece.text.size() > 4) return std::nullopt;
    values.push_back(piece.text);
  }
  const unsigned written = month_of(text);
  const auto order = order_of(values, written != 0, text.find('.') != std::string_view::npos);
  if (!order) return std::nullopt;
  const auto value = [&](std::size_t i) { return std::stoi(std::string(values[i])); };
  const bool short_year = order->year && values[*order->year].size() < 3;
  int year = order->year ? value(*order->year) : 2000;  // a leap year, where none is written
  if (short_year) year += year < 50 ? 2000 : 1900;
  const unsigned month = order->month ? static_cast<unsigned>(value(*order->month)) : written;
  const unsigned day = order->day ? static_cast<unsigned>(value(*order->day)) : 15;  // the middle, where none is written
  const auto fresh = moved({year, month, day}, days);
  if (!fresh) return std::nullopt;
  std::string out;
  std::size_t number = 0;
  for (const auto& piece : pieces) {
    if (!piece.number) {
      out += with_month(piece.text, fresh->month);
      continue;
    }
    const std::size_t at = number++, width = piece.text.size();
    if (at == order->year)
      out += short_year ? padded(fresh->year % 100, 2) : padded(fresh->year, 4);
    else
      out += padded(static_cast<int>(at == order->day ? fresh->day : fresh->month), width);
  }
  return out + std::string(tail);
}

}  // namespace sotto::curation
