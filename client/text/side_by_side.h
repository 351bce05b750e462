// Two texts in two columns. UTF-8; a character is taken as one column wide.
#pragma once

#include <string>

namespace sotto::client {

struct Column {
  std::string title;
  std::string text;
};

// Lines of at most `width` columns, at least 40: both titles, then both texts, wrapped at spaces where there are any.
std::string side_by_side(const Column& left, const Column& right, std::size_t width);

// Of the terminal on standard output; 80 where there is none.
std::size_t terminal_width();

}  // namespace sotto::client
